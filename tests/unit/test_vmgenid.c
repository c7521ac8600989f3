// SPDX-License-Identifier: Apache-2.0
/*
 * test_vmgenid.c - VM generation ID
 */
#include "gmem_kit.h"
#include "unit.h"

#include "dev/vmgenid.h"
#include "irq_log.h"

#define AT 0xe0000u

static void test_new_ids_differ(void **state)
{
	uint8_t first[VMGENID_BYTES], second[VMGENID_BYTES];
	const uint8_t zero[VMGENID_BYTES] = {0};
	struct irq_log log = {0};
	struct irq_line irq = irq_log_line(&log);
	struct vmgenid v;
	struct gmem mem;
	struct err err;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(vmgenid_init(&v, &mem, AT, &irq, &err), 0);
	assert_int_equal(gmem_read(&mem, AT, first, sizeof(first)), 0);
	assert_memory_not_equal(first, zero, sizeof(first));
	assert_int_equal(log.rises, 0); /* nobody to tell yet */
	assert_int_equal(vmgenid_renew(&v, &err), 0);
	assert_int_equal(gmem_read(&mem, AT, second, sizeof(second)), 0);
	assert_memory_not_equal(first, second, sizeof(first));
	assert_int_equal(log.rises, 1);
	gmem_fini(&mem);
}

static void test_outside_ram(void **state)
{
	struct irq_line irq = {0};
	struct vmgenid v;
	struct gmem mem;
	struct err err;

	(void)state;
	assert_int_equal(gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err), 0);
	assert_true(vmgenid_init(&v, &mem, MIB(16), &irq, &err) < 0);
	gmem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_ids_differ),
		cmocka_unit_test(test_outside_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
