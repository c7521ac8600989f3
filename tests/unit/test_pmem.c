// SPDX-License-Identifier: Apache-2.0
/*
 * test_pmem.c - files that are memory: where they lie, what a flush does, and
 * what a driver that lies gets
 */
#include "unit.h"

#include "virtio_kit.h"

#include "dev/pmem.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FILE_BYTES (MIB(1) + 100)
#define EIO_ANSWER 1u
#define UNTOUCHED  0xa5a5a5a5u
#define NOTHING    99u /* the request came back unread */

struct fixture {
	struct kit kit;
	struct pmem *p;
	int fd;
	gpa_t base;
};

static int make_file(void)
{
	int fd = memfd_create("pmem", MFD_CLOEXEC);

	if (fd >= 0 &&
	    (ftruncate(fd, FILE_BYTES) < 0 || pwrite(fd, "begin", 5, 0) != 5 ||
	     pwrite(fd, "end", 3, FILE_BYTES - 3) != 3))
		return -1;
	return fd;
}

static int make_device(struct fixture *f)
{
	const struct pmem_params params = {
		.id = "p",
		.mem = &f->kit.mem,
		.loop = &f->kit.loop,
		.region = gmem_device(&f->kit.mem, 0),
		.fd = f->fd,
		.file_bytes = FILE_BYTES,
	};
	struct err err = {0};

	if (pmem_new(&f->p, &params, &err) < 0)
		return -1;
	kit_attach(&f->kit, &f->p->dev);
	return 0;
}

static int open_as(void **state, bool read_only)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct gmem_spec spec = {
		.kind = GMEM_DEVICE,
		.size = MIB(2),
		.file_bytes = FILE_BYTES,
		.shared = true,
		.read_only = read_only,
	};
	struct err err = {0};

	if (!f)
		return -1;
	kit_open(&f->kit);
	f->fd = spec.fd = make_file();
	f->base = spec.gpa = gmem_room(&f->kit.mem, MIB(2));
	if (f->fd < 0 || gmem_add(&f->kit.mem, &spec, &err) < 0)
		return -1;
	*state = f;
	return make_device(f);
}

static int open_pmem(void **state)
{
	return open_as(state, false);
}

static int open_read_only(void **state)
{
	return open_as(state, true);
}

static int close_pmem(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->kit);
	if (f->fd >= 0)
		(void)close(f->fd);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC, 16);
	kit_pump(&f->kit);
}

/* A request of @type whose answer goes to @answer. */
static void offer(struct fixture *f, uint32_t type, gpa_t answer)
{
	struct kit_buf bufs[2] = {
		{kit_alloc(&f->kit, 4), 4, false},
		{answer, 4, true},
	};

	store_le32(kit_hva(&f->kit, bufs[0].gpa, 4), type);
	(void)kit_add(&f->kit, 0, bufs, 2);
}

static void kick(struct fixture *f)
{
	kit_kick(&f->kit, 0);
	kit_pump(&f->kit);
}

static uint32_t answer_at(struct fixture *f, gpa_t gpa)
{
	return load_le32(kit_hva(&f->kit, gpa, 4));
}

static unsigned int ask(struct fixture *f, uint32_t type)
{
	gpa_t answer = kit_alloc(&f->kit, 4);
	struct kit_used used = {0};

	store_le32(kit_hva(&f->kit, answer, 4), UNTOUCHED);
	offer(f, type, answer);
	kick(f);
	assert_true(kit_used(&f->kit, 0, &used));
	if (used.len == 0)
		return NOTHING;
	assert_int_equal(used.len, 4);
	return answer_at(f, answer);
}

/* ---- where it lies ---- */

static void the_config_space_says_where(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(kit_read(&f->kit, KIT_DEVICE_ID), 27);
	assert_int_equal(kit_config(&f->kit, 0, 8), f->base);
	assert_int_equal(kit_config(&f->kit, 8, 8), MIB(2));
	assert_int_equal(f->base % MIB(2), 0);
	/* It is the device's to say. */
	kit_set_config(&f->kit, 0, 0, 4);
	assert_int_equal(kit_config(&f->kit, 0, 8), f->base);
}

static void what_is_stored_is_in_the_file(void **state)
{
	struct fixture *f = *state;
	char text[5];

	start(f);
	assert_int_equal(gmem_read(&f->kit.mem, f->base, text, 5), 0);
	assert_memory_equal(text, "begin", 5);
	assert_int_equal(
		gmem_write(&f->kit.mem, f->base + PAGE_SIZE, "store", 5), 0);
	assert_int_equal(ask(f, 0), 0);
	assert_int_equal(pread(f->fd, text, 5, PAGE_SIZE), 5);
	assert_memory_equal(text, "store", 5);
	assert_int_equal(f->p->metrics.flush_count, 1);
}

/* Nor does it grow. */
static void behind_the_file_are_zeros(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char text[3];

	assert_int_equal(
		gmem_read(&f->kit.mem, f->base + FILE_BYTES - 3, text, 3), 0);
	assert_memory_equal(text, "end", 3);
	for (uint64_t off = FILE_BYTES; off < MIB(2); off++) {
		char byte = 1;

		assert_int_equal(
			gmem_read(&f->kit.mem, f->base + off, &byte, 1), 0);
		assert_int_equal(byte, 0);
	}
	assert_int_equal(gmem_write(&f->kit.mem, f->base + MIB(2) - 1, "x", 1),
			 0);
	assert_int_equal(fstat(f->fd, &st), 0);
	assert_int_equal(st.st_size, FILE_BYTES);
	assert_int_equal(gmem_write(&f->kit.mem, f->base + MIB(2), "x", 1),
			 -EFAULT);
}

static void read_only_memory_takes_no_buffer(void **state)
{
	struct fixture *f = *state;
	struct kit_used used = {0};
	char text[5];

	start(f);
	assert_null(gmem_find(&f->kit.mem, f->base, 1));
	assert_int_equal(gmem_write(&f->kit.mem, f->base, "x", 1), -EFAULT);
	/* Nor do the zeros behind the file. */
	assert_null(gmem_find(&f->kit.mem, f->base + MIB(2) - 1, 1));
	offer(f, 0, f->base);
	kick(f);
	assert_true(kit_used(&f->kit, 0, &used));
	assert_int_equal(used.len, 0);
	assert_int_equal(pread(f->fd, text, 5, 0), 5);
	assert_memory_equal(text, "begin", 5);
	/* There is nothing to flush. */
	(void)close(f->fd);
	f->fd = f->p->fd = -1;
	assert_int_equal(ask(f, 0), 0);
}

/* ---- requests ---- */

static void a_host_that_fails_is_told(void **state)
{
	struct fixture *f = *state;

	start(f);
	f->p->fd = -1;
	assert_int_equal(ask(f, 0), EIO_ANSWER);
	assert_int_equal(f->p->metrics.event_fails, 1);
}

static void unknown_requests_fail(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(ask(f, 1), EIO_ANSWER);
	assert_int_equal(ask(f, 0xffffffff), EIO_ANSWER);
	assert_int_equal(f->p->metrics.event_fails, 2);
	assert_int_equal(f->p->metrics.flush_count, 0);
}

static void requests_of_a_wrong_form_come_back_unread(void **state)
{
	struct fixture *f = *state;
	struct kit_buf forms[][2] = {
		{{MIB(2), 4, false}, {MIB(2) + 64, 3, true}},
		{{MIB(2), 3, false}, {MIB(2) + 64, 4, true}},
		{{MIB(2), 4, false}, {MIB(2) + 64, 4, false}},
		{{MIB(2), 4, true}, {MIB(2) + 64, 4, true}},
		{{GIB(3), 4, false}, {MIB(2) + 64, 4, true}},
		{{MIB(2), 4, false}, {f->base + MIB(2) - 2, 4, true}},
	};

	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct kit_used used = {0};

		(void)kit_add(&f->kit, 0, forms[i], 2);
		kick(f);
		assert_true(kit_used(&f->kit, 0, &used));
		assert_int_equal(used.len, 0);
	}
	assert_int_equal(f->p->metrics.event_fails, ARRAY_SIZE(forms));
	assert_int_equal(ask(f, 0), 0);
}

/* Split as the driver likes; the answer may be in the file itself. */
static void buffers_may_be_in_pieces(void **state)
{
	struct fixture *f = *state;
	gpa_t at = kit_alloc(&f->kit, 64);
	struct kit_buf bufs[] = {
		{at, 1, false},     {at + 8, 3, false},      {at + 16, 1, true},
		{at + 24, 2, true}, {f->base + 77, 1, true}, {at + 32, 9, true},
	};
	struct kit_used used = {0};
	char byte;

	start(f);
	memset(kit_hva(&f->kit, at + 16, 48), 0xff, 48);
	assert_int_equal(gmem_write(&f->kit.mem, f->base + 77, "x", 1), 0);
	(void)kit_add(&f->kit, 0, bufs, ARRAY_SIZE(bufs));
	kick(f);
	assert_true(kit_used(&f->kit, 0, &used));
	assert_int_equal(used.len, 4);
	assert_int_equal(*(uint8_t *)kit_hva(&f->kit, at + 16, 1), 0);
	assert_int_equal(kit_get16(&f->kit, at + 24), 0);
	assert_int_equal(*(uint8_t *)kit_hva(&f->kit, at + 32, 1), 0xff);
	assert_int_equal(pread(f->fd, &byte, 1, 77), 1);
	assert_int_equal(byte, 0);
}

static void one_kick_answers_all(void **state)
{
	struct fixture *f = *state;
	gpa_t answer = kit_alloc(&f->kit, 64);
	struct kit_used used;

	start(f);
	memset(kit_hva(&f->kit, answer, 64), 0xff, 64);
	for (unsigned int i = 0; i < 5; i++)
		offer(f, i == 2 ? 7 : 0, answer + 4 * (gpa_t)i);
	kick(f);
	for (unsigned int i = 0; i < 5; i++) {
		assert_true(kit_used(&f->kit, 0, &used));
		assert_int_equal(answer_at(f, answer + 4 * (gpa_t)i),
				 i == 2 ? EIO_ANSWER : 0);
	}
	assert_false(kit_used(&f->kit, 0, &used));
	assert_int_equal(f->p->metrics.flush_count, 4);
}

static void the_limiter_makes_flushes_wait(void **state)
{
	struct fixture *f = *state;
	gpa_t answer = kit_alloc(&f->kit, 16);
	struct kit_used used;

	start(f);
	token_bucket_init(&f->p->limiter.ops, 1, 0, 3600000, 0);
	rate_limiter_changed(&f->p->limiter);
	assert_int_equal(ask(f, 0), 0);
	offer(f, 0, answer);
	kick(f);
	assert_false(kit_used(&f->kit, 0, &used));
	assert_int_equal(f->p->metrics.rate_limiter_throttled_events, 1);
	/* The limit goes: nothing is lost. */
	token_bucket_init(&f->p->limiter.ops, 0, 0, 0, 0);
	rate_limiter_changed(&f->p->limiter);
	assert_true(kit_wait_used(&f->kit, 0, &used));
	assert_int_equal(answer_at(f, answer), 0);
}

static void a_broken_ring_needs_a_reset(void **state)
{
	struct fixture *f = *state;

	start(f);
	kit_put16(&f->kit, f->kit.queue[0].avail + 2, 100);
	kick(f);
	assert_int_equal(kit_read(&f->kit, KIT_STATUS) & 64, 64);
	kit_write(&f->kit, KIT_STATUS, 0);
	start(f);
	assert_int_equal(ask(f, 0), 0);
}

/* ---- saved ---- */

static void a_file_of_another_size_is_not_loaded(void **state)
{
	struct fixture *f = *state;
	const struct virtio_dev_ops *ops = f->p->dev.ops;
	uint64_t saved[3]; /* start, size, bytes of the file */
	struct err err = {0};

	assert_int_equal(ops->state->size, sizeof(saved));
	ops->save(&f->p->dev, saved);
	assert_int_equal(saved[0], f->base);
	assert_int_equal(ops->load(&f->p->dev, saved, &err), 0);
	saved[2]--;
	assert_int_equal(ops->load(&f->p->dev, saved, &err), -EINVAL);
	saved[2]++;
	saved[0] += MIB(2);
	assert_int_equal(ops->load(&f->p->dev, saved, &err), -EINVAL);
	saved[0] -= MIB(2);
	saved[1] *= 2;
	assert_int_equal(ops->load(&f->p->dev, saved, &err), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pmem, close_pmem)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_config_space_says_where),
		TEST(what_is_stored_is_in_the_file),
		TEST(behind_the_file_are_zeros),
		cmocka_unit_test_setup_teardown(
			read_only_memory_takes_no_buffer, open_read_only,
			close_pmem),
		TEST(a_host_that_fails_is_told),
		TEST(unknown_requests_fail),
		TEST(requests_of_a_wrong_form_come_back_unread),
		TEST(buffers_may_be_in_pieces),
		TEST(one_kick_answers_all),
		TEST(the_limiter_makes_flushes_wait),
		TEST(a_broken_ring_needs_a_reset),
		TEST(a_file_of_another_size_is_not_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
