// SPDX-License-Identifier: Apache-2.0
/*
 * test_discard.c - pages that were given back read zero, whatever was below
 */
#include "gmem_kit.h"
#include "unit.h"

#include "mem/gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Its run-time needs mappings of its own. */
#ifdef __SANITIZE_THREAD__
#define IS_TSAN true
#elif defined(__has_feature)
#define IS_TSAN __has_feature(thread_sanitizer)
#else
#define IS_TSAN false
#endif

#define RAM     MIB(16)
#define PATTERN 0x5a

static int pattern_file(uint64_t size)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);
	char page[PAGE_SIZE / 4];

	memset(page, PATTERN, sizeof(page));
	assert_true(fd >= 0);
	for (uint64_t off = 0; off < size; off += sizeof(page))
		assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)off),
				 sizeof(page));
	return fd;
}

static uint8_t byte_at(const struct gmem *mem, gpa_t gpa)
{
	uint8_t v = 0xff;

	assert_int_equal(gmem_read(mem, gpa, &v, 1), 0);
	return v;
}

static void anonymous(void **state)
{
	struct gmem mem = {0};
	struct err err;

	(void)state;
	assert_int_equal(gmem_init(&mem, RAM, GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_fill(&mem, 0, PATTERN, RAM), 0);
	assert_int_equal(gmem_discard(&mem, 0x1000, 0x2000), 0);
	assert_int_equal(byte_at(&mem, 0xfff), PATTERN);
	assert_int_equal(byte_at(&mem, 0x1000), 0);
	assert_int_equal(byte_at(&mem, 0x2fff), 0);
	assert_int_equal(byte_at(&mem, 0x3000), PATTERN);
	assert_true(gmem_was_discarded(&mem, 0x2000));
	assert_false(gmem_was_discarded(&mem, 0x3000));
	assert_false(gmem_was_discarded(&mem, RAM));
	gmem_fini(&mem);
}

static void bounds(void **state)
{
	struct gmem mem = {0};
	struct err err;

	(void)state;
	assert_int_equal(gmem_init(&mem, RAM, GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_discard(&mem, RAM, PAGE_SIZE), -EFAULT);
	assert_int_equal(gmem_discard(&mem, RAM - PAGE_SIZE, 2 * PAGE_SIZE),
			 -EFAULT);
	assert_int_equal(gmem_discard(&mem, 0, UINT64_MAX), -EFAULT);
	assert_int_equal(gmem_discard(&mem, UINT64_MAX - 4095, PAGE_SIZE),
			 -EFAULT);
	assert_int_equal(gmem_discard(&mem, 1, PAGE_SIZE), -EINVAL);
	assert_int_equal(gmem_discard(&mem, 0, 1), -EINVAL);
	assert_int_equal(gmem_discard(&mem, 0, 0), 0);
	assert_int_equal(gmem_discard(&mem, RAM - PAGE_SIZE, PAGE_SIZE), 0);
	assert_true(gmem_was_discarded(&mem, RAM - 1));
	gmem_fini(&mem);
}

/* madvise() does less there than it says. */
static void parts_of_huge_pages_are_refused(void **state)
{
	struct gmem mem = {0};
	struct err err;

	(void)state;
	assert_int_equal(gmem_init(&mem, RAM, GMEM_PAGES_DEFAULT, &err), 0);
	mem.pages = GMEM_PAGES_2M;
	assert_int_equal(gmem_discard(&mem, MIB(2), PAGE_SIZE), -EINVAL);
	assert_int_equal(gmem_discard(&mem, MIB(1), MIB(2)), -EINVAL);
	assert_false(gmem_was_discarded(&mem, MIB(2)));
	assert_int_equal(gmem_discard(&mem, MIB(2), MIB(2)), 0);
	assert_true(gmem_was_discarded(&mem, MIB(2)));
	gmem_fini(&mem);
}

/* D12: the bytes of the file do not come back, written to or not. */
static void test_d12_restored_memory(void **state)
{
	struct gmem mem = {0};
	struct err err;
	int fd = pattern_file(RAM);

	(void)state;
	assert_int_equal(
		gmem_init_from_file(&mem, RAM, GMEM_PAGES_DEFAULT, fd, &err),
		0);
	assert_int_equal(gmem_fill(&mem, 0x5000, 0x77, 0x1000), 0);
	assert_int_equal(gmem_discard(&mem, 0x4000, 0x3000), 0);
	for (gpa_t gpa = 0x4000; gpa < 0x7000; gpa += 0x800)
		assert_int_equal(byte_at(&mem, gpa), 0);
	assert_int_equal(byte_at(&mem, 0x3fff), PATTERN);
	assert_int_equal(byte_at(&mem, 0x7000), PATTERN);
	/* Used again, and given back again with neighbours. */
	assert_int_equal(gmem_fill(&mem, 0x4000, 0x77, 0x3000), 0);
	assert_int_equal(gmem_discard(&mem, 0x3000, 0x5000), 0);
	for (gpa_t gpa = 0x3000; gpa < 0x8000; gpa += 0x800)
		assert_int_equal(byte_at(&mem, gpa), 0);
	assert_int_equal(byte_at(&mem, 0x2fff), PATTERN);
	assert_int_equal(byte_at(&mem, 0x8000), PATTERN);
	assert_int_equal(mem.nr_holes, 3);
	gmem_fini(&mem);
	(void)close(fd);
}

/* A kernel's pages in anonymous RAM: only those are replaced. */
static void mapped_kernel(void **state)
{
	struct gmem mem = {0};
	struct err err;
	int fd = pattern_file(MIB(1));

	(void)state;
	assert_int_equal(gmem_init(&mem, RAM, GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_map_file(&mem, MIB(1), fd, 0, MIB(1)), 0);
	assert_int_equal(gmem_discard(&mem, 0, RAM), 0);
	for (gpa_t gpa = 0; gpa < RAM; gpa += 0x1000)
		assert_int_equal(byte_at(&mem, gpa), 0);
	assert_int_equal(mem.nr_holes, 1);
	gmem_fini(&mem);
	(void)close(fd);
}

/* So many mappings that the kernel refuses another: zeros all the same. */
static void test_d12_no_more_mappings(void **state)
{
	const size_t pages = 140000;
	struct gmem mem = {0};
	struct err err;
	int fd = pattern_file(RAM);
	size_t made = 0;
	char *p;

	(void)state;
	assert_int_equal(
		gmem_init_from_file(&mem, RAM, GMEM_PAGES_DEFAULT, fd, &err),
		0);
	p = mmap(NULL, pages * PAGE_SIZE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	while (made < pages &&
	       mprotect(p + made * PAGE_SIZE, PAGE_SIZE, PROT_READ) == 0)
		made += 2;
	if (made >= pages || IS_TSAN) {
		(void)munmap(p, pages * PAGE_SIZE);
		gmem_fini(&mem);
		(void)close(fd);
		skip(); /* a host without that limit */
	}
	for (gpa_t gpa = 0; gpa < MIB(1); gpa += 2 * PAGE_SIZE) {
		assert_int_equal(gmem_discard(&mem, gpa, PAGE_SIZE), 0);
		assert_int_equal(byte_at(&mem, gpa), 0);
		assert_int_equal(byte_at(&mem, gpa + PAGE_SIZE), PATTERN);
	}
	/* First one mapping again: ASan's munmap() maps its own memory anew. */
	assert_int_equal(mprotect(p, pages * PAGE_SIZE, PROT_NONE), 0);
	(void)munmap(p, pages * PAGE_SIZE);
	/* With room again they are replaced. */
	assert_int_equal(gmem_discard(&mem, 0, MIB(1)), 0);
	for (gpa_t gpa = 0; gpa < MIB(1); gpa += PAGE_SIZE)
		assert_int_equal(byte_at(&mem, gpa), 0);
	gmem_fini(&mem);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anonymous),
		cmocka_unit_test(bounds),
		cmocka_unit_test(parts_of_huge_pages_are_refused),
		cmocka_unit_test(test_d12_restored_memory),
		cmocka_unit_test(mapped_kernel),
		cmocka_unit_test(test_d12_no_more_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
