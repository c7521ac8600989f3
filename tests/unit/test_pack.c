// SPDX-License-Identifier: Apache-2.0
/*
 * test_pack.c - packed memory files: read back, cut at each byte, flipped in
 * each byte, and made by a hostile hand
 */
#include "unit.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/copy.h"
#include "image/image.h"
#include "image/packed.h"
#include "pack/pack.h"
#include "pack/write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define PAGES 160u
#define SIZE  ((uint64_t)PAGES * PAGE_SIZE)

static const struct snapshot_label label_whole = {11, 12, 0, 13};
static const struct snapshot_label label_diff = {11, 12, 10, 13};

/* Numbers that do not compress, the same each time. */
static void fill(uint8_t *page, uint64_t seed)
{
	for (size_t i = 0; i < PAGE_SIZE; i += 8) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		store_le64(page + i, i < PAGE_SIZE / 4 ? seed : seed >> 60);
	}
}

/* Pages 0-63: holes, zeros and contents by turns; 64-127: two pages over and
 * over; the rest: a hole. */
static int raw_file(uint8_t *copy)
{
	int fd = memfd_create("raw", 0);

	assert_true(fd >= 0);
	memset(copy, 0, SIZE);
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	for (uint32_t i = 0; i < 128; i++) {
		uint8_t *page = copy + (size_t)i * PAGE_SIZE;

		if (i < 64 && i % 8 < 3)
			continue;
		if (i >= 64)
			fill(page, 1000 + i % 2);
		else if (i % 8 != 5)
			fill(page, i);
		assert_int_equal(image_write_at(fd, page, PAGE_SIZE,
						(uint64_t)i * PAGE_SIZE),
				 0);
	}
	return fd;
}

static int packed_file(int raw, const struct snapshot_label *label,
		       const uint32_t *hot, size_t nr_hot, unsigned int threads,
		       struct pack_stats *stats)
{
	const struct image_layer layer = {.fd = raw};
	const struct pack_from from = {
		.layer = &layer,
		.size = SIZE,
		.label = *label,
		.hot = hot,
		.nr_hot = nr_hot,
	};
	const struct pack_how how = {
		.level = 1,
		.frame_pages = PACKED_FRAME_PAGES_MIN,
		.threads = threads,
	};
	struct err err = {0};
	int fd = memfd_create("packed", 0);

	assert_true(fd >= 0);
	if (pack_write(&from, &how, fd, stats, &err) < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* Takes @fd. */
static int open_layer(int fd, struct image_layer *layer, struct err *err)
{
	return image_layer_open(layer, &fd, "file", SIZE, &pack_unpacker, err);
}

static uint64_t length_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

/* All of it, in an odd order. Return: 0 or -errno with a sentence. */
static int read_back(const struct image_layer *layer, uint8_t *to,
		     struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < PAGES && r == 0; i++) {
		uint32_t page = (i * 37) % PAGES;

		r = image_layer_read(layer, (uint64_t)page * PAGE_SIZE,
				     to + (size_t)page * PAGE_SIZE, PAGE_SIZE,
				     err);
	}
	return r;
}

static void test_whole(void **state)
{
	static const uint32_t hot[] = {62, 3, 2, 62, 70, 5, 500, 140};
	uint8_t *want = malloc(SIZE), *got = malloc(SIZE);
	int raw = raw_file(want);
	struct pack_stats stats;
	struct image_layer layer;
	struct memory_extent e = {0};
	struct err err;
	const uint8_t *pages;
	uint32_t nr;

	(void)state;
	assert_int_equal(open_layer(packed_file(raw, &label_whole, hot,
						ARRAY_SIZE(hot), 1, &stats),
				    &layer, &err),
			 0);
	/* 8 of each kind; then 62, 3 and 70 first. */
	assert_int_equal(stats.zero, 8);
	assert_int_equal(stats.stored, 32 + 2);
	assert_int_equal(stats.repeated, 62);
	assert_int_equal(stats.hot, 3);
	assert_int_equal(pack_stored(layer.pack, 0, &pages, &nr, &err), 0);
	assert_int_equal(nr, PACKED_FRAME_PAGES_MIN);
	assert_memory_equal(pages, want + 62 * PAGE_SIZE, PAGE_SIZE);
	assert_memory_equal(pages + PAGE_SIZE, want + 3 * PAGE_SIZE, PAGE_SIZE);
	assert_int_equal(read_back(&layer, got, &err), 0);
	assert_memory_equal(want, got, SIZE);
	assert_int_equal(image_layer_read(&layer, 0, got, SIZE, &err), 0);
	assert_memory_equal(want, got, SIZE);
	/* Zeros of a whole file are in no extent. */
	assert_true(image_layer_next(&layer, SIZE, &e));
	assert_int_equal(e.at, 3 * PAGE_SIZE);
	assert_int_equal(e.end, 5 * PAGE_SIZE);
	e.end = 4 * PAGE_SIZE; /* in the middle of one */
	assert_true(image_layer_next(&layer, SIZE, &e));
	assert_int_equal(e.at, 4 * PAGE_SIZE);
	assert_int_equal(e.end, 5 * PAGE_SIZE);
	image_layer_close(&layer);
	fd_close(&raw);
	free(want);
	free(got);
}

/* A diff keeps its zeros, and its holes. */
static void test_diff(void **state)
{
	uint8_t *want = malloc(SIZE);
	int raw = raw_file(want), to = memfd_create("to", 0);
	struct memory_extent a = {0}, b = {0};
	struct pack_stats stats;
	struct image image;
	struct err err;
	uint64_t crc[2];
	int fd = packed_file(raw, &label_diff, NULL, 0, 0, &stats);

	(void)state;
	image_init(&image, SIZE, &pack_unpacker);
	assert_int_equal(image_add(&image, &fd, "file", &err), 0);
	assert_int_equal(image_finish(&image, false, &err), 0);
	assert_int_equal(ftruncate(to, (off_t)SIZE), 0);
	assert_int_equal(image_copy(&image, to, &err), 0);
	for (bool more = true; more;) {
		more = memory_next_extent(raw, SIZE, &a);
		assert_int_equal(memory_next_extent(to, SIZE, &b), more);
		assert_int_equal(a.at, b.at);
		assert_int_equal(a.end, b.end);
	}
	assert_int_equal(memory_crc(&(struct image_layer){.fd = raw}, SIZE,
				    true, &crc[0], &err),
			 0);
	assert_int_equal(memory_crc(&image.layer[0], SIZE, true, &crc[1], &err),
			 0);
	assert_int_equal(crc[0], crc[1]);
	image_fini(&image);
	fd_close(&raw);
	fd_close(&to);
	free(want);
}

/* A packed diff on a raw base, and the other way round. */
static void test_layers(void **state)
{
	uint8_t *want = malloc(SIZE), *base = malloc(SIZE);
	int to = memfd_create("to", 0);

	(void)state;
	for (int packed = 0; packed < 4; packed++) {
		int diff = raw_file(want), whole = memfd_create("whole", 0);
		struct pack_stats stats;
		struct image image;
		struct err err;

		assert_int_equal(ftruncate(whole, (off_t)SIZE), 0);
		for (uint32_t i = 0; i < PAGES; i++) {
			fill(base + (size_t)i * PAGE_SIZE, 9000 + i);
			if (i >= 128 || (i < 64 && i % 8 < 3))
				memcpy(want + (size_t)i * PAGE_SIZE,
				       base + (size_t)i * PAGE_SIZE, PAGE_SIZE);
		}
		assert_int_equal(image_write_at(whole, base, SIZE, 0), 0);
		if (packed & 1)
			diff = packed_file(diff, &label_diff, NULL, 0, 2,
					   &stats);
		if (packed & 2)
			whole = packed_file(whole, &label_whole, NULL, 0, 2,
					    &stats);
		image_init(&image, SIZE, &pack_unpacker);
		assert_int_equal(image_add(&image, &diff, "diff", &err), 0);
		assert_int_equal(image_add(&image, &whole, "whole", &err), 0);
		assert_int_equal(image_finish(&image, true, &err), 0);
		assert_int_equal(ftruncate(to, 0), 0);
		assert_int_equal(ftruncate(to, (off_t)SIZE), 0);
		assert_int_equal(image_copy(&image, to, &err), 0);
		assert_int_equal(fd_read_full(to, base, SIZE, 0), 0);
		assert_memory_equal(base, want, SIZE);
		image_fini(&image);
	}
	fd_close(&to);
	free(want);
	free(base);
}

static uint8_t *bytes_of(int fd, uint64_t *len)
{
	uint8_t *bytes;

	*len = length_of(fd);
	bytes = malloc(*len);
	assert_non_null(bytes);
	assert_int_equal(fd_read_full(fd, bytes, *len, 0), 0);
	return bytes;
}

static int file_of(const uint8_t *bytes, uint64_t len)
{
	int fd = memfd_create("bytes", 0);

	assert_true(fd >= 0);
	assert_int_equal(image_write_at(fd, bytes, len, 0), 0);
	return fd;
}

static void test_threads(void **state)
{
	uint8_t *want = malloc(SIZE), *one, *many;
	int raw = raw_file(want);
	struct pack_stats stats;
	uint64_t a, b;

	(void)state;
	one = bytes_of(packed_file(raw, &label_whole, NULL, 0, 1, &stats), &a);
	many = bytes_of(packed_file(raw, &label_whole, NULL, 0, 7, &stats), &b);
	assert_int_equal(a, b);
	assert_int_equal(a, stats.file_bytes);
	assert_true(packed_is((off_t)a));
	assert_memory_equal(one, many, a);
	fd_close(&raw);
	free(want);
	free(one);
	free(many);
}

/* Whatever @bytes are: refused with a sentence, or the right memory. Return:
 * whether they were refused. */
static bool refused(const uint8_t *bytes, uint64_t len, const uint8_t *want,
		    struct err *err)
{
	uint8_t *got = malloc(SIZE);
	struct image_layer layer;
	int r = open_layer(file_of(bytes, len), &layer, err);

	if (r == 0)
		r = image_layer_read(&layer, 0, got, SIZE, err);
	if (r == 0)
		assert_memory_equal(got, want, SIZE);
	else
		assert_true(err->text[0] != '\0');
	image_layer_close(&layer);
	free(got);
	return r < 0;
}

static void test_each_byte(void **state)
{
	uint8_t *want = malloc(SIZE), *bytes;
	int raw = raw_file(want);
	struct pack_stats stats;
	struct err err;
	uint64_t len;

	(void)state;
	bytes = bytes_of(packed_file(raw, &label_whole, NULL, 0, 1, &stats),
			 &len);
	for (uint64_t i = 0; i < len; i += i < 200 || len - i < 600 ? 1 : 89) {
		bool inside =
			i >= PACKED_HEAD_BYTES && i < load_le64(bytes + 72);

		bytes[i] ^= 0x10;
		/* A zstd frame has bits that change nothing. */
		if (!refused(bytes, len, want, &err) && !inside)
			fail_msg("byte %llu", (unsigned long long)i);
		bytes[i] ^= 0x10;
	}
	for (uint64_t i = 0; i < len; i += i < 200 || len - i < 200 ? 1 : 97)
		assert_true(refused(bytes, i, want, &err));
	assert_false(refused(bytes, len, want, &err));
	bytes = realloc(bytes, len + 1);
	assert_non_null(bytes);
	bytes[len] = 0;
	assert_true(refused(bytes, len + 1, want, &err));
	fd_close(&raw);
	free(want);
	free(bytes);
}

/* ---- a hostile hand, which puts the CRCs right ---- */

static void put_crcs_right(uint8_t *bytes, uint64_t len)
{
	uint64_t index_at = load_le64(bytes + 72);

	if (index_at <= len)
		store_le64(bytes + 80,
			   crc64(0, bytes + index_at, len - index_at));
	store_le64(bytes + 88, crc64(0, bytes, 88));
}

struct lie {
	const char *words;
	uint32_t at; /* of the head; or of the index, from LIE_INDEX on */
	uint32_t value;
};

#define LIE_INDEX 1000u
/* Three frames of 16, 16 and 2 pages. */
#define LIE_RUN(i, member) \
	(LIE_INDEX + 3 * PACKED_FRAME_BYTES + (i) * PACKED_RUN_BYTES + (member))

static const struct lie lies[] = {
	{"frames are of no size", 8, 8},
	{"frames are of no size", 8, 1024},
	{"frames are of no size", 8, 24},
	{"bits that mean nothing", 12, 1},
	{"bits that mean nothing", 68, 1},
	{"no memory that there can be", 16, 0},
	{"no memory that there can be", 16, 4097},
	{"no memory that there can be", 20, 1u << 31},
	{"holds 659456 bytes of memory, not", 16, SIZE + PAGE_SIZE},
	{"stores more pages", 56, PAGES + 1},
	{"stores more pages", 60, 35},
	{"stores more pages", 64, PAGES + 1},
	{"cut short", 64, PAGES},
	{"something follows its end", 64, 1},
	{"index is not in it", 72, 95},
	{"index is not in it", 72, 1u << 31},
	{"index is not in it", 76, 1u << 31},
	{"do not fill the room", LIE_INDEX, 5000},
	{"a frame of a size that there is not", LIE_INDEX, 0},
	{"a frame of a size that there is not", LIE_INDEX, 4},
	{"a frame of a size that there is not", LIE_INDEX, UINT32_MAX},
	{"is not the one that the index has", LIE_INDEX + 4, 77},
	{"runs that overlap", LIE_RUN(1, 0), 0},
	{"runs that overlap", LIE_RUN(1, 0), PAGES},
	{"runs that overlap", LIE_RUN(1, 0), UINT32_MAX},
	{"runs that overlap", LIE_RUN(1, 4), 0},
	{"runs that overlap", LIE_RUN(1, 4), UINT32_MAX},
	{"pages that are not in it", LIE_RUN(1, 8), 34},
	{"pages that are not in it", LIE_RUN(1, 8), UINT32_MAX - 1},
	{"has zeros, and it is no diff", LIE_RUN(1, 8), PACK_ZERO},
};

static void test_lies(void **state)
{
	uint8_t *want = malloc(SIZE), *bytes, *lying;
	int raw = raw_file(want);
	struct pack_stats stats;
	uint64_t len;

	(void)state;
	bytes = bytes_of(packed_file(raw, &label_whole, NULL, 0, 1, &stats),
			 &len);
	lying = malloc(len);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		uint32_t at = lies[i].at;
		struct err err = {0};

		memcpy(lying, bytes, len);
		if (at >= LIE_INDEX)
			at = (uint32_t)load_le64(bytes + 72) + at - LIE_INDEX;
		store_le32(lying + at, lies[i].value);
		put_crcs_right(lying, len);
		if (!refused(lying, len, want, &err) ||
		    !strstr(err.text, lies[i].words))
			fail_msg("lie %zu: %s", i, err.text);
	}
	fd_close(&raw);
	free(want);
	free(bytes);
	free(lying);
}

/* A file of one frame, whatever that is. */
static uint64_t file_around(uint8_t *to, const uint8_t *frame, size_t n,
			    uint32_t nr_pages)
{
	struct packed_head head = {
		.size = SIZE,
		.frame_pages = PACKED_FRAME_PAGES_MIN,
		.nr_pages = nr_pages,
		.nr_runs = 1,
		.index_at = PACKED_HEAD_BYTES + n,
	};
	uint8_t *index = to + head.index_at;

	memcpy(to + PACKED_HEAD_BYTES, frame, n);
	store_le32(index, (uint32_t)n);
	store_le32(index + 4, load_le32(frame + n - 4));
	store_le32(index + 8, 0);
	store_le32(index + 12, nr_pages);
	store_le32(index + 16, 0);
	head.index_crc = crc64(0, index, packed_index_bytes(&head));
	packed_head_encode(&head, to);
	return packed_file_bytes(&head);
}

static size_t frame_of(uint8_t *to, size_t room, const uint8_t *from,
		       size_t len, bool checksum, bool sized)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t n;

	(void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, checksum);
	(void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, sized);
	n = ZSTD_compress2(zstd, to, room, from, len);
	assert_false(ZSTD_isError(n));
	(void)ZSTD_freeCCtx(zstd);
	return n;
}

/* Each is a frame that zstd itself would unpack. */
static void test_frames(void **state)
{
	const size_t big = MIB(64), room = MIB(1);
	uint8_t *from = calloc(1, big), *frame = calloc(1, room);
	uint8_t *file = calloc(1, room), *want = calloc(1, SIZE);
	size_t two = 2 * PAGE_SIZE, n;
	struct err err;

	(void)state;
	n = frame_of(frame, room, from, two, true, true);
	assert_false(refused(file, file_around(file, frame, n, 2), want, &err));
	/* A bomb: 64 MiB of two pages. */
	n = frame_of(frame, room, from, big, true, true);
	assert_true(refused(file, file_around(file, frame, n, 2), want, &err));
	assert_non_null(strstr(err.text, "another number of bytes"));
	n = frame_of(frame, room, from, big, true, false);
	assert_true(refused(file, file_around(file, frame, n, 2), want, &err));
	assert_non_null(strstr(err.text, "another number of bytes"));
	n = frame_of(frame, room, from, PAGE_SIZE, true, true);
	assert_true(refused(file, file_around(file, frame, n, 2), want, &err));
	n = frame_of(frame, room, from, two, false, true);
	assert_true(refused(file, file_around(file, frame, n, 2), want, &err));
	assert_non_null(strstr(err.text, "no checksum"));
	n = frame_of(frame, room, from, two, true, true);
	memcpy(frame + n, frame, n);
	assert_true(
		refused(file, file_around(file, frame, 2 * n, 2), want, &err));
	assert_non_null(strstr(err.text, "something follows it"));
	free(from);
	free(frame);
	free(file);
	free(want);
}

/* Without somebody who unpacks: what volt-vmm says. */
static void test_no_unpacker(void **state)
{
	uint8_t *want = malloc(SIZE);
	int raw = raw_file(want);
	struct pack_stats stats;
	struct image_layer layer;
	struct err err;
	int fd = packed_file(raw, &label_whole, NULL, 0, 1, &stats);

	(void)state;
	assert_int_equal(
		image_layer_open(&layer, &fd, "m.snap", SIZE, NULL, &err),
		-ENOTSUP);
	assert_non_null(strstr(err.text, "m.snap is compressed"));
	image_layer_close(&layer);
	fd_close(&raw);
	free(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_no_unpacker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
