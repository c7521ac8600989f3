// SPDX-License-Identifier: Apache-2.0
/*
 * test_bus.c - ranges, widths, nobody home
 */
#include "unit.h"

#include <errno.h>

#include "bus/bus.h"

struct probe {
	uint64_t off;
	unsigned int len;
	int calls;
};

static int probe_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct probe *p = dev;

	p->off = off;
	p->len = len;
	p->calls++;
	memset(data, 0x5a, len);
	return off == 3 ? -EINVAL : 0;
}

static int probe_write(void *dev, uint64_t off, const void *data,
		       unsigned int len)
{
	(void)data;
	return probe_read(dev, off, &(uint64_t){0}, len);
}

static const struct bus_ops ops = {probe_read, probe_write};

static void ranges(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};

	(void)state;
	assert_int_equal(bus_add(&bus, 100, 8, &ops, &p), 0);
	assert_int_equal(bus_add(&bus, 107, 1, &ops, &p), -EEXIST);
	assert_int_equal(bus_add(&bus, 99, 2, &ops, &p), -EEXIST);
	assert_int_equal(bus_add(&bus, 0, UINT64_MAX, &ops, &p), -EEXIST);
	assert_int_equal(bus_add(&bus, 50, 0, &ops, &p), -EINVAL);
	assert_int_equal(bus_add(&bus, UINT64_MAX, 2, &ops, &p), -EINVAL);
	assert_int_equal(bus_add(&bus, UINT64_MAX, 1, &ops, &p), 0);
	assert_int_equal(bus_add(&bus, 108, 1, &ops, &p), 0);
	assert_int_equal(bus_add(&bus, 0, 100, &ops, &p), 0);
	for (uint64_t i = 0; bus.nr_ranges < BUS_MAX_RANGES; i++)
		assert_int_equal(bus_add(&bus, 1000 + i, 1, &ops, &p), 0);
	assert_int_equal(bus_add(&bus, 5000, 1, &ops, &p), -ENOSPC);
}

static void accesses(void **state)
{
	struct bus bus = {0};
	struct probe p = {0};
	uint64_t v = 0;

	(void)state;
	assert_int_equal(bus_add(&bus, 100, 8, &ops, &p), 0);
	assert_true(bus_read(&bus, 104, &v, 4));
	assert_int_equal(v, 0x5a5a5a5a);
	assert_int_equal(p.off, 4);
	p.calls = 0;
	assert_false(bus_read(&bus, 106, &v, 4)); /* crosses the end */
	assert_int_equal(v, 0xffffffff);
	assert_false(bus_read(&bus, 99, &v, 2));
	assert_false(bus_read(&bus, 100, &v, 3)); /* no such width */
	assert_false(bus_write(&bus, UINT64_MAX, &v, 8));
	assert_false(bus_write(&bus, 0, &v, 1));
	assert_int_equal(p.calls, 0);
	v = 0;
	assert_false(bus_read(&bus, 103, &v, 1)); /* the device declines */
	assert_int_equal(v, 0xff);
	assert_true(bus_write(&bus, 100, &v, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
