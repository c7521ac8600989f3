// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtio_device.c - what all devices share: life, interrupts, features
 */
#include "unit.h"

#include "virtio_fixture.h"

static void both_queues_direct_and_indirect(void **state)
{
	struct fixture *f = *state;

	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 8);
	for (unsigned int i = 0; i < 100; i++)
		assert_true(round_trip(&f->kit, i & 1, i & 2));
	assert_int_equal(f->echo->nr_chains, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		echo_test(both_queues_direct_and_indirect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
