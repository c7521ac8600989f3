// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtio_device.c - what all devices share: life, interrupts, features
 */
#include "unit.h"

#include "virtio_echo.h"
#include "virtio_kit.h"

struct fixture {
	struct kit kit;
	struct echo *echo;
};

static int open_echo(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	kit_open(&f->kit);
	f->echo = echo_new(&f->kit.mem, &f->kit.loop);
	kit_attach(&f->kit, &f->echo->dev);
	*state = f;
	return 0;
}

static int close_echo(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->kit);
	free(f);
	return 0;
}

/* "abc" there, "abc" back. */
static void round_trip(struct fixture *f, unsigned int queue, bool indirect)
{
	struct kit *k = &f->kit;
	struct kit_buf bufs[2] = {
		{kit_alloc(k, 3), 3, false},
		{kit_alloc(k, 8), 8, true},
	};
	struct kit_used used;
	uint16_t head;

	memcpy(kit_hva(k, bufs[0].gpa, 3), "abc", 3);
	head = indirect ? kit_add_indirect(k, queue, bufs, 2)
			: kit_add(k, queue, bufs, 2);
	kit_kick(k, queue);
	kit_pump(k);
	assert_true(kit_used(k, queue, &used));
	assert_int_equal(used.head, head);
	assert_int_equal(used.len, 3);
	assert_memory_equal(kit_hva(k, bufs[1].gpa, 4), "abc\0", 4);
	assert_false(kit_used(k, queue, &used));
}

static void both_queues_direct_and_indirect(void **state)
{
	struct fixture *f = *state;

	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 8);
	for (unsigned int i = 0; i < 100; i++)
		round_trip(f, i & 1, i & 2);
	assert_int_equal(f->echo->nr_chains, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_queues_direct_and_indirect,
						open_echo, close_echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
