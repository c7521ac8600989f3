// SPDX-License-Identifier: Apache-2.0
/*
 * test_usage.c - whose memory a VM takes
 */
#include "unit.h"

#include "base/fd.h"
#include "mem/changed.h"
#include "mem/pages_abi.h"
#include "mem/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE GMEM_MIN_BYTES

static struct gmem fresh(void)
{
	struct gmem mem;
	struct err err;

	assert_int_equal(gmem_init(&mem, SIZE, GMEM_PAGES_DEFAULT, &err), 0);
	/* A page by itself, whatever the host's policy. */
	assert_int_equal(madvise(mem.region[0].hva, SIZE, MADV_NOHUGEPAGE), 0);
	return mem;
}

static struct usage of_guest(const struct gmem *mem)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct usage usage;

	assert_true(pagemap >= 0);
	assert_int_equal(usage_of_guest(mem, pagemap, &usage), 0);
	fd_close(&pagemap);
	return usage;
}

static struct usage of_process(void)
{
	int smaps = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	struct usage once, again;

	assert_true(smaps >= 0);
	assert_int_equal(usage_of_process(smaps, &once), 0);
	/* From its beginning each time. */
	assert_int_equal(usage_of_process(smaps, &again), 0);
	assert_true(again.private + again.swapped >=
		    (once.private + once.swapped) / 2);
	fd_close(&smaps);
	return again;
}

static void written_pages_are_private(void **state)
{
	struct gmem mem = fresh();
	struct usage before, after, all, guest;

	(void)state;
	guest = of_guest(&mem);
	assert_int_equal(guest.private + guest.shared + guest.swapped, 0);
	before = of_process();
	for (uint64_t at = 0; at < SIZE; at += 4 * PAGE_SIZE)
		mem.region[0].hva[at] = 1;
	after = of_guest(&mem);
	assert_int_equal(after.private + after.swapped, SIZE / 4);
	assert_int_equal(after.shared, 0);
	all = of_process();
	assert_true(all.private + all.swapped >=
		    before.private + before.swapped + SIZE / 8);
	gmem_fini(&mem);
}

static void pages_of_a_file_are_shared(void **state)
{
	struct gmem mem = fresh();
	int fd = memfd_create("memory", MFD_CLOEXEC);
	uint8_t *hva = mem.region[0].hva;
	struct usage usage;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	for (off_t at = 0; at < (off_t)SIZE; at += (off_t)PAGE_SIZE)
		assert_int_equal(pwrite(fd, "x", 1, at), 1);
	assert_ptr_equal(mmap(hva, SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_FIXED, fd, 0),
			 hva);
	for (uint64_t at = 0; at < SIZE; at += PAGE_SIZE)
		assert_int_equal(*(volatile uint8_t *)(hva + at), 'x');
	hva[0] = 1;
	hva[7 * PAGE_SIZE] = 1;
	usage = of_guest(&mem);
	assert_int_equal(usage.private + usage.swapped, 2 * PAGE_SIZE);
	assert_true(usage.shared >= SIZE / 2);
	assert_true(usage.shared <= SIZE - 2 * PAGE_SIZE);
	gmem_fini(&mem);
	fd_close(&fd);
}

/* Of a file: what was written, and what was given back and is zero now. */
static void what_a_diff_would_hold(void **state)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const struct gmem_piece all = {.at = 0, .end = SIZE, .fd = fd};
	struct gmem mem = {0};
	uint64_t bytes = 0;
	struct err err;

	(void)state;
	assert_true(fd >= 0 && pagemap >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(gmem_init_from_pieces(&mem, SIZE, NULL,
					       GMEM_PAGES_DEFAULT, fd, &all, 1,
					       &err),
			 0);
	assert_int_equal(gmem_changed(&mem, pagemap, &bytes), 0);
	assert_int_equal(bytes, 0);
	mem.region[0].hva[0] = 1;
	mem.region[0].hva[9 * PAGE_SIZE] = 1;
	assert_int_equal(gmem_discard(&mem, 4 * PAGE_SIZE, 3 * PAGE_SIZE), 0);
	assert_int_equal(gmem_changed(&mem, pagemap, &bytes), 0);
	assert_int_equal(bytes, 5 * PAGE_SIZE);
	/* Written again it does not count twice. */
	mem.region[0].hva[5 * PAGE_SIZE] = 1;
	assert_int_equal(gmem_changed(&mem, pagemap, &bytes), 0);
	assert_int_equal(bytes, 5 * PAGE_SIZE);
	assert_int_equal(gmem_changed(&mem, -1, &bytes), -EBADF);
	assert_int_equal(gmem_track(&mem), 0);
	assert_int_equal(gmem_dirty_bytes(&mem), 0);
	gmem_mark(&mem, PAGE_SIZE - 1, 2);
	assert_int_equal(gmem_dirty_bytes(&mem), 2 * PAGE_SIZE);
	gmem_fini(&mem);
	fd_close(&pagemap);
	fd_close(&fd);
}

/* A kernel before 6.7: the same entries, from a file that knows no ioctl. */
static void page_by_page(void **state)
{
	static const uint64_t entries[] = {
		0,
		ENTRY_PRESENT,
		ENTRY_PRESENT | ENTRY_FILE,
		ENTRY_SWAPPED,
		ENTRY_SWAPPED,
		ENTRY_PRESENT | ENTRY_FILE,
		ENTRY_PRESENT | ENTRY_FILE,
		ENTRY_FILE,
	};
	struct gmem mem = fresh();
	int fd = memfd_create("pagemap", MFD_CLOEXEC);
	uintptr_t first = (uintptr_t)mem.region[0].hva / PAGE_SIZE;
	off_t at = (off_t)(first * sizeof(uint64_t));
	struct usage usage;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, entries, sizeof(entries), at),
			 sizeof(entries));
	/* Cut short: no figures rather than wrong ones. */
	assert_int_equal(usage_of_guest(&mem, fd, &usage), -ENODATA);
	assert_int_equal(ftruncate(fd, at + (off_t)(SIZE / PAGE_SIZE *
						    sizeof(uint64_t))),
			 0);
	assert_int_equal(usage_of_guest(&mem, fd, &usage), 0);
	assert_int_equal(usage.private, PAGE_SIZE);
	assert_int_equal(usage.shared, 3 * PAGE_SIZE);
	assert_int_equal(usage.swapped, 2 * PAGE_SIZE);
	gmem_fini(&mem);
	fd_close(&fd);
}

static void what_is_not_to_be_had(void **state)
{
	struct gmem mem = fresh();
	int other = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct usage usage = {.private = 1};

	(void)state;
	assert_int_equal(usage_of_guest(&mem, -1, &usage), -EBADF);
	assert_int_equal(usage_of_process(-1, &usage), -EBADF);
	assert_int_equal(usage_of_process(other, &usage), -EINVAL);
	assert_int_equal(usage.private, 1);
	gmem_fini(&mem);
	fd_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_pages_are_private),
		cmocka_unit_test(pages_of_a_file_are_shared),
		cmocka_unit_test(what_a_diff_would_hold),
		cmocka_unit_test(page_by_page),
		cmocka_unit_test(what_is_not_to_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
