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

/* Starts a table at a multiple of 8. Return: its offset in @tab. */
static size_t open_table(struct tab *tab, const char *signature,
			 uint8_t revision)
{
	size_t start;

	(void)tab_add(tab, -tab->len % TABLE_ALIGN);
	start = tab->len;
	tab_bytes(tab, signature, 4);
	tab_u32(tab, 0); /* length: close_table() */
	tab_u8(tab, revision);
	tab_u8(tab, 0); /* checksum: close_table() */
	tab_bytes(tab, OEM_ID, 6);
	tab_bytes(tab, "VOLT", 4);
	tab_bytes(tab, signature, 4);
	tab_u32(tab, 1);
	tab_bytes(tab, "VOLT", 4);
	tab_u32(tab, CREATOR_REVISION);
	return start;
}

static void close_table(struct tab *tab, size_t start)
{
	uint8_t *p = tab->buf + start;

	if (tab->full)
		return;
	store_le32(p + HEADER_LENGTH, (uint32_t)(tab->len - start));
	p[HEADER_CHECKSUM] = tab_checksum(p, tab->len - start);
}

static size_t write_dsdt(struct tab *tab, const struct boot_platform *plat)
{
	size_t start = open_table(tab, "DSDT", DSDT_REVISION);

	dsdt_write(tab, plat);
	close_table(tab, start);
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

static size_t write_fadt(struct tab *tab, const struct boot_platform *plat,
			 size_t dsdt)
{
	size_t start = open_table(tab, "FACP", FADT_REVISION);
	uint8_t *p = tab->buf + start;
	unsigned int arch = ARCH_NO_VGA;

	if (!tab_add(tab, FADT_BYTES - HEADER_BYTES))
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
	close_table(tab, start);
	return start;
}

static size_t write_madt(struct tab *tab, const struct boot_platform *plat)
{
	size_t start = open_table(tab, "APIC", MADT_REVISION);

	tab_u32(tab, LAYOUT_LAPIC);
	tab_u32(tab, plat->split_irqchip ? 0 : MADT_PCAT_COMPAT);
	for (unsigned int i = 0; i < plat->nr_cpus; i++) {
		tab_u8(tab, MADT_LAPIC);
		tab_u8(tab, MADT_LAPIC_BYTES);
		tab_u8(tab, (uint8_t)i); /* processor UID */
		tab_u8(tab, (uint8_t)i); /* APIC id */
		tab_u32(tab, MADT_LAPIC_ENABLED);
	}
	tab_u8(tab, MADT_IOAPIC);
	tab_u8(tab, MADT_IOAPIC_BYTES);
	tab_u8(tab, (uint8_t)plat->nr_cpus); /* id: behind the CPUs' */
	tab_u8(tab, 0);
	tab_u32(tab, LAYOUT_IOAPIC);
	tab_u32(tab, 0); /* first GSI */
	tab_u8(tab, MADT_LAPIC_NMI);
	tab_u8(tab, MADT_LAPIC_NMI_BYTES);
	tab_u8(tab, MADT_ALL_CPUS);
	tab_u16(tab, 0); /* polarity and trigger: as an NMI has them */
	tab_u8(tab, MADT_NMI_LINT);
	close_table(tab, start);
	return start;
}

static size_t write_xsdt(struct tab *tab, size_t fadt, size_t madt)
{
	size_t start = open_table(tab, "XSDT", 1);
	uint64_t entry[] = {LAYOUT_ACPI + fadt, LAYOUT_ACPI + madt};

	tab_bytes(tab, entry, sizeof(entry));
	close_table(tab, start);
	return start;
}

static void write_rsdp(uint8_t *p, size_t xsdt)
{
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, OEM_ID, 6);
	p[15] = 2; /* revision */
	store_le32(p + 20, RSDP_BYTES);
	store_le64(p + 24, LAYOUT_ACPI + xsdt);
	p[8] = tab_checksum(p, RSDP_V1_BYTES);
	p[32] = tab_checksum(p, RSDP_BYTES);
}

int acpi_write(struct gmem *mem, const struct boot_platform *plat)
{
	struct tab tab = {
		.buf = gmem_find(mem, LAYOUT_ACPI, LAYOUT_ACPI_BYTES),
		.size = LAYOUT_ACPI_BYTES,
	};
	size_t dsdt, fadt, madt, xsdt;

	assert(tab.buf);
	(void)tab_add(&tab, RSDP_BYTES);
	dsdt = write_dsdt(&tab, plat);
	fadt = write_fadt(&tab, plat, dsdt);
	madt = write_madt(&tab, plat);
	xsdt = write_xsdt(&tab, fadt, madt);
	if (tab.full)
		return -ENOSPC;
	write_rsdp(tab.buf, xsdt);
	return 0;
}
