// SPDX-License-Identifier: Apache-2.0
/*
 * test_rtc.c - CMOS clock in each of its forms; ACPI registers
 */
#include "unit.h"

#include "dev/acpi_pm.h"
#include "dev/rtc.h"

#include <string.h>

/* 2026-11-23 15:07:09 UTC, a Monday */
static time_t monday(time_t *out)
{
	(void)out;
	return 1795446429;
}

static uint8_t reg(struct rtc *rtc, uint8_t index)
{
	uint8_t v = 0;

	assert_int_equal(rtc_bus_ops.write(rtc, 0, &index, 1), 0);
	assert_int_equal(rtc_bus_ops.read(rtc, 1, &v, 1), 0);
	return v;
}

static void set(struct rtc *rtc, uint8_t index, uint8_t v)
{
	assert_int_equal(rtc_bus_ops.write(rtc, 0, &index, 1), 0);
	assert_int_equal(rtc_bus_ops.write(rtc, 1, &v, 1), 0);
}

static void forms(void **state)
{
	static const struct {
		uint8_t b;
		uint8_t want[9]; /* s m h weekday day month year century D */
	} rows[] = {
		{0x02, {0x09, 0x07, 0x15, 0x02, 0x23, 0x11, 0x26, 0x20, 0x80}},
		{0x06, {9, 7, 15, 2, 23, 11, 26, 20, 0x80}},
		{0x00, {0x09, 0x07, 0x83, 0x02, 0x23, 0x11, 0x26, 0x20, 0x80}},
		{0x04, {9, 7, 0x83, 2, 23, 11, 26, 20, 0x80}},
	};
	static const uint8_t index[] = {0, 2, 4, 6, 7, 8, 9, 0x32, 0x0d};
	struct rtc rtc = {0};

	(void)state;
	rtc_init(&rtc);
	rtc.clock = monday;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set(&rtc, 0x0b, rows[i].b);
		for (size_t j = 0; j < ARRAY_SIZE(index); j++)
			assert_int_equal(reg(&rtc, index[j]), rows[i].want[j]);
	}
	rtc_fini(&rtc);
}

static void memory_and_limits(void **state)
{
	struct rtc rtc = {0};
	uint16_t wide = 0;

	(void)state;
	rtc_init(&rtc);
	set(&rtc, 0x7f, 0xa5);
	assert_int_equal(reg(&rtc, 0x7f), 0xa5);
	assert_int_equal(reg(&rtc, 0xff), 0xa5); /* bit 7 masks NMIs */
	set(&rtc, 0x0a, 0xff);
	assert_int_equal(reg(&rtc, 0x0a) & 0x80, 0); /* never updating */
	assert_int_equal(reg(&rtc, 0x0c), 0);
	assert_true(rtc_bus_ops.read(&rtc, 0, &wide, 1) < 0);
	assert_true(rtc_bus_ops.read(&rtc, 1, &wide, 2) < 0);
	assert_true(rtc_bus_ops.write(&rtc, 0, &wide, 2) < 0);
	rtc_fini(&rtc);
}

struct ends {
	int resets;
	int poweroffs;
};

static void on_reset(void *ctx)
{
	((struct ends *)ctx)->resets++;
}

static void on_poweroff(void *ctx)
{
	((struct ends *)ctx)->poweroffs++;
}

/* Of all values of all registers, one resets and the S5 ones power off. */
static void acpi_registers(void **state)
{
	struct ends ends = {0};
	struct acpi_pm pm = {
		.sleep_control_off = 0,
		.reset_off = 2,
		.reset_value = 1,
		.s5 = 0x20 | 5 << 2,
		.reset = on_reset,
		.poweroff = on_poweroff,
		.ctx = &ends,
	};
	uint8_t read = 0xff;

	(void)state;
	for (uint64_t off = 0; off < 8; off++)
		for (unsigned int v = 0; v < 256; v++) {
			uint8_t byte = (uint8_t)v;

			assert_int_equal(
				acpi_pm_bus_ops.write(&pm, off, &byte, 1), 0);
		}
	assert_int_equal(ends.resets, 1);
	assert_int_equal(ends.poweroffs, 16); /* other bits are not ours */
	assert_int_equal(acpi_pm_bus_ops.read(&pm, 1, &read, 1), 0);
	assert_int_equal(read, 0);
	assert_true(acpi_pm_bus_ops.write(&pm, 2, &(uint16_t){1}, 2) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(memory_and_limits),
		cmocka_unit_test(acpi_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
