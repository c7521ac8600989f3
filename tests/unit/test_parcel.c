// SPDX-License-Identifier: Apache-2.0
/*
 * test_parcel.c - exported snapshots: read back, cut at each byte, flipped in
 * each bit, and made by a hostile hand
 */
#include "unit.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/parcel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM MIB(16)

/* What is read, and where. */
struct bytes {
	uint8_t *data;
	size_t len;
	size_t at;
};

/* A few at a time, as a pipe may. */
static int64_t read_bytes(void *ctx, void *to, size_t len)
{
	struct bytes *b = ctx;
	size_t n = b->len - b->at < len ? b->len - b->at : len;

	n = n > 777 ? 777 : n;
	memcpy(to, b->data + b->at, n);
	b->at += n;
	return (int64_t)n;
}

static void write_parcel(struct bytes *b)
{
	int fd = memfd_create("parcel", 0);
	uint8_t *pages = calloc(2, PAGE_SIZE);
	struct parcel_record data = {PARCEL_DATA, 3 * PAGE_SIZE, 2 * PAGE_SIZE,
				     pages};
	struct parcel_record zeros = {PARCEL_ZEROS, 9 * PAGE_SIZE,
				      RAM - 9 * PAGE_SIZE, NULL};
	struct parcel_writer w;
	off_t size;

	assert_true(fd >= 0);
	assert_non_null(pages);
	memset(pages, 0x5a, 2 * PAGE_SIZE);
	assert_int_equal(parcel_begin(&w, fd, RAM, "state", 5), 0);
	assert_int_equal(parcel_put(&w, &data), 0);
	assert_int_equal(parcel_put(&w, &zeros), 0);
	assert_int_equal(parcel_end(&w), 0);
	size = lseek(fd, 0, SEEK_END);
	b->len = (size_t)size;
	b->at = 0;
	b->data = malloc(b->len);
	assert_non_null(b->data);
	assert_int_equal(fd_read_full(fd, b->data, b->len, 0), 0);
	(void)close(fd);
	free(pages);
}

/* Return: what the last parcel_next() said; @nr: how many came before. */
static int read_all(struct bytes *b, unsigned int *nr, struct err *err)
{
	struct parcel_reader reader;
	struct parcel_record record;
	int r;

	b->at = 0;
	*nr = 0;
	parcel_reader_init(&reader, read_bytes, b);
	while ((r = parcel_next(&reader, &record, err)) > 0)
		++*nr;
	parcel_reader_fini(&reader);
	return r;
}

static void what_was_written_is_read(void **state)
{
	struct bytes b;
	struct parcel_reader reader;
	struct parcel_record record;
	struct err err = {0};

	(void)state;
	write_parcel(&b);
	parcel_reader_init(&reader, read_bytes, &b);
	assert_int_equal(parcel_next(&reader, &record, &err), 1);
	assert_int_equal(record.type, PARCEL_STATE);
	assert_int_equal(record.at, RAM);
	assert_int_equal(record.len, 5);
	assert_memory_equal(record.data, "state", 5);
	assert_int_equal(parcel_next(&reader, &record, &err), 1);
	assert_int_equal(record.type, PARCEL_DATA);
	assert_int_equal(record.at, 3 * PAGE_SIZE);
	assert_int_equal(record.len, 2 * PAGE_SIZE);
	for (size_t i = 0; i < record.len; i++)
		assert_int_equal(record.data[i], 0x5a);
	assert_int_equal(parcel_next(&reader, &record, &err), 1);
	assert_int_equal(record.type, PARCEL_ZEROS);
	assert_null(record.data);
	assert_int_equal(parcel_next(&reader, &record, &err), 0);
	assert_int_equal(parcel_next(&reader, &record, &err), 0);
	parcel_reader_fini(&reader);
	free(b.data);
}

static void each_cut_is_seen(void **state)
{
	struct bytes b;
	struct err err = {0};
	unsigned int nr;
	size_t whole;

	(void)state;
	write_parcel(&b);
	whole = b.len;
	for (b.len = 0; b.len < whole; b.len++) {
		int r = read_all(&b, &nr, &err);

		assert_int_equal(r, b.len < 8 ? -ENOTSUP : -EBADMSG);
		assert_true(err.text[0] != '\0');
	}
	free(b.data);
}

static void each_flip_is_seen(void **state)
{
	struct bytes b;
	struct err err = {0};
	unsigned int nr;

	(void)state;
	write_parcel(&b);
	for (size_t i = 0; i < b.len; i += i < 200 ? 1 : 97)
		for (unsigned int bit = 0; bit < 8; bit++) {
			b.data[i] ^= (uint8_t)(1u << bit);
			assert_true(read_all(&b, &nr, &err) < 0);
			b.data[i] ^= (uint8_t)(1u << bit);
		}
	assert_int_equal(read_all(&b, &nr, &err), 0);
	assert_int_equal(nr, 3);
	free(b.data);
}

static void something_behind_the_end_is_seen(void **state)
{
	struct bytes b;
	struct err err = {0};
	unsigned int nr;

	(void)state;
	write_parcel(&b);
	b.data = realloc(b.data, b.len + 1);
	assert_non_null(b.data);
	b.data[b.len++] = 0;
	assert_int_equal(read_all(&b, &nr, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "something follows the end"));
	free(b.data);
}

/* A head whose CRC is right. */
static void put_head(uint8_t *to, uint32_t type, uint64_t at, uint64_t len)
{
	memset(to, 0, 32);
	store_le32(to, type);
	store_le64(to + 8, at);
	store_le64(to + 16, len);
	store_le64(to + 24, crc64(0, to, 24));
}

static void hostile_heads_are_refused(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t at;
		uint64_t len;
		const char *why;
	} heads[] = {
		{PARCEL_ZEROS, 1, PAGE_SIZE, "whole pages"},
		{PARCEL_ZEROS, 0, 0, "whole pages"},
		{PARCEL_ZEROS, 0, PAGE_SIZE + 1, "whole pages"},
		{PARCEL_ZEROS, RAM, PAGE_SIZE, "outside"},
		{PARCEL_ZEROS, 0, RAM + PAGE_SIZE, "outside"},
		{PARCEL_ZEROS, 0 - PAGE_SIZE, 2 * PAGE_SIZE, "outside"},
		{PARCEL_ZEROS, PAGE_SIZE, 0 - PAGE_SIZE, "outside"},
		{PARCEL_DATA, 0, 2 * PARCEL_DATA_MAX, "too large"},
		{PARCEL_STATE, RAM, 5, "first, and once"},
		{PARCEL_END, 2, 0, "records are missing"},
		{PARCEL_END, 1, 1, "records are missing"},
		{0, 0, 0, "not known"},
		{5, 0, 0, "not known"},
	};
	uint8_t text[8 + 32 + 5 + 32] = "voltprc1";
	struct bytes b = {.data = text, .len = sizeof(text)};

	(void)state;
	put_head(text + 8, PARCEL_STATE, RAM, 5);
	memcpy(text + 40, "state", 5);
	store_le64(text + 32, crc64(crc64(0, text + 8, 24), text + 40, 5));
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct err err = {0};
		unsigned int nr;

		put_head(text + 45, heads[i].type, heads[i].at, heads[i].len);
		assert_int_equal(read_all(&b, &nr, &err), -EBADMSG);
		assert_int_equal(nr, 1);
		if (!strstr(err.text, heads[i].why))
			fail_msg("%zu: %s", i, err.text);
	}
}

static void a_state_has_a_possible_size(void **state)
{
	static const uint64_t sizes[][2] = {
		{RAM, 0},
		{RAM, PARCEL_STATE_MAX + 1},
		{0, 5},
		{RAM + 1, 5},
		{PARCEL_RAM_MAX + PAGE_SIZE, 5},
		{UINT64_MAX, UINT64_MAX},
	};
	uint8_t text[8 + 32] = "voltprc1";
	struct bytes b = {.data = text, .len = sizeof(text)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct err err = {0};
		unsigned int nr;

		put_head(text + 8, PARCEL_STATE, sizes[i][0], sizes[i][1]);
		assert_int_equal(read_all(&b, &nr, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "no possible size"));
	}
}

/* Pages ascend. */
static void pages_that_came_before_are_refused(void **state)
{
	int fd = memfd_create("parcel", 0);
	struct parcel_record zeros = {PARCEL_ZEROS, PAGE_SIZE, PAGE_SIZE, NULL};
	struct parcel_writer w;
	struct bytes b = {.len = 0};
	struct err err = {0};
	unsigned int nr;

	(void)state;
	assert_int_equal(parcel_begin(&w, fd, RAM, "state", 5), 0);
	assert_int_equal(parcel_put(&w, &zeros), 0);
	assert_int_equal(parcel_put(&w, &zeros), 0);
	assert_int_equal(parcel_end(&w), 0);
	b.len = (size_t)lseek(fd, 0, SEEK_END);
	b.data = malloc(b.len);
	assert_non_null(b.data);
	assert_int_equal(fd_read_full(fd, b.data, b.len, 0), 0);
	assert_int_equal(read_all(&b, &nr, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "came before"));
	free(b.data);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(each_cut_is_seen),
		cmocka_unit_test(each_flip_is_seen),
		cmocka_unit_test(something_behind_the_end_is_seen),
		cmocka_unit_test(hostile_heads_are_refused),
		cmocka_unit_test(a_state_has_a_possible_size),
		cmocka_unit_test(pages_that_came_before_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
