// SPDX-License-Identifier: Apache-2.0
/*
 * test_map.c - the map of a diff: what it says is what the file holds, whatever
 * a copy made of the holes; one that lies is none
 */
#include "gmem_kit.h"
#include "image_kit.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/copy.h"
#include "image/image.h"
#include "image/proof.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ATTR  "user.volt.extents"
#define SIZE  MIB(16)
#define PAGES (SIZE / PAGE_SIZE)

static const uint64_t noon[2] = {43200, 7};

/* A diff with a map; -1: file systems here keep no attributes. */
static int diff_with_map(void)
{
	struct memory_map *map;
	int fd = new_file(SIZE);

	put(fd, 3, 1);
	put(fd, 4, 0);
	put(fd, 5, 1);
	put(fd, 100, 0);
	put(fd, PAGES - 1, 1);
	memory_map_set(fd, SIZE);
	assert_int_equal(memory_map_get(fd, NULL, SIZE, &map), 0);
	if (!map)
		fd_close(&fd);
	memory_map_free(map);
	return fd;
}

/* The same bytes with other holes, of the same time: cp -a --sparse=... */
static int copy_of(int fd, bool holes)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	int to = new_file(SIZE);
	static uint8_t data[PAGE_SIZE], attr[MEMORY_MAP_BYTES];
	ssize_t n = fgetxattr(fd, ATTR, attr, sizeof(attr));
	struct stat st;

	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(fd_read_full(fd, data, PAGE_SIZE,
					      (off_t)(i * PAGE_SIZE)),
				 0);
		if (!holes || !image_page_is_zero(data))
			put(to, i, data[0]);
	}
	assert_true(n > 0);
	assert_int_equal(fsetxattr(to, ATTR, attr, (size_t)n, 0), 0);
	assert_int_equal(fstat(fd, &st), 0);
	times[1] = st.st_mtim;
	assert_int_equal(futimens(to, times), 0);
	return to;
}

static void add(struct image *image, int fd)
{
	struct err err = {0};

	fd = dup(fd);
	if (image_add(image, &fd, "layer", &err) < 0)
		fail_msg("%s", err.text);
}

static int base_file(void)
{
	int fd = new_file(SIZE);

	for (uint64_t i = 0; i < 200; i++)
		put(fd, i, 9);
	return fd;
}

static uint8_t expected(uint64_t page)
{
	if (page == 3 || page == 5 || page == PAGES - 1)
		return 1;
	return page != 4 && page != 100 && page < 200 ? 9 : 0;
}

/* Mapped, copied and merged, the image is what it was when it was saved. */
static void check_image(int diff, int base)
{
	int to = new_file(SIZE);
	struct err err = {0};
	struct gmem mem = {0};
	struct image image;
	uint8_t byte;

	image_init(&image, SIZE, NULL);
	add(&image, diff);
	add(&image, base);
	if (image_finish(&image, true, &err) < 0 ||
	    image_map(&image, &mem, NULL, GMEM_PAGES_DEFAULT, &err) < 0 ||
	    image_copy(&image, to, &err) < 0)
		fail_msg("%s", err.text);
	for (uint64_t i = 0; i < PAGES; i++) {
		off_t at = (off_t)(i * PAGE_SIZE);

		assert_int_equal(*(uint8_t *)gmem_find(&mem, (gpa_t)at, 1),
				 expected(i));
		assert_int_equal(pread(to, &byte, 1, at), 1);
		assert_int_equal(byte, expected(i));
	}
	gmem_fini(&mem);
	image_fini(&image);
	fd_close(&to);
}

/* @fd stores these pages and no others. */
static void check_holes(int fd)
{
	static const uint64_t stored[] = {3, 4, 5, 100, PAGES - 1};
	struct memory_extent e = {0};
	size_t nr = 0;

	while (memory_next_extent(fd, SIZE, &e))
		for (uint64_t at = e.at; at < e.end; at += PAGE_SIZE) {
			assert_true(nr < ARRAY_SIZE(stored));
			assert_int_equal(at / PAGE_SIZE, stored[nr++]);
		}
	assert_int_equal(nr, ARRAY_SIZE(stored));
}

static void copies_may_change_holes(void **state)
{
	int diff = diff_with_map(), base = base_file();

	(void)state;
	if (diff < 0)
		skip();
	check_image(diff, base);
	for (int holes = 0; holes < 2; holes++) {
		struct memory_proof proof = {0};
		struct memory_picks fresh = {.nr = 1, .page = {3}};
		struct memory_prove from = {.fd = diff,
					    .size = SIZE,
					    .diff = true,
					    .fresh = &fresh};
		int copy = copy_of(diff, holes);

		check_image(copy, base);
		/* What goes by the state's checksum of extents agrees. */
		assert_int_equal(memory_prove(&from, &proof), 0);
		assert_int_equal(memory_match(&proof, true, copy, SIZE),
				 MEMORY_PART);
		/* What goes by its holes is told. */
		assert_int_equal(memory_map_fits(diff, SIZE), 0);
		assert_int_equal(memory_map_fits(copy, SIZE), -EBADMSG);
		fd_close(&copy);
	}
	fd_close(&diff);
	fd_close(&base);
}

/* Two diffs become one: a page that a copy made a hole is still in it. */
static void merge_of_copies(void **state)
{
	int diff = diff_with_map(), below = new_file(SIZE), to, copy;
	struct err err = {0};
	struct image image;

	(void)state;
	if (diff < 0)
		skip();
	copy = copy_of(diff, true);
	to = new_file(SIZE);
	image_init(&image, SIZE, NULL);
	put(below, 100, 7);
	add(&image, copy);
	add(&image, below);
	if (image_finish(&image, false, &err) < 0 ||
	    image_copy(&image, to, &err) < 0)
		fail_msg("%s", err.text);
	check_holes(to);
	image_fini(&image);
	fd_close(&to);
	fd_close(&copy);
	fd_close(&below);
	fd_close(&diff);
}

/* What is beside the map, in a file whose time was put back, is found. */
static void pages_beside_the_map(void **state)
{
	static const uint64_t page[] = {0, 2, 6, 99, 101, PAGES - 2};
	int diff = diff_with_map();
	struct memory_map *map;

	(void)state;
	if (diff < 0)
		skip();
	assert_int_equal(memory_map_get(diff, NULL, SIZE, &map), 0);
	assert_int_equal(memory_map_is_all(map, diff, SIZE), 1);
	for (size_t i = 0; i < ARRAY_SIZE(page); i++) {
		put(diff, page[i], 0);
		assert_int_equal(memory_map_is_all(map, diff, SIZE), 1);
		put(diff, page[i], 5);
		assert_int_equal(memory_map_is_all(map, diff, SIZE), 0);
		put(diff, page[i], 0);
	}
	memory_map_free(map);
	fd_close(&diff);
}

/* Whoever writes to the file makes the map none. */
static void written_since(void **state)
{
	int diff = diff_with_map();
	struct memory_map *map;

	(void)state;
	if (diff < 0)
		skip();
	(void)usleep(20000); /* file times go in steps */
	put(diff, 50, 1);
	assert_int_equal(memory_map_get(diff, NULL, SIZE, &map), 0);
	assert_null(map);
	fd_close(&diff);
}

/* More extents than there is room for: the holes say it. */
static void too_many(void **state)
{
	int fd = new_file(SIZE);
	struct memory_map *map;

	(void)state;
	for (uint64_t i = 0; i < PAGES; i += 2)
		put(fd, i, 1);
	memory_map_set(fd, SIZE);
	assert_int_equal(memory_map_get(fd, NULL, SIZE, &map), 0);
	assert_null(map);
	assert_true(fgetxattr(fd, ATTR, NULL, 0) < 0);
	fd_close(&fd);
}

static void random_files(void **state)
{
	(void)state;
	srand(3);
	for (unsigned int round = 0; round < 20; round++) {
		struct memory_extent a = {0}, b = {0};
		struct memory_map *map;
		int fd = new_file(SIZE);
		bool more;

		for (unsigned int i = 0; i < round * 8; i++) {
			uint64_t at = (uint64_t)rand() % PAGES;
			uint64_t len = (uint64_t)rand() % 300;

			for (; len > 0 && at < PAGES; len--, at++)
				put(fd, at, 1);
		}
		memory_map_set(fd, SIZE);
		assert_int_equal(memory_map_get(fd, NULL, SIZE, &map), 0);
		if (!map)
			skip();
		do {
			more = memory_next_extent(fd, SIZE, &a);
			assert_int_equal(memory_map_next(map, &b), more);
			assert_true(a.at == b.at && a.end == b.end);
		} while (more);
		assert_int_equal(memory_map_fits(fd, SIZE), 0);
		memory_map_free(map);
		fd_close(&fd);
	}
}

/* ---- attributes of others ---- */

/**
 * struct attr - one that is made by hand
 */
struct attr {
	uint8_t bytes[128];
	size_t len;
};

static void attr_crc(struct attr *a)
{
	uint64_t crc = crc64(0, a->bytes, 32);

	store_le64(a->bytes + 32, crc64(crc, a->bytes + MEMORY_MAP_HEAD,
					a->len - MEMORY_MAP_HEAD));
}

static struct attr attr_of(uint32_t nr, const void *numbers, size_t len)
{
	struct attr a = {.len = MEMORY_MAP_HEAD + len};

	memcpy(a.bytes, "voltmap1", 8);
	store_le64(a.bytes + 8, noon[0]);
	store_le64(a.bytes + 16, noon[1]);
	store_le32(a.bytes + 24, nr);
	memcpy(a.bytes + MEMORY_MAP_HEAD, numbers, len);
	attr_crc(&a);
	return a;
}

static int decode(const struct attr *a)
{
	struct memory_map *map = NULL;
	int r = memory_map_decode(a->bytes, a->len, noon, SIZE, &map);

	assert_true((r == 0) == (map != NULL));
	memory_map_free(map);
	return r;
}

static void right_ones(void **state)
{
	struct attr none = attr_of(0, "", 0);
	struct attr all = attr_of(1, "\0\x80\x20", 3);
	struct attr two = attr_of(2, "\x03\x01\x01\x01", 4);
	struct memory_extent e = {0};
	struct memory_map *map;

	(void)state;
	assert_int_equal(decode(&none), 0);
	assert_int_equal(decode(&all), 0);
	assert_int_equal(
		memory_map_decode(two.bytes, two.len, noon, SIZE, &map), 0);
	assert_true(memory_map_next(map, &e));
	assert_true(e.at == 3 * PAGE_SIZE && e.end == 4 * PAGE_SIZE);
	assert_true(memory_map_next(map, &e));
	assert_true(e.at == 5 * PAGE_SIZE && e.end == 6 * PAGE_SIZE);
	assert_false(memory_map_next(map, &e));
	memory_map_free(map);
}

static void wrong_ones(void **state)
{
	static const struct {
		uint32_t nr;
		const char *numbers;
		size_t len;
	} wrong[] = {
		{1, "\x01\0", 2},         /* no pages */
		{2, "\x01\x01\0\x01", 4}, /* they touch */
		{1, "\0\x81\x20", 3},     /* beyond the file */
		{1, "\xff\xff\xff\xff\xff\xff\xff\x7f\x01", 9}, /* too large */
		{1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", 11},
		{1, "\x01\x81", 2},         /* cut in a number */
		{2, "\x01\x01\x01", 3},     /* cut between two */
		{1, "\x01\x01\x01\x01", 4}, /* more than it says */
		{0, "\x01\x01", 2},
		{UINT32_MAX, "\x01\x01", 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct attr a =
			attr_of(wrong[i].nr, wrong[i].numbers, wrong[i].len);

		assert_int_equal(decode(&a), -EBADMSG);
	}
}

/* No bit of it, and no byte, may be another one. */
static void damaged_ones(void **state)
{
	struct attr a = attr_of(2, "\x03\x01\x01\x01", 4);
	size_t len = a.len;

	(void)state;
	for (size_t i = 0; i < 8 * len; i++) {
		a.bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(decode(&a), -EBADMSG);
		a.bytes[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	for (a.len = 0; a.len < len; a.len++)
		assert_int_equal(decode(&a), -EBADMSG);
	a.len = len + 1;
	assert_int_equal(decode(&a), -EBADMSG);
	a.len = len;
	assert_int_equal(decode(&a), 0);
	/* Another time than the file's, and a later form. */
	store_le64(a.bytes + 16, 8);
	attr_crc(&a);
	assert_int_equal(decode(&a), -EBADMSG);
	store_le64(a.bytes + 16, noon[1]);
	store_le32(a.bytes + 28, 1);
	attr_crc(&a);
	assert_int_equal(decode(&a), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_may_change_holes),
		cmocka_unit_test(merge_of_copies),
		cmocka_unit_test(pages_beside_the_map),
		cmocka_unit_test(written_since),
		cmocka_unit_test(too_many),
		cmocka_unit_test(random_files),
		cmocka_unit_test(right_ones),
		cmocka_unit_test(wrong_ones),
		cmocka_unit_test(damaged_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
