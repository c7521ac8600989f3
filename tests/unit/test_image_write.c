// SPDX-License-Identifier: Apache-2.0
/*
 * test_image_write.c - pages of a diff that are as in its base
 */
#include "gmem_kit.h"
#include "image_kit.h"

#include "base/fd.h"
#include "image/write.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIZE  MIB(64)
#define PAGES (SIZE / PAGE_SIZE)

static int pagemap; /* of this process, as a VM has it */

static void add(struct image *image, int fd)
{
	struct err err = {0};

	if (image_add(image, &fd, "layer", &err) < 0)
		fail_msg("%s", err.text);
}

static void finish(struct image *image)
{
	struct err err = {0};

	if (image_finish(image, true, &err) < 0)
		fail_msg("%s", err.text);
}

static void map(const struct image *image, struct gmem *mem)
{
	struct err err = {0};

	if (image_map(image, mem, NULL, GMEM_PAGES_DEFAULT, &err) < 0)
		fail_msg("%s", err.text);
}

static void fill(struct gmem *mem, uint64_t page, uint64_t nr, uint8_t byte)
{
	assert_int_equal(gmem_fill(mem, page * PAGE_SIZE, byte, nr * PAGE_SIZE),
			 0);
}

/* Return: the diff. */
static int write_diff(const struct gmem *mem, const struct image *base, int to,
		      struct memory_stats *stats)
{
	struct err err = {0};

	if (memory_write(mem, pagemap, to, MEMORY_DIFF, base, stats, &err) < 0)
		fail_msg("%s", err.text);
	return to;
}

static bool is_stored(int fd, uint64_t page)
{
	off_t at = (off_t)(page * PAGE_SIZE);

	return lseek(fd, at, SEEK_DATA) == at;
}

/* This file system tells what is in memory. */
static bool can_compare(int fd)
{
	static uint8_t page[PAGE_SIZE];
	const struct iovec iov = {page, sizeof(page)};

	return fd_preadv_now(fd, &iov, 1, 0) == (ssize_t)sizeof(page);
}

/* 0: pages 0 to 99 are 1; 1: pages 50 to 149 are 2, above. */
static void two_layers(struct image *image)
{
	int whole = new_file(SIZE), diff = new_file(SIZE);

	for (uint64_t i = 0; i < 100; i++) {
		put(whole, i, 1);
		put(diff, 50 + i, 2);
	}
	if (!can_compare(whole)) {
		print_message("/var/tmp: no RWF_NOWAIT on this file system\n");
		skip();
	}
	image_init(image, SIZE, NULL);
	add(image, diff);
	add(image, whole);
	finish(image);
}

static void same_pages_are_left_out(void **state)
{
	struct image image, again;
	struct gmem mem, back;
	struct memory_stats stats;
	int diff;

	(void)state;
	two_layers(&image);
	map(&image, &mem);
	fill(&mem, 10, 5, 1); /* as in the whole one */
	fill(&mem, 60, 5, 2); /* as in the diff */
	fill(&mem, 65, 5, 1); /* as below the diff: that is something else */
	fill(&mem, 20, 5, 0);
	fill(&mem, 200, 5, 7);
	assert_int_equal(gmem_discard(&mem, (gpa_t)30 * PAGE_SIZE, PAGE_SIZE),
			 0);
	diff = write_diff(&mem, &image, new_file(0), &stats);
	for (uint64_t i = 0; i < 256; i++) {
		bool kept = (i >= 65 && i < 70) || (i >= 20 && i < 25) ||
			    (i >= 200 && i < 205) || i == 30;

		assert_int_equal(is_stored(diff, i), kept);
	}
	assert_int_equal(stats.same, 10);
	assert_int_equal(stats.written, 16 * PAGE_SIZE);
	/* On top of the two it is the memory again. */
	image_init(&again, SIZE, NULL);
	add(&again, diff);
	for (unsigned int i = 0; i < 2; i++)
		add(&again, dup(image.layer[i].fd));
	finish(&again);
	map(&again, &back);
	assert_memory_equal(gmem_find(&mem, 0, SIZE), gmem_find(&back, 0, SIZE),
			    SIZE);
	gmem_fini(&back);
	image_fini(&again);
	gmem_fini(&mem);
	image_fini(&image);
}

/* What lies there says something else. */
static void not_into_another_diff(void **state)
{
	int to = new_file(SIZE);
	struct memory_stats stats;
	struct image image;
	struct gmem mem;

	(void)state;
	two_layers(&image);
	map(&image, &mem);
	put(to, 10, 9);
	fill(&mem, 10, 5, 1);
	write_diff(&mem, &image, to, &stats);
	assert_int_equal(stats.compared, 0);
	assert_int_equal(stats.written, 5 * PAGE_SIZE);
	assert_true(is_stored(to, 10));
	fd_close(&to);
	gmem_fini(&mem);
	image_fini(&image);
}

/* All are compared while it pays, and few where it does not. */
static void only_while_it_pays(void **state)
{
	(void)state;
	for (unsigned int same = 0; same < 2; same++) {
		struct memory_stats stats;
		struct image image;
		struct gmem mem;
		int base = new_file(SIZE), diff;

		for (uint64_t i = 0; i < PAGES; i++)
			put(base, i, 1);
		if (!can_compare(base))
			skip();
		image_init(&image, SIZE, NULL);
		add(&image, base);
		finish(&image);
		map(&image, &mem);
		fill(&mem, 0, PAGES, same ? 1 : 2);
		diff = write_diff(&mem, &image, new_file(0), &stats);
		if (same) {
			/* What the kernel has let go meanwhile is kept. */
			assert_true(stats.same == stats.compared);
			assert_true(stats.same > WRITE_TRY);
		} else {
			assert_int_equal(stats.same, 0);
			assert_true(stats.compared <=
				    WRITE_TRY + PAGES / 16 + 32);
		}
		assert_int_equal(stats.written, SIZE - stats.same * PAGE_SIZE);
		fd_close(&diff);
		gmem_fini(&mem);
		image_fini(&image);
	}
}

/* Pages that were read, for too many pieces, are left out again, too. */
static void pieces_that_were_read(void **state)
{
	struct memory_stats stats;
	struct image image;
	struct gmem mem;
	int base = new_file(SIZE), above = new_file(SIZE), diff;

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++)
		put(i % 2 ? base : above, i, (uint8_t)(1 + i % 250));
	put(base, 0, 77);
	if (!can_compare(base))
		skip();
	image_init(&image, SIZE, NULL);
	add(&image, above);
	add(&image, base);
	finish(&image);
	assert_true(image.nr_pieces > IMAGE_MAPPINGS_MAX);
	map(&image, &mem);
	fill(&mem, 0, 1, 77); /* what the base has below */
	diff = write_diff(&mem, &image, new_file(0), &stats);
	assert_true(is_stored(diff, 0));
	assert_true(stats.same > WRITE_TRY);
	assert_int_equal(stats.written % PAGE_SIZE, 0);
	fd_close(&diff);
	gmem_fini(&mem);
	image_fini(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_pages_are_left_out),
		cmocka_unit_test(not_into_another_diff),
		cmocka_unit_test(only_while_it_pays),
		cmocka_unit_test(pieces_that_were_read),
	};
	int r;

	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	fd_close(&pagemap);
	return r;
}
