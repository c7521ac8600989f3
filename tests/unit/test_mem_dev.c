// SPDX-License-Identifier: Apache-2.0
/*
 * test_mem_dev.c - memory that comes and goes: what is plugged is found, what
 * is not goes, and a driver that lies gets an error
 */
#include "unit.h"

#include "virtio_kit.h"

#include "dev/mem.h"

#include <errno.h>
#include <sys/mman.h>

#define TOTAL MIB(512)
#define SLOT  MIB(128)
#define BLOCK MIB(2)
#define NR    (TOTAL / SLOT)

enum {
	PLUG,
	UNPLUG,
	UNPLUG_ALL,
	STATE,
};

enum {
	ACK,
	NACK,
	BUSY,
	ERROR,
	NOTHING = 99, /* no answer: the request came back unread */
};

/* KVM's side: which slots it has; @fail: it takes no more. */
struct fixture {
	struct kit kit;
	struct mem_dev *m;
	gpa_t base;
	bool slot[NR];
	bool fail;
	uint16_t state;
};

static int set_slot(void *ctx, uint64_t off, bool there)
{
	struct fixture *f = ctx;

	assert_int_equal(off % SLOT, 0);
	assert_true(off < TOTAL);
	if (there && f->fail)
		return -ENOMEM;
	assert_true(f->slot[off / SLOT] != there);
	f->slot[off / SLOT] = there;
	return 0;
}

static int open_mem(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct mem_slots slots = {set_slot, f};
	struct gmem_spec spec = {
		.kind = GMEM_HOT,
		.size = TOTAL,
		.slot_bytes = SLOT,
		.block_bytes = BLOCK,
		.fd = -1,
	};
	struct err err = {0};

	if (!f)
		return -1;
	kit_open(&f->kit);
	f->base = spec.gpa = gmem_room(&f->kit.mem, GIB(1));
	if (gmem_add(&f->kit.mem, &spec, &err) < 0 ||
	    mem_dev_new(&f->m, &f->kit.mem, &f->kit.loop, &slots, &err) < 0)
		return -1;
	kit_attach(&f->kit, &f->m->dev);
	*state = f;
	return 0;
}

static int close_mem(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->kit);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	kit_start(&f->kit,
		  MEM_F_UNPLUGGED_INACCESSIBLE | VIRTIO_F_INDIRECT_DESC, 16);
	kit_pump(&f->kit);
}

static void put_request(struct fixture *f, gpa_t at, uint16_t type, gpa_t addr,
			uint16_t nr)
{
	uint8_t *p = kit_hva(&f->kit, at, 24);

	store_le16(p, type);
	store_le64(p + 8, addr);
	store_le16(p + 16, nr);
}

/* Return: the answer's type. */
static unsigned int ask(struct fixture *f, uint16_t type, gpa_t addr,
			uint16_t nr)
{
	struct kit_buf bufs[2] = {
		{kit_alloc(&f->kit, 24), 24, false},
		{kit_alloc(&f->kit, 10), 10, true},
	};
	struct kit_used used = {0};

	put_request(f, bufs[0].gpa, type, addr, nr);
	(void)kit_add(&f->kit, 0, bufs, 2);
	kit_kick(&f->kit, 0);
	kit_pump(&f->kit);
	assert_true(kit_used(&f->kit, 0, &used));
	if (used.len == 0)
		return NOTHING;
	assert_int_equal(used.len, 10);
	f->state = kit_get16(&f->kit, bufs[1].gpa + 8);
	return kit_get16(&f->kit, bufs[1].gpa);
}

static uint64_t plugged(struct fixture *f)
{
	uint64_t size = kit_config(&f->kit, 40, 8);

	assert_int_equal(size,
			 gmem_plugged(gmem_hot(&f->kit.mem), f->base, TOTAL));
	return size;
}

/* Bytes of [@off, +@len) of the region that the host has pages for. */
static uint64_t resident(struct fixture *f, uint64_t off, uint64_t len)
{
	unsigned char *vec = calloc(len / PAGE_SIZE, 1);
	uint64_t bytes = 0;

	assert_non_null(vec);
	assert_int_equal(mincore(gmem_hot(&f->kit.mem)->hva + off, len, vec),
			 0);
	for (uint64_t i = 0; i < len / PAGE_SIZE; i++)
		bytes += (vec[i] & 1) * PAGE_SIZE;
	free(vec);
	return bytes;
}

static void offers_its_region(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(kit_read(&f->kit, KIT_DEVICE_ID), 24);
	assert_true(kit_offered(&f->kit) & MEM_F_UNPLUGGED_INACCESSIBLE);
	assert_int_equal(kit_config(&f->kit, 0, 8), BLOCK);
	assert_int_equal(kit_config(&f->kit, 16, 8), f->base);
	assert_int_equal(kit_config(&f->kit, 24, 8), TOTAL);
	assert_int_equal(kit_config(&f->kit, 32, 8), 0);
	kit_set_config(&f->kit, 48, GIB(1), 8);
	assert_int_equal(kit_config(&f->kit, 48, 8), 0);
}

static void a_driver_that_knows_too_little_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_true(kit_negotiate(&f->kit, VIRTIO_F_VERSION_1));
	assert_true(kit_add_queue(&f->kit, 0, 16));
	kit_add_status(&f->kit, VIRTIO_STATUS_DRIVER_OK);
	assert_true(kit_read(&f->kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(f->m->metrics.activate_fails, 1);
	assert_int_equal(mem_dev_request(f->m, BLOCK), -ENOTCONN);
}

static void a_request_reaches_the_driver(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mem_dev_request(f->m, BLOCK), -ENOTCONN);
	start(f);
	(void)kit_irqs(&f->kit);
	assert_int_equal(mem_dev_request(f->m, BLOCK + 1), -EINVAL);
	assert_int_equal(mem_dev_request(f->m, TOTAL + BLOCK), -EINVAL);
	assert_int_equal(kit_irqs(&f->kit), 0);
	assert_int_equal(mem_dev_request(f->m, BLOCK), 0);
	assert_int_equal(kit_irqs(&f->kit), 1);
	assert_true(kit_read(&f->kit, KIT_INTERRUPT_STATUS) &
		    VIRTIO_INT_CONFIG);
	assert_int_equal(kit_config(&f->kit, 48, 8), BLOCK);
	assert_int_equal(kit_config(&f->kit, 32, 8), SLOT);
	/* The usable part does not shrink under the driver. */
	assert_int_equal(mem_dev_request(f->m, SLOT + BLOCK), 0);
	assert_int_equal(mem_dev_request(f->m, 0), 0);
	assert_int_equal(kit_config(&f->kit, 32, 8), 2 * SLOT);
	assert_int_equal(ask(f, UNPLUG_ALL, 0, 0), ACK);
	assert_int_equal(kit_config(&f->kit, 32, 8), 0);
}

static void blocks_come_and_really_go(void **state)
{
	struct fixture *f = *state;
	const uint16_t nr = SLOT / BLOCK;
	gpa_t at = f->base + SLOT - BLOCK;

	start(f);
	assert_int_equal(mem_dev_request(f->m, SLOT + 2 * BLOCK), 0);
	assert_null(gmem_find(&f->kit.mem, at, 1));
	/* Over the edge of two slots. */
	assert_int_equal(ask(f, PLUG, at, 2), ACK);
	assert_true(f->slot[0] && f->slot[1] && !f->slot[2]);
	assert_int_equal(plugged(f), 2 * BLOCK);
	memset(gmem_find(&f->kit.mem, at, 2 * BLOCK), 1, 2 * BLOCK);
	/* What the guest may touch beside them. */
	gmem_hot(&f->kit.mem)->hva[0] = 1;
	assert_int_equal(ask(f, UNPLUG, at + BLOCK, 1), ACK);
	assert_true(f->slot[0] && !f->slot[1]);
	assert_null(gmem_find(&f->kit.mem, at, 2 * BLOCK));
	assert_non_null(gmem_find(&f->kit.mem, at, BLOCK));
	assert_int_equal(resident(f, SLOT, SLOT), 0);
	assert_true(resident(f, 0, SLOT) >= BLOCK);
	assert_int_equal(ask(f, UNPLUG, at, 1), ACK);
	assert_false(f->slot[0]);
	assert_int_equal(resident(f, 0, TOTAL), 0);
	assert_int_equal(ask(f, PLUG, f->base, nr), ACK);
	assert_int_equal(*(uint8_t *)gmem_find(&f->kit.mem, f->base, 1), 0);
	assert_int_equal(ask(f, PLUG, f->base + SLOT, 2), ACK);
	assert_int_equal(plugged(f), SLOT + 2 * BLOCK);
	assert_int_equal(f->m->metrics.plug_bytes, SLOT + 4 * BLOCK);
	assert_int_equal(ask(f, UNPLUG_ALL, 0, 0), ACK);
	assert_int_equal(plugged(f), 0);
	assert_false(f->slot[0] || f->slot[1]);
}

static void more_than_requested_is_refused(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(ask(f, PLUG, f->base, 1), ERROR);
	assert_int_equal(mem_dev_request(f->m, 2 * BLOCK), 0);
	assert_int_equal(ask(f, PLUG, f->base, 3), NACK);
	assert_int_equal(ask(f, PLUG, f->base, 2), ACK);
	assert_int_equal(ask(f, PLUG, f->base + 2 * BLOCK, 1), NACK);
	assert_int_equal(mem_dev_request(f->m, 0), 0);
	assert_int_equal(ask(f, PLUG, f->base + 2 * BLOCK, 1), NACK);
	assert_int_equal(plugged(f), 2 * BLOCK);
	assert_int_equal(f->m->metrics.plug_fails, 4);
}

static void ranges_that_make_no_sense_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct {
		gpa_t addr;
		uint16_t nr;
	} rows[] = {
		{f->base, 0},
		{f->base + 1, 1},
		{f->base + PAGE_SIZE, 1},
		{f->base - BLOCK, 1},
		{f->base - BLOCK, 2},
		{0, 1},
		{0, UINT16_MAX},
		{-(uint64_t)BLOCK, 1},
		{-(uint64_t)BLOCK, UINT16_MAX},
		{f->base + TOTAL, 1},
		{f->base + TOTAL - BLOCK, 2},
		{f->base, TOTAL / BLOCK + 1},
		{f->base, UINT16_MAX},
	};

	start(f);
	assert_int_equal(mem_dev_request(f->m, TOTAL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (uint16_t type = PLUG; type <= STATE; type++)
			if (type != UNPLUG_ALL)
				assert_int_equal(
					ask(f, type, rows[i].addr, rows[i].nr),
					ERROR);
	assert_int_equal(plugged(f), 0);
	assert_int_equal(ask(f, 4, f->base, 1), ERROR);
	assert_int_equal(ask(f, UINT16_MAX, f->base, 1), ERROR);
}

static void blocks_in_the_wrong_state_are_refused(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(mem_dev_request(f->m, TOTAL), 0);
	assert_int_equal(ask(f, UNPLUG, f->base, 1), ERROR);
	assert_int_equal(ask(f, PLUG, f->base + BLOCK, 1), ACK);
	assert_int_equal(ask(f, PLUG, f->base + BLOCK, 1), ERROR);
	assert_int_equal(ask(f, PLUG, f->base, 2), ERROR);
	assert_int_equal(ask(f, UNPLUG, f->base, 2), ERROR);
	assert_int_equal(ask(f, STATE, f->base, 2), ACK);
	assert_int_equal(f->state, 2);
	assert_int_equal(ask(f, STATE, f->base + BLOCK, 1), ACK);
	assert_int_equal(f->state, 0);
	assert_int_equal(ask(f, STATE, f->base, 1), ACK);
	assert_int_equal(f->state, 1);
	assert_int_equal(plugged(f), BLOCK);
}

static void a_host_that_is_full_is_busy(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(mem_dev_request(f->m, TOTAL), 0);
	assert_int_equal(ask(f, PLUG, f->base, 1), ACK);
	f->fail = true;
	assert_int_equal(ask(f, PLUG, f->base + SLOT - BLOCK, 2), BUSY);
	assert_int_equal(plugged(f), BLOCK);
	assert_true(f->slot[0] && !f->slot[1]);
	f->fail = false;
	assert_int_equal(ask(f, PLUG, f->base + SLOT - BLOCK, 2), ACK);
	assert_int_equal(plugged(f), 3 * BLOCK);
}

static void short_and_scattered_buffers(void **state)
{
	struct fixture *f = *state;
	gpa_t at = kit_alloc(&f->kit, 64);
	const struct {
		struct kit_buf bufs[4];
		unsigned int nr;
		uint32_t len;
	} rows[] = {
		{{{at, 23, false}, {at + 32, 10, true}}, 2, 0},
		{{{at, 24, false}, {at + 32, 9, true}}, 2, 0},
		{{{at, 24, false}}, 1, 0},
		{{{at + 32, 10, true}}, 1, 0},
		{{{f->base, 24, false}, {at + 32, 10, true}}, 2, 0},
		{{{at, 24, false}, {f->base, 10, true}}, 2, 0},
		{{{at, 1, false},
		  {at + 1, 23, false},
		  {at + 32, 3, true},
		  {at + 35, 40, true}},
		 4,
		 10},
	};
	struct kit_used used;

	start(f);
	assert_int_equal(mem_dev_request(f->m, TOTAL), 0);
	put_request(f, at, PLUG, f->base + SLOT, 1);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		size_t row = i / 2;

		if (i % 2)
			assert_int_equal(ask(f, UNPLUG_ALL, 0, 0), ACK);
		if (i % 2)
			(void)kit_add_indirect(&f->kit, 0, rows[row].bufs,
					       rows[row].nr);
		else
			(void)kit_add(&f->kit, 0, rows[row].bufs, rows[row].nr);
		kit_kick(&f->kit, 0);
		kit_pump(&f->kit);
		assert_true(kit_used(&f->kit, 0, &used));
		assert_int_equal(used.len, rows[row].len);
		assert_int_equal(plugged(f), used.len ? BLOCK : 0);
	}
}

static void its_own_queue_may_be_in_what_goes(void **state)
{
	struct fixture *f = *state;
	struct kit_buf bufs[2] = {
		{f->base, 24, false},
		{f->base + 64, 10, true},
	};
	struct kit_used used;

	start(f);
	assert_int_equal(mem_dev_request(f->m, TOTAL), 0);
	assert_int_equal(ask(f, PLUG, f->base, 1), ACK);
	put_request(f, f->base, UNPLUG, f->base, 1);
	(void)kit_add(&f->kit, 0, bufs, 2);
	kit_kick(&f->kit, 0);
	kit_pump(&f->kit);
	assert_true(kit_used(&f->kit, 0, &used));
	assert_int_equal(plugged(f), 0);
}

/* ---- saved state ---- */

struct state {
	uint64_t addr;
	uint64_t requested;
	uint64_t usable;
	char *plugged;
};

static void what_is_plugged_is_saved(void **state)
{
	struct fixture *f = *state;
	const struct virtio_dev_ops *ops = f->m->dev.ops;
	struct state s = {0};
	struct err err = {0};

	assert_int_equal(ops->state->size, sizeof(s));
	start(f);
	assert_int_equal(mem_dev_request(f->m, SLOT + BLOCK), 0);
	assert_int_equal(ask(f, PLUG, f->base + 3 * BLOCK, 2), ACK);
	assert_int_equal(ask(f, PLUG, f->base + SLOT, 1), ACK);
	ops->save(&f->m->dev, &s);
	assert_int_equal(strlen(s.plugged), TOTAL / BLOCK / 4);
	assert_memory_equal(s.plugged, "810000", 6);
	assert_int_equal(s.plugged[SLOT / BLOCK / 4], '1');
	assert_int_equal(ask(f, UNPLUG_ALL, 0, 0), ACK);
	assert_int_equal(ops->load(&f->m->dev, &s, &err), 0);
	assert_int_equal(plugged(f), 3 * BLOCK);
	assert_true(f->slot[0] && f->slot[1] && !f->slot[2]);
	free(s.plugged);
}

static void state_that_does_not_fit_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct virtio_dev_ops *ops = f->m->dev.ops;
	char text[TOTAL / BLOCK / 4 + 1];
	struct state good = {f->base, BLOCK, SLOT, text};
	struct state s;
	struct err err = {0};

	memset(text, '0', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	s = good;
	s.addr += BLOCK;
	assert_int_equal(ops->load(&f->m->dev, &s, &err), -EINVAL);
	s = good;
	s.requested = 1;
	assert_int_equal(ops->load(&f->m->dev, &s, &err), -EINVAL);
	s = good;
	s.usable = TOTAL + SLOT;
	assert_int_equal(ops->load(&f->m->dev, &s, &err), -EINVAL);
	s = good;
	s.usable = BLOCK;
	assert_int_equal(ops->load(&f->m->dev, &s, &err), -EINVAL);
	s = good;
	s.requested = 2 * SLOT;
	assert_int_equal(ops->load(&f->m->dev, &s, &err), -EINVAL);
	s = good;
	s.plugged = text + 1;
	assert_int_equal(ops->load(&f->m->dev, &s, &err), -EINVAL);
	text[0] = 'g';
	assert_int_equal(ops->load(&f->m->dev, &good, &err), -EINVAL);
	text[0] = '0';
	/* Behind the usable part. */
	text[SLOT / BLOCK / 4] = '1';
	assert_int_equal(ops->load(&f->m->dev, &good, &err), -EINVAL);
	text[SLOT / BLOCK / 4] = '0';
	assert_int_equal(ops->load(&f->m->dev, &good, &err), 0);
	assert_int_equal(plugged(f), 0);
}

#define mem_test(name) \
	cmocka_unit_test_setup_teardown(name, open_mem, close_mem)

int main(void)
{
	const struct CMUnitTest tests[] = {
		mem_test(offers_its_region),
		mem_test(a_driver_that_knows_too_little_is_refused),
		mem_test(a_request_reaches_the_driver),
		mem_test(blocks_come_and_really_go),
		mem_test(more_than_requested_is_refused),
		mem_test(ranges_that_make_no_sense_are_refused),
		mem_test(blocks_in_the_wrong_state_are_refused),
		mem_test(a_host_that_is_full_is_busy),
		mem_test(short_and_scattered_buffers),
		mem_test(its_own_queue_may_be_in_what_goes),
		mem_test(what_is_plugged_is_saved),
		mem_test(state_that_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
