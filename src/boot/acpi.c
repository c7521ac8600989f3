// SPDX-License-Identifier: Apache-2.0
/*
 * acpi.c - RSDP, XSDT, FADT, MADT, and the DSDT's frame
 *
 * Theory of operation
 *
 * A machine of the hardware-reduced kind: no fixed ACPI hardware, no FACS, no
 * SCI. What remains of it are three byte registers in port space, for reset and
 * for power-off. All tables are written in one pass straight into guest memory,
 * the RSDP first, each at a multiple of 8; DSDT and MADT come before the
 * tables that point to them.
 *
 * The MADT has no interrupt source overrides: GSI n is pin n also for IRQ 0 of
 * the full irqchip, because KVM's default routes have it so.
 *
 * Reference: ACPI 6.4, chapter 5.2.
 */
#include "boot/tables.h"

#include <errno.h>

#define TABLE_ALIGN      8u
#define RSDP_BYTES       36u
#define RSDP_V1_BYTES    20u
#define HEADER_BYTES     36u
#define HEADER_LENGTH    4u
#define HEADER_CHECKSUM  9u
#define OEM_ID           "VOLT  "
#define CREATOR_REVISION 1u

#define FADT_REVISION    6u
#define FADT_MINOR       4u
#define FADT_BYTES       276u
#define MADT_REVISION    5u
#define DSDT_REVISION    2u /* 64-bit integers */

/* FADT fields: offset in the table */
enum {
	FADT_DSDT = 40,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR_VERSION = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_HYPERVISOR = 268,
};

enum {
	ARCH_LEGACY_DEVICES = 1 << 0,
	ARCH_8042 = 1 << 1,
	ARCH_NO_VGA = 1 << 2,
	ARCH_NO_CMOS_RTC = 1 << 5,
};

enum {
	FLAG_WBINVD = 1 << 0,
	FLAG_PROC_C1 = 1 << 2,
	FLAG_PWR_BUTTON = 1 << 4, /* no fixed power button */
	FLAG_SLP_BUTTON = 1 << 5, /* no fixed sleep button */
	FLAG_RESET_REG_SUP = 1 << 10,
	FLAG_HEADLESS = 1 << 12,
	FLAG_HW_REDUCED = 1 << 20,
};

enum {
	MADT_PCAT_COMPAT = 1,
	MADT_LAPIC = 0,
	MADT_LAPIC_BYTES = 8,
	MADT_LAPIC_ENABLED = 1,
	MADT_IOAPIC = 1,
	MADT_IOAPIC_BYTES = 12,
	MADT_LAPIC_NMI = 4,
	MADT_LAPIC_NMI_BYTES = 6,
	MADT_ALL_CPUS = 0xff,
	MADT_NMI_LINT = 1,
};

/* Starts a table at a multiple of 8. Return: its offset in @table. */
static size_t open_table(struct table *table, const char *signature,
			 uint8_t revision)
{
	size_t start;

	(void)table_add(table, -table->len % TABLE_ALIGN);
	start = table->len;
	table_bytes(table, signature, 4);
	table_u32(table, 0); /* length: close_table() */
	table_u8(table, revision);
	table_u8(table, 0); /* checksum: close_table() */
	table_bytes(table, OEM_ID, 6);
	table_bytes(table, "VOLT", 4);
	table_bytes(table, signature, 4);
	table_u32(table, 1);
	table_bytes(table, "VOLT", 4);
	table_u32(table, CREATOR_REVISION);
	return start;
}

static void close_table(struct table *table, size_t start)
{
	uint8_t *p = table->buf + start;

	if (table->full)
		return;
	store_le32(p + HEADER_LENGTH, (uint32_t)(table->len - start));
	p[HEADER_CHECKSUM] = table_checksum(p, table->len - start);
}

static size_t write_dsdt(struct table *table, const struct boot_platform *plat)
{
	size_t start = open_table(table, "DSDT", DSDT_REVISION);

	dsdt_write(table, plat);
	close_table(table, start);
	return start;
}

/* Generic address of a byte register in port space. */
static void store_port(uint8_t *gas, uint16_t port)
{
	gas[0] = 1; /* system I/O */
	gas[1] = 8; /* bits */
	gas[2] = 0; /* bit offset */
	gas[3] = 1; /* byte access */
	store_le64(gas + 4, port);
}

static size_t write_fadt(struct table *table, const struct boot_platform *plat,
			 size_t dsdt)
{
	size_t start = open_table(table, "FACP", FADT_REVISION);
	uint8_t *p = table->buf + start;
	unsigned int arch = ARCH_NO_VGA;

	if (!table_add(table, FADT_BYTES - HEADER_BYTES))
		return start;
	if (plat->has_serial || plat->has_i8042)
		arch |= ARCH_LEGACY_DEVICES;
	if (plat->has_i8042)
		arch |= ARCH_8042;
	if (!plat->has_rtc)
		arch |= ARCH_NO_CMOS_RTC;
	store_le32(p + FADT_DSDT, (uint32_t)(LAYOUT_ACPI + dsdt));
	store_le16(p + FADT_BOOT_ARCH, (uint16_t)arch);
	store_le32(p + FADT_FLAGS, FLAG_WBINVD | FLAG_PROC_C1 |
					   FLAG_PWR_BUTTON | FLAG_SLP_BUTTON |
					   FLAG_RESET_REG_SUP | FLAG_HEADLESS |
					   FLAG_HW_REDUCED);
	store_port(p + FADT_RESET_REG, LAYOUT_ACPI_RESET);
	p[FADT_RESET_VALUE] = LAYOUT_ACPI_RESET_VALUE;
	p[FADT_MINOR_VERSION] = FADT_MINOR;
	store_le64(p + FADT_X_DSDT, LAYOUT_ACPI + dsdt);
	store_port(p + FADT_SLEEP_CONTROL, LAYOUT_ACPI_SLEEP_CTL);
	store_port(p + FADT_SLEEP_STATUS, LAYOUT_ACPI_SLEEP_STATUS);
	memcpy(p + FADT_HYPERVISOR, "VOLT", 4);
	close_table(table, start);
	return start;
}

static size_t write_madt(struct table *table, const struct boot_platform *plat)
{
	size_t start = open_table(table, "APIC", MADT_REVISION);

	table_u32(table, LAYOUT_LAPIC);
	table_u32(table, plat->split_irqchip ? 0 : MADT_PCAT_COMPAT);
	for (unsigned int i = 0; i < plat->nr_cpus; i++) {
		table_u8(table, MADT_LAPIC);
		table_u8(table, MADT_LAPIC_BYTES);
		table_u8(table, (uint8_t)i); /* processor UID */
		table_u8(table, (uint8_t)i); /* APIC id */
		table_u32(table, MADT_LAPIC_ENABLED);
	}
	table_u8(table, MADT_IOAPIC);
	table_u8(table, MADT_IOAPIC_BYTES);
	table_u8(table, (uint8_t)plat->nr_cpus); /* id: behind the CPUs' */
	table_u8(table, 0);
	table_u32(table, LAYOUT_IOAPIC);
	table_u32(table, 0); /* first GSI */
	table_u8(table, MADT_LAPIC_NMI);
	table_u8(table, MADT_LAPIC_NMI_BYTES);
	table_u8(table, MADT_ALL_CPUS);
	table_u16(table, 0); /* polarity and trigger: as an NMI has them */
	table_u8(table, MADT_NMI_LINT);
	close_table(table, start);
	return start;
}

static size_t write_xsdt(struct table *table, size_t fadt, size_t madt)
{
	size_t start = open_table(table, "XSDT", 1);
	uint64_t entry[] = {LAYOUT_ACPI + fadt, LAYOUT_ACPI + madt};

	table_bytes(table, entry, sizeof(entry));
	close_table(table, start);
	return start;
}

static void write_rsdp(uint8_t *p, size_t xsdt)
{
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, OEM_ID, 6);
	p[15] = 2; /* revision */
	store_le32(p + 20, RSDP_BYTES);
	store_le64(p + 24, LAYOUT_ACPI + xsdt);
	p[8] = table_checksum(p, RSDP_V1_BYTES);
	p[32] = table_checksum(p, RSDP_BYTES);
}

int acpi_write(struct gmem *mem, const struct boot_platform *plat)
{
	struct table table = {
		.buf = gmem_find(mem, LAYOUT_ACPI, LAYOUT_ACPI_BYTES),
		.size = LAYOUT_ACPI_BYTES,
	};
	size_t dsdt, fadt, madt, xsdt;

	assert(table.buf);
	(void)table_add(&table, RSDP_BYTES);
	dsdt = write_dsdt(&table, plat);
	fadt = write_fadt(&table, plat, dsdt);
	madt = write_madt(&table, plat);
	xsdt = write_xsdt(&table, fadt, madt);
	if (table.full)
		return -ENOSPC;
	write_rsdp(table.buf, xsdt);
	return 0;
}
