// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtq_shared.c - memory that the driver changes under our hands
 *
 * V10: each descriptor is read once. Its page is not readable; every read
 * faults, is let through by a single step, and what was read is overwritten at
 * once. A second look, at any field, would see other bytes.
 *
 * V11: the used index is never torn and never ahead of its element. A driver on
 * another thread checks each.
 */
#include "unit.h"

#include "virtio_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100
#define TABLE     0x10000u /* guest pages: descriptors, and an indirect table */
#define PAGES     2u
#define BUFFER    0x20000u

/* The rings of queue 0, with the descriptors at TABLE. */
static void start_at_table(struct kit *k)
{
	struct kit_queue *q = &k->queue[0];

	kit_must(kit_negotiate(k, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC));
	*q = (struct kit_queue){16, TABLE, 0x30000, 0x31000, 0, 0, 0};
	kit_must(kit_place_queue(k, 0));
	kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
}

/* Sanitizers read for themselves, and delay signals. */
#if !IS_SANITIZED

/* Signal handlers have nothing but this. */
static struct {
	uint8_t *pages;
	uint8_t *at; /* the read that is being let through */
	volatile unsigned int reads;
	volatile bool unexpected;
} watch;

static void protect(int prot)
{
	(void)mprotect(watch.pages, PAGES * PAGE_SIZE, prot);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint8_t *at = info->si_addr;

	if (at < watch.pages || at >= watch.pages + PAGES * PAGE_SIZE) {
		watch.unexpected = true;
		(void)signal(sig, SIG_DFL); /* and again, for good */
		return;
	}
	watch.at = at;
	protect(PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

/* Bytes of the read: 16 when a vector register now holds what is there. */
static size_t width_of_read(const ucontext_t *uc)
{
	const struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;

	for (unsigned int i = 0; i < 16; i++)
		if (memcmp(&fp->_xmm[i], watch.at, 16) == 0)
			return 16;
	return 8;
}

static void on_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	memset(watch.at, 0xff, width_of_read(uc));
	watch.reads++;
	protect(PROT_NONE);
	uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void install(struct sigaction old[2])
{
	struct sigaction fault = {.sa_sigaction = on_fault,
				  .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct sigaction step = {.sa_sigaction = on_step,
				 .sa_flags = SA_SIGINFO | SA_NODEFER};

	assert_int_equal(sigaction(SIGSEGV, &fault, &old[0]), 0);
	assert_int_equal(sigaction(SIGTRAP, &step, &old[1]), 0);
}

static void restore(const struct sigaction old[2])
{
	(void)sigaction(SIGSEGV, &old[0], NULL);
	(void)sigaction(SIGTRAP, &old[1], NULL);
}

static void pop_watched(struct fixture *f, struct virtq_chain *chain, int *r)
{
	struct sigaction old[2];

	watch.pages = kit_hva(&f->kit, TABLE, PAGES * PAGE_SIZE);
	watch.reads = 0;
	install(old);
	protect(PROT_NONE);
	*r = virtq_pop(&f->kit.dev->queue[0], f->echo->iov, 16, chain);
	protect(PROT_READ | PROT_WRITE);
	restore(old);
}

static void test_v10_each_descriptor_is_read_once(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct virtq_chain chain;
	int r;

	start_at_table(k);
	kit_desc(k, 0, 0, BUFFER, 100, KIT_NEXT, 5);
	kit_desc(k, 0, 5, BUFFER + 1000, 200, KIT_NEXT | KIT_WRITE, 2);
	kit_desc(k, 0, 2, BUFFER + 2000, 300, KIT_WRITE, 0);
	kit_avail(k, 0, 0);
	pop_watched(f, &chain, &r);
	assert_int_equal(r, 1);
	assert_int_equal(chain.nr_out, 1);
	assert_int_equal(chain.nr_in, 2);
	assert_ptr_equal(chain.out[0].iov_base, kit_hva(k, BUFFER, 1));
	assert_int_equal(chain.out[0].iov_len, 100);
	assert_ptr_equal(chain.in[0].iov_base, kit_hva(k, BUFFER + 1000, 1));
	assert_int_equal(chain.in[0].iov_len, 200);
	assert_int_equal(chain.in[1].iov_len, 300);
	assert_int_equal(chain.in_bytes, 500);
	assert_true(watch.reads >= 3 && watch.reads <= 6);
}

static void test_v10_indirect(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	void *table = kit_hva(k, TABLE + PAGE_SIZE, 32);
	struct virtq_chain chain;
	int r;

	start_at_table(k);
	kit_desc(k, 0, 3, TABLE + PAGE_SIZE, 32, KIT_INDIRECT, 0);
	kit_put_desc(table, 0, BUFFER, 100, KIT_NEXT, 1);
	kit_put_desc(table, 1, BUFFER + 1000, 200, KIT_WRITE, 0);
	kit_avail(k, 0, 3);
	pop_watched(f, &chain, &r);
	assert_int_equal(r, 1);
	assert_int_equal(chain.nr_out, 1);
	assert_int_equal(chain.out[0].iov_len, 100);
	assert_ptr_equal(chain.in[0].iov_base, kit_hva(k, BUFFER + 1000, 1));
	assert_int_equal(chain.in[0].iov_len, 200);
	assert_true(watch.reads >= 3 && watch.reads <= 6);
}

#endif

/* ---- V11 ---- */

#define ROUNDS 200000u

struct driver {
	struct kit *kit;
	uint8_t *used;
	uint8_t *avail;
	uint64_t seen;
	uint64_t wrong;
};

static uint16_t load(const uint8_t *p)
{
	return atomic_load_explicit((const _Atomic uint16_t *)(const void *)p,
				    memory_order_acquire);
}

/* Heads go round; each used element must say which head and, as its length,
 * which round it is of. */
static void *drive(void *arg)
{
	struct driver *d = arg;
	uint16_t last = 0, offered = 0;

	while (d->seen < ROUNDS) {
		uint16_t idx = load(d->used + 2);

		if ((uint16_t)(idx - last) > 16) {
			d->wrong++; /* torn, or gone back */
			return NULL;
		}
		for (; last != idx; last++, d->seen++) {
			const uint8_t *e = d->used + 4 + (last & 15) * 8;

			d->wrong += load_le32(e) != (last & 15u) ||
				    load_le32(e + 4) != (uint32_t)d->seen;
		}
		while ((uint16_t)(offered - last) < 16) {
			store_le16(d->avail + 4 + (offered & 15) * 2,
				   offered & 15);
			offered++;
			atomic_store_explicit(
				(_Atomic uint16_t *)(void *)(d->avail + 2),
				offered, memory_order_release);
		}
	}
	return NULL;
}

static void test_v11_used_index(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct virtq *q = &k->dev->queue[0];
	struct driver d = {.kit = k};
	struct virtq_chain chain;
	uint32_t round = 0;
	pthread_t thread;

	start_at_table(k);
	for (unsigned int i = 0; i < 16; i++)
		kit_desc(k, 0, i, BUFFER, 8, KIT_WRITE, 0);
	d.used = kit_hva(k, k->queue[0].used, 256);
	d.avail = kit_hva(k, k->queue[0].avail, 64);
	assert_int_equal(pthread_create(&thread, NULL, drive, &d), 0);
	while (round < ROUNDS) {
		int r = virtq_pop(q, f->echo->iov, 16, &chain);

		assert_true(r >= 0);
		if (r > 0)
			virtq_push(q, chain.head, round++);
		if (r == 0 || round % 5 == 0)
			(void)!virtq_publish(q);
	}
	(void)!virtq_publish(q);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(d.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !IS_SANITIZED
		echo_test(test_v10_each_descriptor_is_read_once),
		echo_test(test_v10_indirect),
#endif
		echo_test(test_v11_used_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
