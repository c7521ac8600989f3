// SPDX-License-Identifier: Apache-2.0
/*
 * test_vmclock.c - VMClock
 */
#include "gmem_kit.h"
#include "unit.h"

#include "dev/vmclock.h"

#define AT MIB(1)

/* Places of fields in the page, by Linux's vmclock-abi.h. */
enum {
	SIZE = 4,
	VERSION = 8,
	COUNTER_ID = 10,
	SEQ = 12,
	MARKER = 16,
	FLAGS = 24,
	GENERATION = 104,
};

struct rig {
	struct gmem mem;
	struct vmclock clock;
	uint8_t *page;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct err err;

	assert_non_null(rig);
	assert_int_equal(
		gmem_init(&rig->mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	rig->clock = (struct vmclock){&rig->mem, AT};
	rig->page = gmem_find(&rig->mem, AT, PAGE_SIZE);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	gmem_fini(&rig->mem);
	free(rig);
	return 0;
}

static void test_a_start_counts_nothing(void **state)
{
	struct rig *rig = *state;
	struct err err;

	assert_int_equal(vmclock_start(&rig->clock, &err), 0);
	assert_memory_equal(rig->page, "VCLK", 4);
	assert_int_equal(load_le32(rig->page + SIZE), PAGE_SIZE);
	assert_int_equal(load_le16(rig->page + VERSION), 1);
	assert_int_equal(rig->page[COUNTER_ID], 0xff);
	assert_int_equal(load_le32(rig->page + SEQ), 0);
	assert_int_equal(load_le64(rig->page + MARKER), 0);
	assert_int_equal(load_le64(rig->page + FLAGS), 0x300);
	assert_int_equal(load_le64(rig->page + GENERATION), 0);
}

static void test_each_restore_counts(void **state)
{
	struct rig *rig = *state;
	struct err err;

	assert_int_equal(vmclock_start(&rig->clock, &err), 0);
	for (unsigned int i = 1; i < 4; i++) {
		assert_int_equal(vmclock_renew(&rig->clock, &err), 0);
		assert_int_equal(load_le64(rig->page + MARKER), i);
		assert_int_equal(load_le64(rig->page + GENERATION), i);
		assert_int_equal(load_le32(rig->page + SEQ), 2 * i);
	}
}

/* What the guest wrote is its own affair, but for a count that stays odd. */
static void test_a_guest_that_scribbles(void **state)
{
	struct rig *rig = *state;
	struct err err;

	assert_int_equal(vmclock_start(&rig->clock, &err), 0);
	memset(rig->page + 4, 0xff, PAGE_SIZE - 4);
	assert_int_equal(vmclock_renew(&rig->clock, &err), 0);
	assert_int_equal(load_le64(rig->page + GENERATION), 0);
	assert_int_equal(load_le32(rig->page + SEQ) % 2, 0);
	assert_int_equal(rig->page[PAGE_SIZE - 1], 0xff);
}

static void test_the_page_of_an_older_snapshot_stays(void **state)
{
	struct rig *rig = *state;
	static uint8_t before[PAGE_SIZE];
	struct err err;

	memset(rig->page, 0x5a, PAGE_SIZE);
	memcpy(before, rig->page, PAGE_SIZE);
	assert_int_equal(vmclock_renew(&rig->clock, &err), 0);
	assert_memory_equal(rig->page, before, PAGE_SIZE);
}

/* A diff holds the page. */
static void test_what_is_written_is_marked(void **state)
{
	struct rig *rig = *state;
	struct err err;

	assert_int_equal(gmem_track(&rig->mem), 0);
	gmem_clean(&rig->mem);
	assert_int_equal(vmclock_start(&rig->clock, &err), 0);
	assert_true(gmem_is_dirty(&rig->mem, AT));
	gmem_clean(&rig->mem);
	assert_int_equal(vmclock_renew(&rig->clock, &err), 0);
	assert_true(gmem_is_dirty(&rig->mem, AT));
}

static void test_outside_ram(void **state)
{
	struct rig *rig = *state;
	struct vmclock clock = {&rig->mem, MIB(16) - 16};
	struct err err;

	assert_int_equal(vmclock_start(&clock, &err), -EFAULT);
	assert_int_equal(vmclock_renew(&clock, &err), -EFAULT);
	assert_string_equal(err.text, "The VM clock is not in RAM");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_start_counts_nothing),
		TEST(test_each_restore_counts),
		TEST(test_a_guest_that_scribbles),
		TEST(test_the_page_of_an_older_snapshot_stays),
		TEST(test_what_is_written_is_marked),
		TEST(test_outside_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
