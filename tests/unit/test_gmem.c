// SPDX-License-Identifier: Apache-2.0
/*
 * test_gmem.c - the single bounds check, by table
 */
#include "gmem_kit.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "mem/gmem.h"

static void find_edges(void **state)
{
	static const struct {
		gpa_t gpa;
		uint64_t len;
		bool ram;
		bool overlaps;
	} rows[] = {
		{0, 1, true, true},
		{0, GIB(3), true, true},
		{0, GIB(3) + 1, false, true},
		{GIB(3) - 1, 1, true, true},
		{GIB(3) - 1, 2, false, true},
		{GIB(3), 0, true,
		 false}, /* end of a region, nothing to touch */
		{GIB(3), 1, false, false},
		{GIB(4) - 1, 1, false, false},
		{GIB(4) - 1, 2, false, true},
		{GIB(4), GIB(1), true, true},
		{GIB(4), GIB(1) + 1, false, true},
		{GIB(5) - 1, 1, true, true},
		{GIB(5), 1, false, false},
		{UINT64_MAX, 1, false, false},
		{UINT64_MAX, UINT64_MAX, false, false},
		{1, UINT64_MAX, false, true},
		{GIB(3), UINT64_MAX, false, true},
	};
	struct gmem mem;
	struct err err;

	(void)state;
	assert_int_equal(gmem_init(&mem, GIB(4), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(mem.nr_regions, 2);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].ram)
			assert_non_null(
				gmem_find(&mem, rows[i].gpa, rows[i].len));
		else
			assert_null(gmem_find(&mem, rows[i].gpa, rows[i].len));
		assert_int_equal(gmem_overlaps(&mem, rows[i].gpa, rows[i].len),
				 rows[i].overlaps);
	}
	gmem_fini(&mem);
	assert_null(gmem_find(&mem, 0, 1));
}

static void copies_refuse_whole(void **state)
{
	struct gmem mem;
	struct err err;
	uint8_t buf[16] = "0123456789abcde";
	uint8_t got[16] = {0};
	uint16_t v = 0;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_write(&mem, MIB(16) - 16, buf, 16), 0);
	assert_int_equal(gmem_write(&mem, MIB(16) - 15, buf, 16), -EFAULT);
	assert_int_equal(gmem_read(&mem, MIB(16) - 16, got, 16), 0);
	assert_memory_equal(buf, got, 16);
	assert_int_equal(gmem_fill(&mem, MIB(16), 1, 1), -EFAULT);
	assert_int_equal(gmem_store16(&mem, 1, memory_order_release, 1),
			 -EINVAL);
	assert_int_equal(gmem_store16(&mem, 2, memory_order_release, 0xabcd),
			 0);
	assert_int_equal(gmem_load16(&mem, 2, memory_order_acquire, &v), 0);
	assert_int_equal(v, 0xabcd);
	assert_int_equal(gmem_load16(&mem, MIB(16), memory_order_acquire, &v),
			 -EFAULT);
	gmem_fini(&mem);
}

static void sizes_refused(void **state)
{
	static const uint64_t bad[] = {0, 1, MIB(15), MIB(16) + 1, UINT64_MAX};
	struct gmem mem;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			gmem_init(&mem, bad[i], GMEM_PAGES_DEFAULT, &err),
			-EINVAL);
}

static void file_pages_are_private(void **state)
{
	struct gmem mem;
	struct err err;
	char got[4] = {0};
	gpa_t gpa;
	int fd = memfd_create("t", 0);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(pwrite(fd, "page", 4, 4096), 4);
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_map_file(&mem, MIB(1), fd, 4096, 4096), 0);
	assert_int_equal(gmem_read(&mem, MIB(1), got, 4), 0);
	assert_memory_equal(got, "page", 4);
	assert_int_equal(gmem_write(&mem, MIB(1), "mine", 4), 0);
	assert_int_equal(pread(fd, got, 4, 4096), 4);
	assert_memory_equal(got, "page", 4);
	assert_int_equal(gmem_map_file(&mem, MIB(1) + 1, fd, 0, 4096), -EINVAL);
	assert_int_equal(gmem_map_file(&mem, MIB(16), fd, 0, 4096), -EFAULT);
	assert_true(gmem_owns(&mem, gmem_find(&mem, 12345, 1), &gpa));
	assert_int_equal(gpa, 12345);
	assert_false(gmem_owns(&mem, &mem, &gpa));
	gmem_fini(&mem);
	assert_int_equal(ftruncate(fd, (off_t)MIB(16)), 0);
	assert_int_equal(gmem_init_from_file(&mem, MIB(16), GMEM_PAGES_DEFAULT,
					     fd, &err),
			 0);
	assert_int_equal(gmem_read(&mem, 4096, got, 4), 0);
	assert_memory_equal(got, "page", 4);
	gmem_fini(&mem);
	(void)close(fd);
}

/* Also at sizes where no kernel aligns a mapping by itself. */
static void huge_pages_can_back_it(void **state)
{
	static const uint64_t sizes[] = {
		MIB(16), MIB(17), MIB(19), MIB(33), GIB(3) + MIB(1),
	};
	int fd = memfd_create("t", 0);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(GIB(3) + MIB(2))), 0);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		uint64_t size = sizes[i / 2];
		struct gmem mem;
		struct err err;
		int r = i % 2 ? gmem_init_from_file(&mem, size,
						    GMEM_PAGES_TRANSPARENT, fd,
						    &err)
			      : gmem_init(&mem, size, GMEM_PAGES_DEFAULT, &err);

		assert_int_equal(r, 0);
		for (unsigned int k = 0; k < mem.nr_regions; k++) {
			const struct gmem_region *region = &mem.region[k];

			assert_int_equal(
				(region->gpa ^ (uintptr_t)region->hva) %
					GMEM_HUGE_BYTES,
				0);
			region->hva[region->size - 1] = 1;
			region->hva[0] = 1;
		}
		gmem_fini(&mem);
	}
	(void)close(fd);
}

static void policy_of_the_host(void **state)
{
	static const struct {
		const char *text;
		bool by_default;
		bool transparent;
	} rows[] = {
		{"[always] madvise never\n", true, true},
		{"always [madvise] never\n", false, true},
		{"always madvise [never]\n", false, false},
		{"", false, false},
		{"always", false, false},
	};
	struct gmem mem;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;

		assert_int_equal(gmem_policy_is_huge(text, GMEM_PAGES_DEFAULT),
				 rows[i].by_default);
		assert_int_equal(
			gmem_policy_is_huge(text, GMEM_PAGES_TRANSPARENT),
			rows[i].transparent);
		assert_true(gmem_policy_is_huge(text, GMEM_PAGES_2M));
	}
	/* Whatever the host's policy is, this process may be out of it. */
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_TRANSPARENT, &err),
			 0);
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	gmem_set_policy(&mem, "[always] madvise never");
	assert_false(mem.huge);
	gmem_set_policy(&mem, "");
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
	assert_false(mem.huge);
	gmem_fini(&mem);
}

static uint64_t count_dirty(const struct gmem *mem)
{
	uint64_t nr = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++)
		for (uint64_t at = 0; at < mem->region[i].size; at += PAGE_SIZE)
			nr += gmem_is_dirty(mem, mem->region[i].gpa + at);
	return nr;
}

/* Every way to write, at every place of a page; nothing that only reads. */
static void writes_are_noted(void **state)
{
	static const uint64_t none[MIB(1) / PAGE_SIZE / 64];
	uint64_t bits[MIB(1) / PAGE_SIZE / 64] = {1ull << 63, 1};
	struct gmem mem;
	struct err err;
	uint16_t word;

	(void)state;
	assert_int_equal(
		gmem_init(&mem, GIB(3) + MIB(1), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_write(&mem, 0, "x", 1), 0); /* not tracked */
	assert_int_equal(gmem_track(&mem), 0);
	assert_int_equal(gmem_read(&mem, 0, &word, 2), 0);
	assert_int_equal(gmem_write(&mem, 4096, "x", 0), 0);
	assert_int_equal(gmem_write(&mem, GIB(3), "x", 1), -EFAULT);
	gmem_mark_bits(&mem.region[1], 0, mem.region[1].size, none);
	assert_int_equal(count_dirty(&mem), 0);
	assert_int_equal(gmem_write(&mem, 2 * PAGE_SIZE - 1, "xy", 2), 0);
	assert_int_equal(gmem_fill(&mem, 8 * PAGE_SIZE, 1, PAGE_SIZE), 0);
	assert_int_equal(
		gmem_store16(&mem, 11 * PAGE_SIZE - 2, memory_order_relaxed, 1),
		0);
	assert_int_equal(gmem_discard(&mem, 12 * PAGE_SIZE, 2 * PAGE_SIZE), 0);
	assert_int_equal(gmem_write(&mem, GIB(4), "x", 1), 0);
	gmem_mark_bits(&mem.region[1], 0, mem.region[1].size, bits);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(gmem_is_dirty(&mem, i * PAGE_SIZE),
				 0x3506 >> i & 1);
	assert_true(gmem_is_dirty(&mem, GIB(4)));
	assert_true(gmem_is_dirty(&mem, GIB(4) + 63 * PAGE_SIZE));
	assert_true(gmem_is_dirty(&mem, GIB(4) + 64 * PAGE_SIZE));
	assert_int_equal(count_dirty(&mem), 9);
	gmem_clean(&mem);
	assert_int_equal(count_dirty(&mem), 0);
	gmem_fini(&mem);
}

/* ---- regions that come and go ---- */

#define HOT_BYTES MIB(256)
#define HOT_SLOT  MIB(128)

static gpa_t add_hot(struct gmem *mem)
{
	struct gmem_spec spec = {
		.kind = GMEM_HOT,
		.gpa = gmem_room(mem, GIB(1)),
		.size = HOT_BYTES,
		.slot_bytes = HOT_SLOT,
		.block_bytes = MIB(2),
		.fd = -1,
	};
	struct err err;

	assert_int_equal(gmem_add(mem, &spec, &err), 0);
	return spec.gpa;
}

static void blocks_are_found_while_they_are_plugged(void **state)
{
	struct gmem mem;
	struct err err;
	gpa_t hot;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	hot = add_hot(&mem);
	assert_int_equal(hot, GIB(4));
	assert_int_equal(mem.size, MIB(16) + HOT_BYTES);
	assert_null(gmem_find(&mem, hot, 1));
	assert_false(gmem_overlaps(&mem, hot, HOT_BYTES));
	assert_int_equal(gmem_plug(&mem, hot + MIB(2), MIB(4), true), 0);
	assert_non_null(gmem_find(&mem, hot + MIB(2), MIB(4)));
	assert_non_null(gmem_find_const(&mem, hot + MIB(6) - 1, 1));
	assert_null(gmem_find(&mem, hot + MIB(6) - 1, 2));
	assert_null(gmem_find(&mem, hot + MIB(2) - 1, 2));
	assert_true(gmem_overlaps(&mem, hot + MIB(2) - 1, 2));
	assert_true(gmem_overlaps(&mem, hot - 8, MIB(4)));
	assert_false(gmem_overlaps(&mem, hot - 8, 16));
	assert_int_equal(gmem_plugged(&mem.region[1], hot, HOT_BYTES), MIB(4));
	assert_int_equal(gmem_page(&mem, hot), MIB(16) / PAGE_SIZE);

	assert_int_equal(gmem_fill(&mem, hot + MIB(2), 7, MIB(4)), 0);
	assert_int_equal(gmem_unplug(&mem, hot + MIB(2), MIB(2)), 0);
	assert_null(gmem_find(&mem, hot + MIB(2), 1));
	assert_int_equal(gmem_empty(&mem, hot + MIB(2), MIB(2)), 0);
	assert_int_equal(mem.region[1].hva[MIB(2)], 0);
	assert_int_equal(mem.region[1].hva[MIB(4)], 7);
	assert_true(gmem_was_discarded(&mem, hot + MIB(2)));
	/* What a device was about to do with it. */
	assert_int_equal(gmem_write(&mem, hot + MIB(2), "x", 1), -EFAULT);
	assert_int_equal(gmem_discard(&mem, hot + MIB(2), PAGE_SIZE), -EFAULT);
	assert_int_equal(gmem_discard(&mem, hot + MIB(4), PAGE_SIZE), 0);
	assert_int_equal(mem.region[1].hva[MIB(4)], 0);
	gmem_fini(&mem);
}

static void only_whole_blocks_of_one_region_are_plugged(void **state)
{
	struct gmem mem;
	struct err err;
	gpa_t hot;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	hot = add_hot(&mem);
	assert_int_equal(gmem_plug(&mem, 0, MIB(2), true), -EINVAL);
	assert_int_equal(gmem_plug(&mem, hot + PAGE_SIZE, MIB(2), true),
			 -EINVAL);
	assert_int_equal(gmem_plug(&mem, hot, PAGE_SIZE, true), -EINVAL);
	assert_int_equal(gmem_plug(&mem, hot, HOT_BYTES + MIB(2), true),
			 -EINVAL);
	assert_int_equal(gmem_plug(&mem, hot + MIB(2), HOT_BYTES, true),
			 -EINVAL);
	assert_int_equal(gmem_plug(&mem, hot + HOT_BYTES, MIB(2), true),
			 -EINVAL);
	assert_int_equal(gmem_unplug(&mem, hot - MIB(2), MIB(2)), -EINVAL);
	assert_int_equal(gmem_unplug(&mem, hot, UINT64_MAX - MIB(2) + 1),
			 -EINVAL);
	assert_int_equal(gmem_plugged(&mem.region[1], hot, HOT_BYTES), 0);
	gmem_fini(&mem);
}

static void runs_of_plugged_blocks_are_walked(void **state)
{
	uint64_t at = 0, end = 0;
	struct gmem mem;
	struct err err;
	gpa_t hot;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	hot = add_hot(&mem);
	assert_true(gmem_next_plugged(&mem.region[0], &at, &end));
	assert_true(at == 0 && end == MIB(16));
	assert_false(gmem_next_plugged(&mem.region[0], &at, &end));
	at = end = 0;
	assert_false(gmem_next_plugged(&mem.region[1], &at, &end));
	assert_int_equal(gmem_plug(&mem, hot + MIB(4), MIB(6), true), 0);
	assert_int_equal(
		gmem_plug(&mem, hot + HOT_BYTES - MIB(2), MIB(2), true), 0);
	at = end = 0;
	assert_true(gmem_next_plugged(&mem.region[1], &at, &end));
	assert_true(at == MIB(4) && end == MIB(10));
	assert_true(gmem_next_plugged(&mem.region[1], &at, &end));
	assert_true(at == HOT_BYTES - MIB(2) && end == HOT_BYTES);
	assert_false(gmem_next_plugged(&mem.region[1], &at, &end));
	gmem_fini(&mem);
}

static void blocks_of_tracked_memory_are_noted(void **state)
{
	struct gmem mem;
	struct err err;
	gpa_t hot;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_track(&mem), 0);
	hot = add_hot(&mem);
	assert_int_equal(gmem_plug(&mem, hot + MIB(8), MIB(2), true), 0);
	/* What nobody has written since the start is zero in every image. */
	assert_false(gmem_is_dirty(&mem, hot + MIB(8)));
	assert_int_equal(gmem_write(&mem, hot + MIB(8), "x", 1), 0);
	assert_true(gmem_is_dirty(&mem, hot + MIB(8)));
	assert_false(gmem_is_dirty(&mem, hot + MIB(8) + PAGE_SIZE));
	gmem_clean(&mem);
	assert_int_equal(gmem_unplug(&mem, hot + MIB(8), MIB(2)), 0);
	assert_int_equal(gmem_empty(&mem, hot + MIB(8), MIB(2)), 0);
	assert_true(gmem_is_dirty(&mem, hot + MIB(8)));
	assert_false(gmem_is_dirty(&mem, hot + MIB(10)));
	gmem_clean(&mem);
	assert_int_equal(gmem_plug(&mem, hot + MIB(8), MIB(2), true), 0);
	assert_true(gmem_is_dirty(&mem, hot + MIB(8)));
	gmem_fini(&mem);
}

static void a_device_region_is_no_part_of_the_image(void **state)
{
	struct gmem_spec spec = {.kind = GMEM_DEVICE, .size = MIB(2)};
	struct gmem mem;
	struct err err;
	char byte = 0;

	(void)state;
	spec.fd = memfd_create("device", MFD_CLOEXEC);
	assert_true(spec.fd >= 0);
	assert_int_equal(ftruncate(spec.fd, MIB(2)), 0);
	assert_int_equal(pwrite(spec.fd, "y", 1, 0), 1);
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_track(&mem), 0);
	(void)add_hot(&mem);
	spec.gpa = gmem_room(&mem, MIB(2));
	spec.shared = true;
	assert_int_equal(gmem_add(&mem, &spec, &err), 0);
	assert_int_equal(mem.nr_image, 2);
	assert_int_equal(mem.size, MIB(16) + HOT_BYTES);
	/* Behind the slots of the blocks. */
	assert_int_equal(mem.region[2].slot, 1 + HOT_BYTES / HOT_SLOT);
	assert_int_equal(gmem_write(&mem, spec.gpa, "z", 1), 0);
	assert_int_equal(pread(spec.fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'z');
	assert_int_equal(gmem_discard(&mem, spec.gpa, PAGE_SIZE), -EFAULT);
	gmem_remove(&mem);
	assert_null(gmem_find(&mem, spec.gpa, 1));

	spec.read_only = true;
	assert_int_equal(gmem_add(&mem, &spec, &err), 0);
	assert_null(gmem_find(&mem, spec.gpa, 1));
	assert_int_equal(gmem_write(&mem, spec.gpa, "q", 1), -EFAULT);
	assert_int_equal(gmem_read(&mem, spec.gpa, &byte, 1), 0);
	assert_int_equal(byte, 'z');
	gmem_fini(&mem);
	assert_int_equal(close(spec.fd), 0);
}

static void a_file_may_end_before_its_region(void **state)
{
	struct gmem_spec spec = {
		.kind = GMEM_DEVICE,
		.size = MIB(2),
		.file_bytes = PAGE_SIZE + 5,
		.shared = true,
	};
	struct gmem mem;
	struct err err;
	char byte = 1;

	(void)state;
	spec.fd = memfd_create("device", MFD_CLOEXEC);
	assert_true(spec.fd >= 0);
	assert_int_equal(ftruncate(spec.fd, PAGE_SIZE + 5), 0);
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	assert_null(gmem_device(&mem, 0));
	spec.gpa = gmem_room(&mem, MIB(2));
	assert_int_equal(gmem_add(&mem, &spec, &err), 0);
	assert_ptr_equal(gmem_device(&mem, 0), &mem.region[1]);
	assert_null(gmem_device(&mem, 1));
	assert_int_equal(gmem_page(&mem, spec.gpa), UINT64_MAX);
	assert_int_equal(gmem_write(&mem, spec.gpa + PAGE_SIZE + 4, "z", 1), 0);
	assert_int_equal(pread(spec.fd, &byte, 1, PAGE_SIZE + 4), 1);
	assert_int_equal(byte, 'z');
	assert_int_equal(gmem_write(&mem, spec.gpa + MIB(2) - 1, "q", 1), 0);
	assert_int_equal(lseek(spec.fd, 0, SEEK_END), PAGE_SIZE + 5);
	gmem_fini(&mem);
	assert_int_equal(close(spec.fd), 0);
}

static void regions_have_a_place_or_are_refused(void **state)
{
	struct gmem_spec spec = {
		.kind = GMEM_DEVICE,
		.size = PAGE_SIZE,
		.fd = -1,
	};
	struct gmem mem;
	struct err err;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	spec.gpa = MIB(8);
	assert_int_equal(gmem_add(&mem, &spec, &err), -EINVAL);
	spec.gpa = GMEM_HOLE_START;
	assert_int_equal(gmem_add(&mem, &spec, &err), -EINVAL);
	spec.gpa = -(uint64_t)PAGE_SIZE;
	spec.size = MIB(1);
	assert_int_equal(gmem_add(&mem, &spec, &err), -EINVAL);
	spec.size = PAGE_SIZE;
	while (mem.nr_regions < GMEM_MAX_REGIONS) {
		spec.gpa = gmem_room(&mem, PAGE_SIZE);
		assert_int_equal(gmem_add(&mem, &spec, &err), 0);
	}
	spec.gpa = gmem_room(&mem, PAGE_SIZE);
	assert_int_equal(gmem_add(&mem, &spec, &err), -ENOSPC);
	gmem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_edges),
		cmocka_unit_test(copies_refuse_whole),
		cmocka_unit_test(sizes_refused),
		cmocka_unit_test(file_pages_are_private),
		cmocka_unit_test(huge_pages_can_back_it),
		cmocka_unit_test(policy_of_the_host),
		cmocka_unit_test(writes_are_noted),
		cmocka_unit_test(blocks_are_found_while_they_are_plugged),
		cmocka_unit_test(only_whole_blocks_of_one_region_are_plugged),
		cmocka_unit_test(runs_of_plugged_blocks_are_walked),
		cmocka_unit_test(blocks_of_tracked_memory_are_noted),
		cmocka_unit_test(a_device_region_is_no_part_of_the_image),
		cmocka_unit_test(a_file_may_end_before_its_region),
		cmocka_unit_test(regions_have_a_place_or_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
