// SPDX-License-Identifier: Apache-2.0
/*
 * test_base.c - checked arithmetic, CRC-64, errors in words, pages
 */
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/bits.h"
#include "base/crc64.h"
#include "base/denied.h"
#include "base/err.h"
#include "base/pages.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14, newer than musl's headers */
#endif

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
	assert_string_equal(err_for_person(&err), "Kernel: no file");
	err_prefix_api(&err, "Load error: ");
	err_prefix_api(&err, "Error: ");
	assert_string_equal(err.text, "Error: Load error: Kernel: no file");
	assert_string_equal(err_for_person(&err), "Kernel: no file");
	err_prefix(&err, "vm: ");
	assert_string_equal(err.text, "vm: Error: Load error: Kernel: no file");
	assert_string_equal(err_for_person(&err), "vm: Kernel: no file");
	err_set(&err, -ENOENT, "os error 2");
	assert_string_equal(err_for_person(&err), "os error 2");
	err_plain(&err, "%s is not there", "it");
	err_prefix_api(&err, "Error: ");
	assert_string_equal(err.text, "Error: os error 2");
	assert_string_equal(err_for_person(&err), "it is not there");
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

/* How many pages of @size bytes at @mem are there. */
static unsigned int nr_present(void *mem, size_t size)
{
	unsigned char there[16] = {0};
	unsigned int nr = 0;

	assert_true(size <= sizeof(there) * 4096);
	assert_return_code(mincore(mem, size, there), errno);
	for (size_t i = 0; i < sizeof(there); i++)
		nr += there[i] & 1;
	return nr;
}

static void pages_are_zero_and_there_as_asked(void **state)
{
	const size_t size = 16 * 4096, now = 3 * 4096 - 5;
	unsigned char *all = pages_new(size, size);
	unsigned char *some = pages_new(size, now);
	unsigned char *none = pages_new(size, 0);

	(void)state;
	assert_non_null(all);
	assert_non_null(some);
	assert_non_null(none);
	assert_int_equal((uintptr_t)some % 4096, 0);
	assert_int_equal(nr_present(none, size), 0);
	/* A kernel that cannot brings them one by one. */
	if (madvise(all, size, MADV_POPULATE_WRITE) == 0) {
		assert_int_equal(nr_present(all, size), 16);
		assert_int_equal(nr_present(some, size), 3);
	}
	for (size_t i = 0; i < size; i++)
		assert_int_equal(all[i] | some[i] | none[i], 0);
	errno = EDOM;
	pages_free(all, size);
	pages_free(some, size);
	pages_free(none, size);
	pages_free(NULL, size);
	assert_int_equal(errno, EDOM);
}

static void pages_that_no_host_has(void **state)
{
	(void)state;
	assert_null(pages_new(SIZE_MAX / 2, 0));
}

static void a_hint_leaves_errno(void **state)
{
	char hint[DENIED_HINT_MAX];

	(void)state;
	errno = EACCES;
	(void)denied_hint("/nowhere/at/all", -EACCES, hint);
	assert_int_equal(errno, EACCES);
	assert_non_null(strstr(hint, "a directory on the way"));
	assert_string_equal(denied_hint("/", -ENOENT, hint), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_fits_edges),
		cmocka_unit_test(align_edges),
		cmocka_unit_test(crc64_check_value),
		cmocka_unit_test(crc64_at_every_length),
		cmocka_unit_test(err_text),
		cmocka_unit_test(pages_are_zero_and_there_as_asked),
		cmocka_unit_test(pages_that_no_host_has),
		cmocka_unit_test(a_hint_leaves_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
