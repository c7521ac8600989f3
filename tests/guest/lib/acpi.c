/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi.c - as much of ACPI as a guest without an interpreter can read
 *
 * RSDP -> XSDT (RSDT when the RSDP is of revision 0, as firmware of other
 * VMMs may have it) -> tables. Offsets from the ACPI specification, 6.4.
 */
#include "guest.h"

enum {
	RSDP_REVISION = 15,
	RSDP_RSDT = 16,
	RSDP_XSDT = 24,
	SDT_LENGTH = 4,
	SDT_SIZE = 36,
	FADT_DSDT = 40,
	FADT_X_DSDT = 140,
	MADT_ENTRIES = 44,
	MADT_LAPIC = 0,
	MADT_X2APIC = 9,
};

/**
 * acpi_checksum() - Do the @len bytes at @table sum to zero?
 */
bool acpi_checksum(uint64_t table, uint64_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + read8(table++));
	return !sum;
}

/**
 * acpi_find_table() - Address of the table with this signature, or 0.
 */
uint64_t acpi_find_table(const char *signature)
{
	unsigned int stride = 8;
	uint64_t sdt, p, table;

	if (!machine.rsdp)
		return 0;
	sdt = read64(machine.rsdp + RSDP_XSDT);
	if (!read8(machine.rsdp + RSDP_REVISION) || !sdt) {
		sdt = read32(machine.rsdp + RSDP_RSDT);
		stride = 4;
	}
	for (p = sdt + SDT_SIZE; p < sdt + read32(sdt + SDT_LENGTH);
	     p += stride) {
		table = stride == 8 ? read64(p) : read32(p);
		if (!memcmp((const void *)table, signature, 4))
			return table;
	}
	return 0;
}

/**
 * acpi_read_gas() - A register description of the FADT.
 *
 * Return: whether the FADT has it and it names an address.
 */
bool acpi_read_gas(unsigned int fadt_offset, struct acpi_gas *gas)
{
	uint64_t fadt = acpi_find_table("FACP");

	if (!fadt || read32(fadt + SDT_LENGTH) < fadt_offset + sizeof(*gas))
		return false;
	memcpy(gas, (const void *)(fadt + fadt_offset), sizeof(*gas));
	return gas->addr;
}

/**
 * acpi_write_gas() - Write one byte to the register.
 */
void acpi_write_gas(const struct acpi_gas *gas, uint8_t val)
{
	if (gas->space == 1)
		out8((uint16_t)gas->addr, val);
	else
		write8(gas->addr, val);
}

/**
 * acpi_list_cpus() - The LAPIC ids of the MADT's enabled CPUs.
 */
void acpi_list_cpus(struct acpi_ids *ids)
{
	uint64_t madt = acpi_find_table("APIC"), p;

	ids->nr = 0;
	if (!madt)
		return;
	for (p = madt + MADT_ENTRIES; p < madt + read32(madt + SDT_LENGTH);
	     p += read8(p + 1)) {
		if (ids->nr == ARRAY_SIZE(ids->id) || !read8(p + 1))
			return;
		if (read8(p) == MADT_LAPIC && read32(p + 4) & 1)
			ids->id[ids->nr++] = read8(p + 3);
		else if (read8(p) == MADT_X2APIC && read32(p + 8) & 1)
			ids->id[ids->nr++] = read32(p + 4);
	}
}

/**
 * acpi_s5_type() - SLP_TYP for power-off, from the DSDT's _S5 package.
 *
 * Return: the first element of the package, or -1 without one.
 */
int acpi_s5_type(void)
{
	uint64_t fadt = acpi_find_table("FACP"), dsdt, p, end;

	if (!fadt)
		return -1;
	dsdt = read64(fadt + FADT_X_DSDT);
	if (!dsdt)
		dsdt = read32(fadt + FADT_DSDT);
	if (!dsdt)
		return -1;
	end = dsdt + read32(dsdt + SDT_LENGTH);
	for (p = dsdt + SDT_SIZE; p + 8 < end; p++) {
		if (memcmp((const void *)p, "_S5_\x12", 5))
			continue;
		p += 5;
		p += 1 + (read8(p) >> 6); /* package length: 1 to 4 bytes */
		p++;                      /* number of elements */
		if (read8(p) == 0x0a)     /* byte constant */
			return read8(p + 1);
		return read8(p) <= 1 ? read8(p) : -1;
	}
	return -1;
}
