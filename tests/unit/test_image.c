// SPDX-License-Identifier: Apache-2.0
/*
 * test_image.c - images of several files, hostile ones among them: every page
 * is that of the newest file that stores it
 */
#include "gmem_kit.h"
#include "image_kit.h"

#include "base/fd.h"
#include "image/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE  MIB(16)
#define PAGES (SIZE / PAGE_SIZE)

static void add(struct image *image, int fd)
{
	struct err err = {0};

	if (image_add(image, &fd, "layer", &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(fd, -1);
}

static void finish(struct image *image, bool whole)
{
	struct err err = {0};

	if (image_finish(image, whole, &err) < 0)
		fail_msg("%s", err.text);
}

/* Side by side, and of a whole image all of it. */
static void check_pieces(const struct image *image, bool whole)
{
	uint64_t at = 0;

	for (size_t i = 0; i < image->nr_pieces; i++) {
		const struct image_piece *p = &image->piece[i];

		assert_true(whole ? p->at == at : p->at >= at);
		assert_true(p->at < p->end && p->end <= image->size);
		assert_true(p->layer < image->nr_layers);
		if (i > 0 && p[-1].end == p->at)
			assert_int_not_equal(p[-1].layer, p->layer);
		at = p->end;
	}
	assert_true(!whole || at == image->size);
}

static void check_memory(const struct image *image, const uint8_t *expected)
{
	struct gmem mem = {0};
	struct err err = {0};

	if (image_map(image, &mem, NULL, GMEM_PAGES_DEFAULT, &err) < 0)
		fail_msg("%s", err.text);
	for (uint64_t i = 0; i < PAGES; i++) {
		const uint8_t *p = gmem_find(&mem, i * PAGE_SIZE, PAGE_SIZE);

		assert_non_null(p);
		assert_int_equal(p[0], expected[i]);
		assert_int_equal(p[PAGE_SIZE - 1], expected[i]);
	}
	gmem_fini(&mem);
}

static void check_copy(const struct image *image, const uint8_t *expected)
{
	int to = new_file(SIZE);
	struct err err = {0};
	uint8_t byte;

	if (image_copy(image, to, &err) < 0)
		fail_msg("%s", err.text);
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(pread(to, &byte, 1, (off_t)(i * PAGE_SIZE)),
				 1);
		assert_int_equal(byte, expected[i]);
	}
	(void)close(to);
}

/* Random layers; the last one is the whole. */
static void pages_are_of_the_newest(void **state)
{
	(void)state;
	srand(1);
	for (unsigned int round = 0; round < 30; round++) {
		unsigned int nr = 1 + (unsigned int)rand() % 30;
		uint8_t *expected = calloc(1, PAGES);
		struct image image;

		assert_non_null(expected);
		image_init(&image, SIZE, NULL);
		for (unsigned int k = 0; k < nr; k++) {
			int fd = new_file(SIZE);
			uint8_t *mine = calloc(1, PAGES);

			assert_non_null(mine);
			for (unsigned int i = 0; i < 40; i++) {
				uint64_t at = (uint64_t)rand() % PAGES;
				uint64_t len = 1 + (uint64_t)rand() % 50;

				for (; len > 0 && at < PAGES; len--, at++) {
					put(fd, at, (uint8_t)(k + 1));
					mine[at] = (uint8_t)(k + 1);
				}
			}
			for (uint64_t i = 0; i < PAGES; i++)
				if (expected[i] == 0)
					expected[i] = mine[i];
			free(mine);
			add(&image, fd);
		}
		finish(&image, true);
		check_pieces(&image, true);
		check_memory(&image, expected);
		check_copy(&image, expected);
		image_fini(&image);
		free(expected);
	}
}

/* Zeros that a diff stores hide what is below. */
static void zeros_count_in_a_diff(void **state)
{
	static const uint8_t expected[PAGES] = {[6] = 7};
	int diff = new_file(SIZE), base = new_file(SIZE);
	struct image image;

	(void)state;
	image_init(&image, SIZE, NULL);
	put(base, 5, 7);
	put(base, 6, 7);
	put(diff, 5, 0);
	add(&image, diff);
	add(&image, base);
	finish(&image, true);
	check_memory(&image, expected);
	check_copy(&image, expected);
	image_fini(&image);
}

/* As many extents as there can be: mappings are bounded, and contents right. */
static void every_other_page(void **state)
{
	const uint64_t size = MIB(128), pages = size / PAGE_SIZE;
	int diff = new_file(size), base = new_file(size);
	struct image image;
	struct gmem mem = {0};
	struct err err = {0};

	(void)state;
	for (uint64_t i = 0; i < pages; i++)
		put(i % 2 ? diff : base, i, (uint8_t)(1 + i % 250));
	image_init(&image, size, NULL);
	add(&image, diff);
	add(&image, base);
	finish(&image, true);
	assert_int_equal(image.nr_pieces, pages);
	assert_true(image.nr_pieces > IMAGE_MAPPINGS_MAX);
	if (image_map(&image, &mem, NULL, GMEM_PAGES_DEFAULT, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(mem.nr_files <= IMAGE_MAPPINGS_MAX);
	for (uint64_t i = 0; i < pages; i++) {
		const uint8_t *p = gmem_find(&mem, i * PAGE_SIZE, 1);

		assert_int_equal(*p, 1 + i % 250);
	}
	gmem_fini(&mem);
	image_fini(&image);
}

/* Larger pieces stay mapped where only small ones are too many. */
static void small_pieces_are_read(void **state)
{
	const uint64_t size = MIB(128), pages = size / PAGE_SIZE;
	int diff = new_file(size), base = new_file(size);
	struct image image;
	struct gmem mem = {0};
	struct err err = {0};

	(void)state;
	put(base, 3, 33);
	for (uint64_t i = 0; i < pages / 2; i += 2)
		put(diff, i, 9);
	for (uint64_t i = pages - 100; i < pages; i++)
		put(diff, i, 10);
	image_init(&image, size, NULL);
	add(&image, diff);
	add(&image, base);
	finish(&image, true);
	if (image_map(&image, &mem, NULL, GMEM_PAGES_DEFAULT, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(mem.nr_files, 3);
	for (uint64_t i = 0; i < pages; i++) {
		uint8_t want = i >= pages - 100              ? 10
			       : i < pages / 2 && i % 2 == 0 ? 9
			       : i == 3                      ? 33
							     : 0;

		assert_int_equal(*(uint8_t *)gmem_find(&mem, i * PAGE_SIZE, 1),
				 want);
	}
	gmem_fini(&mem);
	image_fini(&image);
}

/* What a merge of two diffs makes. */
static void gaps_of_a_diff_stay(void **state)
{
	int a = new_file(SIZE), b = new_file(SIZE), to = new_file(SIZE);
	struct image image;
	struct err err = {0};

	(void)state;
	put(a, 10, 1);
	put(b, 10, 2);
	put(b, 11, 0);
	image_init(&image, SIZE, NULL);
	add(&image, a);
	add(&image, b);
	finish(&image, false);
	check_pieces(&image, false);
	assert_int_equal(image.nr_pieces, 2);
	if (image_copy(&image, to, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(lseek(to, 0, SEEK_DATA), 10 * PAGE_SIZE);
	assert_int_equal(lseek(to, 10 * PAGE_SIZE, SEEK_HOLE), 12 * PAGE_SIZE);
	(void)close(to);
	image_fini(&image);
}

static void other_sizes_are_refused(void **state)
{
	int fd = new_file(SIZE - PAGE_SIZE);
	struct image image;
	struct err err = {0};

	(void)state;
	image_init(&image, SIZE, NULL);
	assert_int_equal(image_add(&image, &fd, "cut", &err), -EINVAL);
	assert_int_equal(fd, -1);
	assert_string_equal(err.text, "cut holds 16773120 bytes of memory, "
				      "not 16777216");
	for (unsigned int i = 0; i < IMAGE_LAYERS_MAX; i++)
		add(&image, new_file(SIZE));
	fd = new_file(SIZE);
	assert_int_equal(image_add(&image, &fd, "x", &err), -E2BIG);
	assert_int_equal(fd, -1);
	image_fini(&image);
}

static void a_file_that_is_cut_is_named(void **state)
{
	int fd = new_file(SIZE), base = new_file(SIZE);
	int kept = dup(base);
	struct image image;
	struct err err = {0};

	(void)state;
	image_init(&image, SIZE, NULL);
	add(&image, fd);
	if (image_add(&image, &base, "base", &err) < 0)
		fail_msg("%s", err.text);
	finish(&image, true);
	assert_null(image_truncated(&image));
	assert_int_equal(ftruncate(kept, PAGE_SIZE), 0);
	assert_string_equal(image_truncated(&image), "base");
	(void)close(kept);
	image_fini(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_of_the_newest),
		cmocka_unit_test(zeros_count_in_a_diff),
		cmocka_unit_test(every_other_page),
		cmocka_unit_test(small_pieces_are_read),
		cmocka_unit_test(gaps_of_a_diff_stay),
		cmocka_unit_test(other_sizes_are_refused),
		cmocka_unit_test(a_file_that_is_cut_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
