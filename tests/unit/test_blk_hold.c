// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk_hold.c - block device: how often a guest is interrupted
 *
 * The engine is one that takes a time of the test's choice for each call; time
 * is virtual. The driver has no EVENT_IDX, so that each showing is an
 * interrupt.
 */
#include "blk_rig.h"
#include "schedule.h"

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull

/**
 * struct slow - an engine like Sync on a disk as slow as the test wants
 * @each_ns:	a call's time
 * @meanwhile:	what the guest does in that time; NULL: nothing
 */
static struct slow {
	struct block_engine engine;
	struct rig *rig;
	void *tag;
	uint64_t each_ns;
	void (*meanwhile)(struct rig *rig);
} slow;

static int slow_fd(struct block_engine *e)
{
	(void)e;
	return -1;
}

static bool slow_add(struct block_engine *e, const struct block_call *call,
		     void *tag)
{
	(void)e;
	(void)call;
	slow.tag = tag;
	return true;
}

static int slow_submit(struct block_engine *e)
{
	(void)e;
	return 0;
}

static bool slow_take_back(struct block_engine *e, void **tag)
{
	(void)e;
	(void)tag;
	return false;
}

static bool slow_next(struct block_engine *e, void **tag, int64_t *result)
{
	(void)e;
	if (!slow.tag)
		return false;
	schedule.now += slow.each_ns;
	if (slow.meanwhile)
		slow.meanwhile(slow.rig);
	*tag = slow.tag;
	*result = SECTOR;
	slow.tag = NULL;
	return true;
}

static bool slow_wait(struct block_engine *e, uint64_t deadline_ns)
{
	(void)e;
	(void)deadline_ns;
	return slow.tag != NULL;
}

static void slow_free(struct block_engine *e)
{
	(void)e;
}

static const struct block_engine_ops slow_ops = {
	.slots = 1,
	.piece = BLOCK_PIECE,
	.fd = slow_fd,
	.add = slow_add,
	.submit = slow_submit,
	.take_back = slow_take_back,
	.next = slow_next,
	.wait = slow_wait,
	.free = slow_free,
};

static void slow_open(struct rig *rig, uint64_t each_ns)
{
	struct blk_params params;

	schedule = (struct schedule){.now = 1000 * NS_PER_MS};
	slow = (struct slow){
		.engine.ops = &slow_ops,
		.rig = rig,
		.each_ns = each_ns,
	};
	rig_begin(rig, scratch_file(".", DISK_BYTES));
	params = rig_params(rig, SYNC);
	params.engine = &slow.engine;
	assert_int_equal(block_file_init(&params.file, rig->fd), 0);
	rig_make(rig, &params);
	kit_start(&rig->kit, VIRTIO_F_VERSION_1, 256);
	kit_pump(&rig->kit);
	(void)kit_irqs(&rig->kit);
}

/* Reads of one sector, into the same memory; nobody is told. */
static void offer(struct rig *rig, unsigned int nr)
{
	const struct kit_buf bufs[] = {
		{rig->header, 16, false},
		{rig->data, SECTOR, true},
		{rig->status, 1, true},
	};

	while (nr-- > 0)
		(void)kit_add(&rig->kit, 0, bufs, ARRAY_SIZE(bufs));
}

static unsigned int collect(struct rig *rig)
{
	unsigned int nr = 0;
	struct kit_used used;

	while (kit_used(&rig->kit, 0, &used))
		nr++;
	return nr;
}

/* So many at once. Return: interrupts until all are back. */
static uint64_t interrupts(unsigned int depth, uint64_t each_ns)
{
	struct rig rig;
	uint64_t irqs;

	slow_open(&rig, each_ns);
	rig_put_header(&rig, T_IN, 0);
	offer(&rig, depth);
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	assert_int_equal(collect(&rig), depth);
	irqs = kit_irqs(&rig.kit);
	rig_close(&rig);
	return irqs;
}

static void test_a_fast_disk_interrupts_once(void **state)
{
	(void)state;
	assert_int_equal(interrupts(1, 10 * NS_PER_US), 1);
	assert_int_equal(interrupts(32, 10 * NS_PER_US), 1);
	assert_int_equal(interrupts(80, 10 * NS_PER_US), 1);
}

/* 24 of 32, then the rest. Rounds of 10 ms come and go meanwhile. */
static void test_a_slow_one_when_three_of_four_are_done(void **state)
{
	(void)state;
	assert_int_equal(interrupts(4, 6 * NS_PER_MS), 2);
	assert_int_equal(interrupts(32, 1 * NS_PER_MS), 2);
	assert_int_equal(interrupts(2, 1 * NS_PER_MS), 1);
}

/* Seven of 10 ms each are shown when the first is held for 60; of the last
 * seven six, as only one waits. */
static void test_none_is_held_for_long(void **state)
{
	(void)state;
	assert_int_equal(interrupts(70, 10 * NS_PER_MS), 11);
	assert_int_equal(interrupts(8, 100 * NS_PER_MS), 4);
}

#define DEPTH 32u

/* The guest's turn: what came back is replaced, without a kick. */
static void refill(struct rig *rig)
{
	unsigned int nr;

	if (kit_irqs(&rig->kit) == 0)
		return;
	nr = collect(rig);
	/* There is more to do, so nobody has to be told. */
	assert_int_equal(kit_get16(&rig->kit, rig->kit.queue[0].used) & 1, 1);
	assert_true(nr >= DEPTH * 3 / 4);
	offer(rig, nr);
}

static void test_a_full_queue_never_runs_dry(void **state)
{
	struct rig rig;
	uint64_t end;

	(void)state;
	slow_open(&rig, 1 * NS_PER_MS);
	slow.meanwhile = refill;
	rig_put_header(&rig, T_IN, 0);
	offer(&rig, DEPTH);
	kit_kick(&rig.kit, 0);
	end = schedule.now + 1000 * NS_PER_MS;
	/* Each callback has something to do, and ends. */
	while (schedule.now < end) {
		uint64_t before = schedule.now;

		assert_int_equal(loop_step(&rig.kit.loop, 0), 0);
		assert_true(schedule.now > before);
		assert_true(schedule.now - before < 20 * NS_PER_MS);
	}
	rig_close(&rig);
}

/* Answers that are held when the VM pauses are shown to a snapshot. */
static void test_a_pause_shows_them(void **state)
{
	struct rig rig;

	(void)state;
	slow_open(&rig, 1 * NS_PER_MS);
	rig_put_header(&rig, T_IN, 0);
	offer(&rig, DEPTH);
	kit_kick(&rig.kit, 0);
	assert_int_equal(loop_step(&rig.kit.loop, 0), 0);
	assert_int_equal(kit_irqs(&rig.kit), 0);
	virtio_dev_pause(rig.kit.dev);
	assert_int_equal(
		virtio_dev_drain(rig.kit.dev, schedule.now + 5000 * NS_PER_MS),
		0);
	assert_int_equal(kit_irqs(&rig.kit), 1);
	assert_true(collect(&rig) > 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fast_disk_interrupts_once),
		cmocka_unit_test(test_a_slow_one_when_three_of_four_are_done),
		cmocka_unit_test(test_none_is_held_for_long),
		cmocka_unit_test(test_a_full_queue_never_runs_dry),
		cmocka_unit_test(test_a_pause_shows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
