// SPDX-License-Identifier: Apache-2.0
/*
 * test_snapshot_memory.c - which pages were written, and the memory file
 */
#include "gmem_kit.h"
#include "unit.h"

#include "base/fd.h"
#include "image/copy.h"
#include "image/write.h"
#include "mem/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int pagemap; /* of this process, as a VM has it */

static int new_file(void)
{
	char path[] = "/var/tmp/volt-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static void new_mem(struct gmem *mem, uint64_t size)
{
	struct err err;

	if (gmem_init(mem, size, GMEM_PAGES_DEFAULT, &err) < 0)
		fail_msg("%s", err.text);
}

static void fill(struct gmem *mem, uint64_t page, uint8_t byte)
{
	assert_int_equal(gmem_fill(mem, page * PAGE_SIZE, byte, PAGE_SIZE), 0);
}

static uint8_t byte_at(int fd, uint64_t page)
{
	static uint8_t data[PAGE_SIZE];

	assert_int_equal(
		fd_read_full(fd, data, sizeof(data), (off_t)(page * PAGE_SIZE)),
		0);
	for (size_t i = 1; i < sizeof(data); i++)
		assert_int_equal(data[i], data[0]);
	return data[0];
}

/* The page is stored, zero or not. */
static bool is_stored(int fd, uint64_t page)
{
	off_t at = (off_t)(page * PAGE_SIZE);

	return lseek(fd, at, SEEK_DATA) == at;
}

static uint64_t stored_bytes(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void write_it(const struct gmem *mem, int fd, enum memory_kind kind,
		     struct memory_stats *stats)
{
	struct err err;

	if (memory_write(mem, pagemap, fd, kind, NULL, stats, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(lseek(fd, 0, SEEK_END), mem->size);
}

enum way { BY_RANGES, BY_PAGES, BY_NOTHING };

/* A bit for each of the first 64 pages. */
static uint64_t walk(const struct gmem *mem, enum way way)
{
	struct pages_walk w;
	struct pages_run run;
	uintptr_t base = (uintptr_t)mem->region[0].hva, last = base;
	uint64_t bits = 0;
	int r;

	pages_walk_begin(&w, way == BY_NOTHING ? -1 : pagemap,
			 mem->region[0].hva, MIB(1));
	if (way == BY_PAGES)
		w.ranges = false;
	while ((r = pages_walk_next(&w, &run)) > 0) {
		assert_true(run.start >= last && run.end > run.start);
		last = run.end;
		for (uintptr_t at = run.start; at < run.end; at += PAGE_SIZE)
			if ((at - base) / PAGE_SIZE < 64)
				bits |= 1ull << (at - base) / PAGE_SIZE;
	}
	assert_int_equal(r, 0);
	assert_true(last <= base + MIB(1));
	return bits;
}

static void pages_that_were_written(void **state)
{
	int fd = new_file();
	struct gmem mem;
	uint8_t byte;

	(void)state;
	new_mem(&mem, MIB(16));
	assert_int_equal(ftruncate(fd, MIB(1)), 0);
	assert_int_equal(
		gmem_map_file(&mem, 32 * PAGE_SIZE, fd, 0, 8 * PAGE_SIZE), 0);
	fill(&mem, 3, 1);
	fill(&mem, 5, 1);
	fill(&mem, 6, 0);
	assert_int_equal(gmem_read(&mem, 33 * PAGE_SIZE, &byte, 1), 0);
	fill(&mem, 34, 1);
	assert_int_equal(walk(&mem, BY_PAGES),
			 1ull << 3 | 1ull << 5 | 1ull << 6 | 1ull << 34);
	assert_int_equal(gmem_read(&mem, 9 * PAGE_SIZE, &byte, 1), 0);
	assert_int_equal(walk(&mem, BY_RANGES) & ~(1ull << 9),
			 1ull << 3 | 1ull << 5 | 1ull << 6 | 1ull << 34);
	assert_int_equal(walk(&mem, BY_NOTHING), UINT64_MAX);
	gmem_fini(&mem);
	fd_close(&fd);
}

/* More runs than one call of the kernel returns. */
static void many_runs(void **state)
{
	struct gmem mem;
	struct memory_stats stats;
	int fd = new_file();

	(void)state;
	new_mem(&mem, MIB(16));
	for (uint64_t i = 1; i < 4096; i += 2)
		fill(&mem, i, (uint8_t)i);
	write_it(&mem, fd, MEMORY_FULL, &stats);
	assert_int_equal(stats.written, MIB(8));
	for (uint64_t i = 1; i < 4096; i += 100)
		assert_int_equal(byte_at(fd, i), (uint8_t)i);
	gmem_fini(&mem);
	fd_close(&fd);
}

static void untouched_memory_costs_nothing(void **state)
{
	struct gmem mem;
	struct memory_stats stats;
	int fd = new_file();

	(void)state;
	new_mem(&mem, GIB(1));
	fill(&mem, 7, 0xab);
	fill(&mem, 100000, 0xcd);
	fill(&mem, 100001, 0); /* touched, but zero */
	write_it(&mem, fd, MEMORY_FULL, &stats);
	assert_int_equal(stats.written, 2 * PAGE_SIZE);
	assert_int_equal(byte_at(fd, 7), 0xab);
	assert_int_equal(byte_at(fd, 100000), 0xcd);
	assert_int_equal(byte_at(fd, 100001), 0);
	assert_in_range(stored_bytes(fd), 2 * PAGE_SIZE, KIB(256));
	gmem_fini(&mem);
	fd_close(&fd);
}

static void both_sides_of_the_hole(void **state)
{
	struct gmem mem;
	struct memory_stats stats;
	int fd = new_file();

	(void)state;
	new_mem(&mem, GIB(4));
	assert_int_equal(
		gmem_fill(&mem, GMEM_HOLE_START - PAGE_SIZE, 1, PAGE_SIZE), 0);
	assert_int_equal(gmem_fill(&mem, GMEM_HOLE_END, 2, PAGE_SIZE), 0);
	assert_int_equal(gmem_fill(&mem, GIB(5) - PAGE_SIZE, 3, PAGE_SIZE), 0);
	write_it(&mem, fd, MEMORY_FULL, &stats);
	assert_int_equal(byte_at(fd, GIB(3) / PAGE_SIZE - 1), 1);
	assert_int_equal(byte_at(fd, GIB(3) / PAGE_SIZE), 2);
	assert_int_equal(byte_at(fd, GIB(4) / PAGE_SIZE - 1), 3);
	gmem_fini(&mem);
	fd_close(&fd);
}

static void a_kernel_image_is_written_too(void **state)
{
	int image = new_file(), fd = new_file();
	static uint8_t data[4 * PAGE_SIZE];
	struct memory_stats stats;
	struct gmem mem;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(0x10 + i / PAGE_SIZE);
	assert_int_equal(fd_write_full(image, data, sizeof(data)), 0);
	new_mem(&mem, MIB(16));
	assert_int_equal(gmem_map_file(&mem, MIB(1), image, 0, sizeof(data)),
			 0);
	fill(&mem, 257, 0xee); /* the guest's own */
	fill(&mem, 258, 0);
	fill(&mem, 260, 0xdd); /* right behind */
	write_it(&mem, fd, MEMORY_FULL, &stats);
	assert_int_equal(byte_at(fd, 255), 0);
	assert_int_equal(byte_at(fd, 256), 0x10);
	assert_int_equal(byte_at(fd, 257), 0xee);
	assert_int_equal(byte_at(fd, 258), 0);
	assert_int_equal(byte_at(fd, 259), 0x13);
	assert_int_equal(byte_at(fd, 260), 0xdd);

	/* There is nothing before it that a diff could leave out. */
	assert_int_equal(ftruncate(fd, 0), 0);
	write_it(&mem, fd, MEMORY_DIFF, &stats);
	assert_int_equal(byte_at(fd, 256), 0x10);
	assert_int_equal(byte_at(fd, 257), 0xee);
	assert_int_equal(byte_at(fd, 259), 0x13);
	gmem_fini(&mem);
	fd_close(&image);
	fd_close(&fd);
}

/* A snapshot of a VM that comes from a snapshot. */
static void the_memory_file_before(void **state)
{
	int base = new_file(), fd = new_file(), diff = new_file();
	struct memory_stats stats;
	struct gmem mem;
	struct err err;

	(void)state;
	new_mem(&mem, MIB(32));
	for (uint64_t i = 10; i < 20; i++)
		fill(&mem, i, (uint8_t)i);
	fill(&mem, 5000, 0x50);
	write_it(&mem, base, MEMORY_FULL, &stats);
	gmem_fini(&mem);

	assert_int_equal(gmem_init_from_file(&mem, MIB(32), GMEM_PAGES_DEFAULT,
					     base, &err),
			 0);
	fill(&mem, 11, 0xaa);
	fill(&mem, 12, 0); /* was not zero: must not come back */
	fill(&mem, 6000, 0xbb);
	write_it(&mem, fd, MEMORY_FULL, &stats);
	assert_int_equal(stats.written + stats.copied, 11 * PAGE_SIZE);
	assert_int_equal(byte_at(fd, 10), 10);
	assert_int_equal(byte_at(fd, 11), 0xaa);
	assert_int_equal(byte_at(fd, 12), 0);
	for (uint64_t i = 13; i < 20; i++)
		assert_int_equal(byte_at(fd, i), i);
	assert_int_equal(byte_at(fd, 20), 0);
	assert_int_equal(byte_at(fd, 5000), 0x50);
	assert_int_equal(byte_at(fd, 6000), 0xbb);
	assert_false(is_stored(fd, 4000));
	assert_in_range(stored_bytes(fd), 11 * PAGE_SIZE, KIB(512));

	write_it(&mem, diff, MEMORY_DIFF, &stats);
	assert_int_equal(stats.written, 3 * PAGE_SIZE);
	assert_true(is_stored(diff, 11) && is_stored(diff, 12));
	assert_false(is_stored(diff, 5000));

	/* The diff on top of the file before is the full one. */
	assert_int_equal(ftruncate(diff, 0), 0);
	assert_int_equal(memory_copy(base, diff, MIB(32), &err), 0);
	assert_false(is_stored(diff, 4000));
	write_it(&mem, diff, MEMORY_DIFF, &stats);
	for (uint64_t i = 0; i < MIB(32) / PAGE_SIZE; i++)
		assert_int_equal(byte_at(diff, i), byte_at(fd, i));
	gmem_fini(&mem);
	fd_close(&base);
	fd_close(&fd);
	fd_close(&diff);
}

/* Another process has what was not touched: the file stands for it. */
static void pages_that_are_served(void **state)
{
	int base = new_file(), fd = new_file();
	struct memory_stats stats;
	struct gmem mem;
	struct err err;

	(void)state;
	new_mem(&mem, MIB(16));
	for (uint64_t page = 0; page < 4; page++)
		fill(&mem, page, 0x11);
	write_it(&mem, base, MEMORY_FULL, &stats);
	gmem_fini(&mem);
	assert_int_equal(gmem_init_from_file(&mem, MIB(16), GMEM_PAGES_DEFAULT,
					     base, &err),
			 0);
	mem.nr_files = 0;
	mem.origin = GMEM_SERVED;
	fill(&mem, 2, 0x22);
	write_it(&mem, fd, MEMORY_FULL, &stats);
	assert_int_equal(byte_at(fd, 0), 0x11);
	assert_int_equal(byte_at(fd, 2), 0x22);
	assert_int_equal(byte_at(fd, 3), 0x11);
	assert_false(is_stored(fd, 4));
	assert_int_equal(ftruncate(fd, 0), 0);
	write_it(&mem, fd, MEMORY_DIFF, &stats);
	assert_false(is_stored(fd, 0));
	assert_int_equal(byte_at(fd, 2), 0x22);
	gmem_fini(&mem);
	fd_close(&base);
	fd_close(&fd);
}

/* Nothing is there any more, and that is what has to be stored. */
static void pages_that_were_given_back(void **state)
{
	struct memory_stats stats;
	int old = new_file(), fd = new_file();
	struct gmem mem;
	struct err err;

	(void)state;
	new_mem(&mem, MIB(16));
	for (uint64_t page = 0; page < 8; page++)
		fill(&mem, page, 0x11);
	write_it(&mem, old, MEMORY_FULL, &stats);
	gmem_fini(&mem);
	assert_int_equal(gmem_init_from_file(&mem, MIB(16), GMEM_PAGES_DEFAULT,
					     old, &err),
			 0);
	fill(&mem, 2, 0x22);
	assert_int_equal(gmem_discard(&mem, 2 * PAGE_SIZE, 3 * PAGE_SIZE), 0);
	fill(&mem, 4, 0x44);
	write_it(&mem, fd, MEMORY_FULL, &stats);
	assert_int_equal(byte_at(fd, 1), 0x11);
	assert_int_equal(byte_at(fd, 2), 0);
	assert_int_equal(byte_at(fd, 3), 0);
	assert_int_equal(byte_at(fd, 4), 0x44);
	assert_int_equal(byte_at(fd, 5), 0x11);
	assert_int_equal(ftruncate(fd, 0), 0);
	write_it(&mem, fd, MEMORY_DIFF, &stats);
	assert_false(is_stored(fd, 1));
	assert_true(is_stored(fd, 2));
	assert_true(is_stored(fd, 3));
	assert_int_equal(byte_at(fd, 3), 0);
	assert_int_equal(byte_at(fd, 4), 0x44);
	assert_false(is_stored(fd, 5));
	gmem_fini(&mem);
	(void)close(fd);
	(void)close(old);
}

static void a_file_that_cannot_grow(void **state)
{
	struct rlimit old, small = {.rlim_cur = MIB(1)};
	struct memory_stats stats;
	int fd = new_file();
	struct gmem mem;
	struct err err = {0};

	(void)state;
	new_mem(&mem, MIB(16));
	fill(&mem, 4000, 1);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(memory_write(&mem, pagemap, fd, MEMORY_FULL, NULL,
				      &stats, &err),
			 -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(err.text, "16 MiB"));
	gmem_fini(&mem);
	fd_close(&fd);
}

static uint64_t crc_of(int fd, uint64_t size, bool zeros)
{
	uint64_t crc;
	struct err err;

	assert_int_equal(memory_crc(&(struct image_layer){.fd = fd}, size,
				    zeros, &crc, &err),
			 0);
	return crc;
}

/* Of what is there, however it is stored; each bit, each place, each zero. */
static void a_crc_of_the_contents(void **state)
{
	const uint64_t size = MIB(16);
	int a = new_file(), b = new_file();
	static const uint8_t zero[PAGE_SIZE];
	static uint8_t page[PAGE_SIZE] = {1};
	uint64_t whole, diff;

	(void)state;
	assert_int_equal(ftruncate(a, (off_t)size), 0);
	whole = crc_of(a, size, true);
	assert_int_not_equal(whole, 0);
	assert_int_not_equal(crc_of(a, size - PAGE_SIZE, true), whole);
	assert_int_equal(pwrite(a, page, sizeof(page), (off_t)MIB(3)),
			 sizeof(page));
	whole = crc_of(a, size, false);
	diff = crc_of(a, size, true);
	assert_int_not_equal(whole, 0);
	for (uint64_t at = 0; at < size; at += PAGE_SIZE)
		assert_int_equal(pwrite(b, at == MIB(3) ? page : zero,
					PAGE_SIZE, (off_t)at),
				 PAGE_SIZE);
	assert_int_equal(crc_of(b, size, false), whole);
	assert_int_not_equal(crc_of(b, size, true), diff);
	assert_int_equal(pwrite(a, zero, PAGE_SIZE, 0), PAGE_SIZE);
	assert_int_equal(crc_of(a, size, false), whole);
	assert_int_not_equal(crc_of(a, size, true), diff);
	/* The same page elsewhere is something else; so is another bit. */
	assert_int_equal(ftruncate(b, 0), 0);
	assert_int_equal(ftruncate(b, (off_t)size), 0);
	assert_int_equal(pwrite(b, page, PAGE_SIZE, (off_t)MIB(4)), PAGE_SIZE);
	assert_int_not_equal(crc_of(b, size, false), whole);
	page[PAGE_SIZE - 1] = 0x80;
	assert_int_equal(pwrite(a, page, PAGE_SIZE, (off_t)MIB(3)), PAGE_SIZE);
	assert_int_not_equal(crc_of(a, size, false), whole);
	fd_close(&a);
	fd_close(&b);
}

/* What is dirty is stored, zeros too, whatever else was written. */
static void dirty_pages_only(void **state)
{
	struct memory_stats stats;
	int fd = new_file();
	struct gmem mem;

	(void)state;
	new_mem(&mem, GIB(3) + MIB(16));
	fill(&mem, 3, 1);
	assert_int_equal(gmem_track(&mem), 0);
	fill(&mem, 7, 2);
	fill(&mem, 8, 0);
	assert_int_equal(gmem_discard(&mem, 3 * PAGE_SIZE, PAGE_SIZE), 0);
	assert_int_equal(gmem_fill(&mem, GIB(4) + PAGE_SIZE, 4, 1), 0);
	write_it(&mem, fd, MEMORY_DIRTY, &stats);
	assert_int_equal(stats.written, 4 * PAGE_SIZE);
	assert_int_equal(byte_at(fd, 7), 2);
	assert_true(is_stored(fd, 3) && is_stored(fd, 8));
	assert_true(is_stored(fd, GIB(3) / PAGE_SIZE + 1));
	assert_false(is_stored(fd, 2) || is_stored(fd, 9));
	gmem_clean(&mem);
	assert_int_equal(ftruncate(fd, 0), 0);
	write_it(&mem, fd, MEMORY_DIRTY, &stats);
	assert_int_equal(stored_bytes(fd), 0);
	gmem_fini(&mem);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_that_were_written),
		cmocka_unit_test(many_runs),
		cmocka_unit_test(untouched_memory_costs_nothing),
		cmocka_unit_test(both_sides_of_the_hole),
		cmocka_unit_test(a_kernel_image_is_written_too),
		cmocka_unit_test(the_memory_file_before),
		cmocka_unit_test(pages_that_are_served),
		cmocka_unit_test(pages_that_were_given_back),
		cmocka_unit_test(a_file_that_cannot_grow),
		cmocka_unit_test(dirty_pages_only),
		cmocka_unit_test(a_crc_of_the_contents),
	};

	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
