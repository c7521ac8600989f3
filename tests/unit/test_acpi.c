// SPDX-License-Identifier: Apache-2.0
/*
 * test_acpi.c - the ACPI tables as a guest finds them, and the AML writer
 *
 * acpi_iasl.py has iasl judge the same tables; this needs nothing installed.
 */
#include "boot_kit.h"

#include "boot/aml.h"

static const uint8_t *table_at(const struct gmem *mem, gpa_t gpa)
{
	const uint8_t *p = gmem_find(mem, gpa, 36);

	assert_non_null(p);
	assert_int_equal(gpa % 8, 0);
	assert_true(gpa >= LAYOUT_ACPI);
	assert_true(gpa + load_le32(p + 4) <= LAYOUT_ACPI + LAYOUT_ACPI_BYTES);
	kit_sum_is_zero(p, load_le32(p + 4));
	assert_memory_equal(p + 10, "VOLT  ", 6);
	return p;
}

/* RSDP -> XSDT -> the table of that name. */
static const uint8_t *find(const struct gmem *mem, const char *name)
{
	const uint8_t *rsdp = gmem_find(mem, LAYOUT_ACPI, 36);
	const uint8_t *xsdt;

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	kit_sum_is_zero(rsdp, 20);
	kit_sum_is_zero(rsdp, 36);
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(load_le32(rsdp + 20), 36);
	xsdt = table_at(mem, load_le64(rsdp + 24));
	assert_memory_equal(xsdt, "XSDT", 4);
	for (uint32_t i = 36; i < load_le32(xsdt + 4); i += 8) {
		const uint8_t *t = table_at(mem, load_le64(xsdt + i));

		if (memcmp(t, name, 4) == 0)
			return t;
	}
	fail_msg("no %s", name);
	return NULL;
}

static void is_port(const uint8_t *gas, uint16_t port)
{
	assert_int_equal(gas[0], 1);
	assert_int_equal(gas[1], 8);
	assert_int_equal(gas[2], 0);
	assert_int_equal(gas[3], 1);
	assert_int_equal(load_le64(gas + 4), port);
}

static void fadt_is_hardware_reduced(void **state)
{
	struct boot_platform plat = kit_platform();
	const uint8_t *fadt;
	struct gmem mem;

	(void)state;
	kit_memory(&mem, MIB(16));
	assert_int_equal(acpi_write(&mem, &plat), 0);
	fadt = find(&mem, "FACP");
	assert_int_equal(load_le32(fadt + 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_true(load_le32(fadt + 112) & 1u << 20); /* hardware-reduced */
	assert_true(load_le32(fadt + 112) & 1u << 10); /* reset register */
	assert_int_equal(load_le16(fadt + 109), 0x7);
	is_port(fadt + 116, LAYOUT_ACPI_RESET);
	assert_int_equal(fadt[128], LAYOUT_ACPI_RESET_VALUE);
	is_port(fadt + 244, LAYOUT_ACPI_SLEEP_CTL);
	is_port(fadt + 256, LAYOUT_ACPI_SLEEP_STATUS);
	assert_int_equal(load_le64(fadt + 140), load_le32(fadt + 40));
	assert_memory_equal(table_at(&mem, load_le64(fadt + 140)), "DSDT", 4);
	plat.has_rtc = plat.has_i8042 = plat.has_serial = false;
	gmem_fini(&mem);
	kit_memory(&mem, MIB(16));
	assert_int_equal(acpi_write(&mem, &plat), 0);
	assert_int_equal(load_le16(find(&mem, "FACP") + 109), 0x24);
	gmem_fini(&mem);
}

static void madt_lists_cpus_and_ioapic(void **state)
{
	static const unsigned int counts[] = {1, 2, 31, 32};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(counts); i++) {
		struct boot_platform plat = kit_platform();
		unsigned int cpus = 0, ioapics = 0, nmis = 0, other = 0;
		const uint8_t *madt, *p;
		struct gmem mem;

		plat.nr_cpus = counts[i / 2];
		plat.split_irqchip = i % 2;
		kit_memory(&mem, MIB(16));
		assert_int_equal(acpi_write(&mem, &plat), 0);
		madt = find(&mem, "APIC");
		assert_int_equal(load_le32(madt + 36), LAYOUT_LAPIC);
		assert_int_equal(load_le32(madt + 40), !plat.split_irqchip);
		for (p = madt + 44; p < madt + load_le32(madt + 4); p += p[1]) {
			assert_true(p[1] >= 2);
			if (p[0] == 0) {
				assert_int_equal(p[3], cpus);
				assert_int_equal(load_le32(p + 4), 1);
				cpus++;
			} else if (p[0] == 1) {
				assert_int_equal(p[2], plat.nr_cpus);
				assert_int_equal(load_le32(p + 4),
						 LAYOUT_IOAPIC);
				assert_int_equal(load_le32(p + 8), 0);
				ioapics++;
			} else if (p[0] == 4) {
				assert_int_equal(p[5], 1);
				nmis++;
			} else {
				other++;
			}
		}
		assert_int_equal(cpus, plat.nr_cpus);
		assert_int_equal(ioapics, 1);
		assert_int_equal(nmis, 1);
		assert_int_equal(other, 0); /* no override: GSI n is pin n */
		gmem_fini(&mem);
	}
}

/* The biggest machine must leave room: everything on one page. */
static void biggest_machine_fits(void **state)
{
	struct boot_platform plat = kit_platform();
	const uint8_t *p;
	struct gmem mem;

	(void)state;
	plat.nr_cpus = LAYOUT_MAX_CPUS;
	kit_add_virtio(&plat, LAYOUT_VIRTIO_MAX);
	kit_memory(&mem, MIB(16));
	assert_int_equal(acpi_write(&mem, &plat), 0);
	p = gmem_find(&mem, LAYOUT_BIOS + PAGE_SIZE, PAGE_SIZE);
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(p[i], 0);
	gmem_fini(&mem);
}

static void aml_numbers(void **state)
{
	static const struct {
		uint64_t v;
		size_t len;
		uint8_t bytes[9];
	} rows[] = {
		{0, 1, {0x00}},
		{1, 1, {0x01}},
		{2, 2, {0x0a, 2}},
		{0xff, 2, {0x0a, 0xff}},
		{0x100, 3, {0x0b, 0, 1}},
		{0xffff, 3, {0x0b, 0xff, 0xff}},
		{0x10000, 5, {0x0c, 0, 0, 1, 0}},
		{UINT32_MAX, 5, {0x0c, 0xff, 0xff, 0xff, 0xff}},
		{GIB(4), 9, {0x0e, 0, 0, 0, 0, 1, 0, 0, 0}},
	};
	uint8_t buf[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct table table = {.buf = buf, .size = sizeof(buf)};

		aml_int(&table, rows[i].v);
		assert_int_equal(table.len, rows[i].len);
		assert_memory_equal(buf, rows[i].bytes, table.len);
	}
}

/* A length counts its own bytes: the borders of one, two and three. */
static void aml_lengths(void **state)
{
	static const struct {
		size_t body;
		size_t bytes;
		uint8_t want[3];
	} rows[] = {
		{1, 1, {2}},
		{62, 1, {63}},
		{63, 2, {0x41, 4}}, /* 65 */
		{4093, 2, {0x4f, 0xff}},
		{4094, 3, {0x81, 0, 1}}, /* 4097 */
	};
	static uint8_t buf[5000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct table table = {.buf = buf, .size = sizeof(buf)};
		struct aml_block block = aml_open_package(&table, 7);

		assert_non_null(table_add(&table, rows[i].body - 1));
		aml_close(&table, block);
		assert_false(table.full);
		assert_int_equal(table.len, 1 + rows[i].bytes + rows[i].body);
		assert_int_equal(buf[0], 0x12);
		assert_memory_equal(buf + 1, rows[i].want, rows[i].bytes);
		assert_int_equal(buf[1 + rows[i].bytes], 7);
	}
}

static void aml_eisa_ids(void **state)
{
	static const uint8_t want[] = {0x0c, 0x41, 0xd0, 0x05, 0x01};
	uint8_t buf[8];
	struct table table = {.buf = buf, .size = sizeof(buf)};

	(void)state;
	aml_eisa_id(&table, "PNP0501");
	assert_int_equal(table.len, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
	table.len = 0;
	aml_eisa_id(&table, "PNP0C0F");
	assert_memory_equal(buf, "\x0c\x41\xd0\x0c\x0f", 5);
}

/* What does not fit marks the table; nothing is written behind its end. */
static void full_table_is_marked(void **state)
{
	struct boot_platform plat = kit_platform();
	static uint8_t buf[1024];
	struct table whole = {.buf = buf, .size = sizeof(buf)};

	(void)state;
	dsdt_write(&whole, &plat);
	assert_false(whole.full);
	for (size_t size = 0; size < whole.len + 16; size++) {
		struct table table = {.buf = buf, .size = size};

		memset(buf, 0xa5, sizeof(buf));
		dsdt_write(&table, &plat);
		assert_true(table.len <= size);
		assert_int_equal(table.full, size < whole.len);
		for (size_t i = size; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xa5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fadt_is_hardware_reduced),
		cmocka_unit_test(madt_lists_cpus_and_ioapic),
		cmocka_unit_test(biggest_machine_fits),
		cmocka_unit_test(aml_numbers),
		cmocka_unit_test(aml_lengths),
		cmocka_unit_test(aml_eisa_ids),
		cmocka_unit_test(full_table_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
