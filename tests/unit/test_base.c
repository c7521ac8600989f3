// SPDX-License-Identifier: Apache-2.0
/*
 * test_base.c - checked arithmetic, CRC-64, errors in words
 */
#include "unit.h"

#include <errno.h>
#include <limits.h>

#include "base/bits.h"
#include "base/crc64.h"
#include "base/err.h"

static void range_fits_edges(void **state)
{
	(void)state;
	assert_true(range_fits(0, 0, 0));
	assert_true(range_fits(0, 10, 10));
	assert_true(range_fits(10, 0, 10));
	assert_false(range_fits(10, 1, 10));
	assert_false(range_fits(11, 0, 10));
	assert_false(range_fits(1, UINT64_MAX, UINT64_MAX));
	assert_false(range_fits(UINT64_MAX, UINT64_MAX, 10));
	assert_true(range_fits(0, UINT64_MAX, UINT64_MAX));
}

static void align_edges(void **state)
{
	uint64_t out = 7;

	(void)state;
	assert_true(align_up_checked(1, 4096, &out));
	assert_int_equal(out, 4096);
	out = 7;
	assert_false(align_up_checked(UINT64_MAX - 10, 4096, &out));
	assert_int_equal(out, 7);
	assert_int_equal(align_down(8191, 4096), 4096);
}

/* The check value of CRC-64/ECMA-182 as catalogues of CRCs list it. */
/* Bit by bit, as the standard has it. */
static uint64_t crc64_by_bits(const uint8_t *p, size_t len)
{
	uint64_t crc = 0;

	for (; len > 0; len--, p++) {
		crc ^= (uint64_t)*p << 56;
		for (int i = 0; i < 8; i++)
			crc = crc << 1 ^ (crc >> 63 ? 0x42f0e1eba9ea3693 : 0);
	}
	return crc;
}

static void crc64_at_every_length(void **state)
{
	uint8_t data[80];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 151 + 7);
	for (size_t len = 0; len <= sizeof(data) - 3; len++)
		for (size_t off = 0; off < 3; off++)
			assert_true(crc64(0, data + off, len) ==
				    crc64_by_bits(data + off, len));
}

static void crc64_check_value(void **state)
{
	(void)state;
	assert_true(crc64(0, "123456789", 9) == 0x6c40df5f0b497347);
	assert_true(crc64(crc64(0, "1234", 4), "56789", 5) ==
		    0x6c40df5f0b497347);
}

static void err_text(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_set(&err, -ENOENT, "no %s", "file"), -ENOENT);
	assert_string_equal(err.text, "no file");
	assert_int_equal(err_prefix(&err, "Kernel: "), -ENOENT);
	assert_string_equal(err.text, "Kernel: no file");
	assert_int_equal(err_set(NULL, -EIO, "x"), -EIO);
	assert_string_equal(err_name(-ENOENT), "No such file or directory");
	assert_string_equal(err_name(99999), "Unknown error");
	assert_string_equal(err_name(INT_MIN), "Unknown error");
#ifdef __GLIBC__
	for (int i = 0; i < 200; i++) {
		const char *text = strerrordesc_np(i);

		assert_string_equal(err_name(i), text ? text : "Unknown error");
	}
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_fits_edges),
		cmocka_unit_test(align_edges),
		cmocka_unit_test(crc64_check_value),
		cmocka_unit_test(crc64_at_every_length),
		cmocka_unit_test(err_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
