// SPDX-License-Identifier: Apache-2.0
/*
 * test_mem_schedule.c - memory device: whatever happens in whatever order, each
 * request has the answer of a model, and KVM the slots that it should have
 */
#include "unit.h"

#include "schedule.h"
#include "schedule_driver.h"

#include "base/log.h"
#include "dev/mem.h"

#define TOTAL  MIB(1024)
#define SLOT   MIB(128)
#define BLOCK  MIB(8)
#define BLOCKS (TOTAL / BLOCK)
#define SLOTS  (TOTAL / SLOT)
#define WIRE   64u /* of a tag: the request, the answer 32 bytes behind it */

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
};

/**
 * struct world - the device, its driver, and what should be
 * @plugged, @requested, @usable:	the model; blocks
 * @slot:	KVM has it
 * @next:	tags in the order in which they were offered; @nr of them
 */
static struct world {
	struct driver d;
	struct mem_dev *m;
	gpa_t area;
	gpa_t base;
	bool plugged[BLOCKS];
	uint64_t requested;
	uint64_t usable;
	bool slot[SLOTS];
	bool loading;
	unsigned int next[DRIVER_TAGS];
	unsigned int nr;
} w;

static int set_slot(void *ctx, uint64_t off, bool there)
{
	(void)ctx;
	schedule_check(off % SLOT == 0 && off < TOTAL);
	schedule_check(w.slot[off / SLOT] != there);
	if (there && !w.loading && schedule_once_in(20))
		return -ENOMEM;
	w.slot[off / SLOT] = there;
	return 0;
}

static void make_device(void)
{
	const struct mem_slots slots = {set_slot, NULL};
	struct err err;

	schedule_check(mem_dev_new(&w.m, &w.d.kit.mem, &w.d.kit.loop, &slots,
				   &err) == 0);
	kit_attach(&w.d.kit, &w.m->dev);
}

static void open_world(void)
{
	struct gmem_spec spec = {
		.kind = GMEM_HOT,
		.size = TOTAL,
		.slot_bytes = SLOT,
		.block_bytes = BLOCK,
		.fd = -1,
	};
	struct err err;

	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	kit_open(&w.d.kit);
	schedule.loop = &w.d.kit.loop;
	w.base = spec.gpa = gmem_room(&w.d.kit.mem, GIB(1));
	schedule_check(gmem_add(&w.d.kit.mem, &spec, &err) == 0);
	w.area = kit_alloc(&w.d.kit, DRIVER_TAGS * WIRE);
	driver_place(&w.d, 1);
	make_device();
	driver_start(&w.d, MEM_F_UNPLUGGED_INACCESSIBLE, NULL, 0);
}

static void close_world(void)
{
	kit_close(&w.d.kit);
}

/* ---- the model ---- */

static uint64_t count(uint64_t from, uint64_t to)
{
	uint64_t nr = 0;

	for (uint64_t i = from; i < to; i++)
		nr += w.plugged[i];
	return nr;
}

static uint64_t usable_for(uint64_t requested)
{
	return (requested + SLOT / BLOCK - 1) / (SLOT / BLOCK) * (SLOT / BLOCK);
}

static void set_blocks(uint64_t from, uint64_t to, bool there)
{
	for (uint64_t i = from; i < to; i++)
		w.plugged[i] = there;
}

/* The answer to a request; BUSY is the host's, who says it when it likes. */
static unsigned int expect(unsigned int type, uint64_t addr, uint64_t nr,
			   bool busy, unsigned int *state)
{
	uint64_t at = (addr - w.base) / BLOCK, plugged;

	if (type == UNPLUG_ALL) {
		set_blocks(0, BLOCKS, false);
		w.usable = usable_for(w.requested);
		return ACK;
	}
	if (type > STATE || nr == 0 || addr < w.base || addr % BLOCK != 0 ||
	    at > w.usable || nr > w.usable - at)
		return ERROR;
	plugged = count(at, at + nr);
	if (type == STATE) {
		*state = plugged == 0 ? 1 : plugged == nr ? 0 : 2;
		return ACK;
	}
	if (plugged != (type == PLUG ? 0 : nr))
		return ERROR;
	if (type == PLUG && count(0, BLOCKS) + nr > w.requested)
		return NACK;
	if (busy)
		return BUSY;
	set_blocks(at, at + nr, type == PLUG);
	return ACK;
}

static void check_model(void)
{
	const struct gmem_region *r = gmem_hot(&w.d.kit.mem);

	for (uint64_t i = 0; i < BLOCKS; i++)
		schedule_check((gmem_plugged(r, w.base + i * BLOCK, BLOCK) ==
				BLOCK) == w.plugged[i]);
	for (uint64_t i = 0; i < SLOTS; i++)
		schedule_check(w.slot[i] ==
			       (count(i * (SLOT / BLOCK),
				      (i + 1) * (SLOT / BLOCK)) > 0));
	schedule_check(kit_config(&w.d.kit, 40, 8) == count(0, BLOCKS) * BLOCK);
	schedule_check(kit_config(&w.d.kit, 32, 8) == w.usable * BLOCK);
	schedule_check(kit_config(&w.d.kit, 48, 8) == w.requested * BLOCK);
}

/* ---- the driver ---- */

static uint8_t *wire_of(unsigned int tag)
{
	return kit_hva(&w.d.kit, w.area + (gpa_t)tag * WIRE, WIRE);
}

static void offer(void)
{
	uint16_t old = w.d.kit.queue[0].avail_idx;

	if (driver_broken(&w.d))
		return;
	for (uint64_t left = schedule_below(4) + 1; left > 0; left--) {
		unsigned int tag = driver_tag(&w.d, 0);
		gpa_t at = w.area + (gpa_t)tag * WIRE;
		struct kit_buf bufs[2] = {
			{at, 24, false},
			{at + 32, 10, true},
		};
		uint8_t *p;

		if (tag == DRIVER_TAGS)
			break;
		p = wire_of(tag);
		store_le16(p, schedule_once_in(30)
				      ? UNPLUG_ALL
				      : (uint16_t)(schedule_below(5) % 4));
		store_le64(p + 8, w.base + schedule_below(BLOCKS + 2) * BLOCK +
					  (schedule_once_in(20) ? 4096 : 0));
		store_le16(p + 16, (uint16_t)schedule_below(
					   schedule_once_in(4) ? 40 : 4));
		store_le16(p + 32, 0xffff);
		driver_offer(&w.d, 0, tag, bufs, 2);
		w.next[w.nr++] = tag;
	}
	driver_kick(&w.d, 0, old);
}

/* One at a time, and in their order. */
static void answer(unsigned int queue, unsigned int tag, uint32_t len)
{
	const uint8_t *p = wire_of(tag);
	unsigned int got = load_le16(p + 32), state = load_le16(p + 40);
	unsigned int want, want_state = 0;

	(void)queue;
	schedule_check(len == 10);
	schedule_check(w.nr > 0 && w.next[0] == tag);
	memmove(w.next, w.next + 1, --w.nr * sizeof(w.next[0]));
	want = expect(load_le16(p), load_le64(p + 8), load_le16(p + 16),
		      got == BUSY, &want_state);
	schedule_check(got == want);
	schedule_check(got != ACK || state == want_state);
}

static void one_callback(void)
{
	schedule_check(loop_step(&w.d.kit.loop, 0) == 0);
}

static void pump(void)
{
	driver_pump(&w.d, one_callback);
}

/* All that was asked has its answer, or the VM is paused. */
static void collect(void)
{
	driver_collect(&w.d, answer);
	if (w.nr == 0)
		check_model();
}

static void finish(void)
{
	driver_resume(&w.d);
	pump();
	driver_collect(&w.d, answer);
	schedule_check(w.nr == 0);
	check_model();
}

/* What the host wants changes between two requests: the model would not know
 * between which. */
static void request(void)
{
	uint64_t blocks = schedule_below(BLOCKS + 1);

	if (driver_broken(&w.d))
		return;
	finish();
	schedule_check(mem_dev_request(w.m, blocks * BLOCK) == 0);
	w.requested = blocks;
	if (usable_for(blocks) > w.usable)
		w.usable = usable_for(blocks);
}

static void pause_vm(void)
{
	driver_pause(&w.d);
}

static void resume_vm(void)
{
	driver_resume(&w.d);
}

/* A new process: nothing is plugged there before the load. */
static void make_again(void)
{
	struct gmem *mem = &w.d.kit.mem;

	for (uint64_t i = 0; i < BLOCKS; i++)
		schedule_check(gmem_unplug(mem, w.base + i * BLOCK, BLOCK) ==
			       0);
	memset(w.slot, 0, sizeof(w.slot));
	w.loading = true;
	make_device();
}

static void save_and_load(void)
{
	driver_save_and_load(&w.d, make_again);
	w.loading = false;
	if (w.nr == 0)
		check_model();
}

static void reset(void)
{
	if (!driver_broken(&w.d))
		finish();
	kit_write(&w.d.kit, KIT_STATUS, 0);
	schedule_check(kit_read(&w.d.kit, KIT_STATUS) == 0);
	w.nr = 0;
	driver_start(&w.d, MEM_F_UNPLUGGED_INACCESSIBLE, NULL, 0);
	check_model();
}

static void break_ring(void)
{
	if (!driver_broken(&w.d))
		finish();
	driver_break(&w.d, 0);
	resume_vm();
	pump();
	reset();
}

static void settle(void)
{
	if (driver_broken(&w.d))
		reset();
	finish();
}

static const struct schedule_step steps[] = {
	{"offer", 30, offer},     {"callback", 20, one_callback},
	{"pump", 5, pump},        {"collect", 15, collect},
	{"request", 5, request},  {"pause", 2, pause_vm},
	{"resume", 4, resume_vm}, {"save and load", 1, save_and_load},
	{"reset", 1, reset},      {"break the ring", 1, break_ring},
};

static const struct schedule_plan plan = {
	.name = "mem",
	.steps = 20000,
	.step = steps,
	.nr = ARRAY_SIZE(steps),
	.open = open_world,
	.settle = settle,
	.close = close_world,
};

int main(void)
{
	return schedule_main(&plan);
}
