// SPDX-License-Identifier: Apache-2.0
/*
 * test_boot_timer.c - the guest's one byte that says that init runs
 */
#include "unit.h"

#include "base/log.h"
#include "dev/boot_timer.h"

#include <errno.h>

static void count(void *ctx)
{
	++*(unsigned int *)ctx;
}

static int write_to(struct boot_timer *t, uint64_t off, const void *data,
		    unsigned int len)
{
	return boot_timer_bus_ops.write(t, off, data, len);
}

/* Only 123 in the first byte, one byte wide; each time it comes. */
static void what_fires(void **state)
{
	static const uint8_t right[8] = {BOOT_TIMER_VALUE};
	static const uint8_t wrong[1] = {BOOT_TIMER_VALUE + 1};
	unsigned int fired = 0;
	struct boot_timer t;

	(void)state;
	log_settings.level = LOG_OFF;
	boot_timer_init(&t, count, &fired);
	assert_int_equal(write_to(&t, 0, wrong, 1), -EINVAL);
	assert_int_equal(write_to(&t, 1, right, 1), -EINVAL);
	for (unsigned int len = 2; len <= 8; len *= 2)
		assert_int_equal(write_to(&t, 0, right, len), -EINVAL);
	assert_int_equal(fired, 0);
	assert_int_equal(write_to(&t, 0, right, 1), 0);
	assert_int_equal(write_to(&t, 0, right, 1), 0);
	assert_int_equal(fired, 2);
}

/* -errno: the bus answers with all ones, as nobody were there. */
static void no_reads(void **state)
{
	unsigned int fired = 0;
	struct boot_timer t;
	uint8_t data[1] = {5};

	(void)state;
	boot_timer_init(&t, count, &fired);
	assert_true(boot_timer_bus_ops.read(&t, 0, data, 1) < 0);
	assert_int_equal(data[0], 5);
	assert_int_equal(fired, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fires),
		cmocka_unit_test(no_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
