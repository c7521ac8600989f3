/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables.h - the firmware tables, and the writer they are made with
 */
#pragma once

#include "boot/platform.h"

/**
 * struct table - bytes that grow into a buffer of fixed size
 * @full:	something did not fit; what is there must not be used
 */
struct table {
	uint8_t *buf;
	size_t size;
	size_t len;
	bool full;
};

/* @len bytes at the end, zeroed. Return: NULL once full. */
uint8_t *table_add(struct table *table, size_t len);

/* Append @len bytes; a number, little-endian. Nothing, once full. */
void table_bytes(struct table *table, const void *data, size_t len);
void table_u8(struct table *table, uint8_t v);
void table_u16(struct table *table, uint16_t v);
void table_u32(struct table *table, uint32_t v);

/* What makes the sum of [@p, +@len) zero, while its checksum byte is 0. */
uint8_t table_checksum(const void *p, size_t len);

/**
 * acpi_write() - RSDP, XSDT, FADT, MADT, DSDT from LAYOUT_ACPI on (acpi.c)
 *
 * Return: 0, -ENOSPC when they do not fit (layout.h sees to that).
 */
int acpi_write(struct gmem *mem, const struct boot_platform *plat) __must_check;

/* dsdt.c: the AML of the DSDT, without the table header. */
void dsdt_write(struct table *table, const struct boot_platform *plat);

/**
 * mptable_write() - MP table and the BIOS words that lead to it (mptable.c)
 *
 * Return: 0 or -ENOSPC.
 */
int mptable_write(struct gmem *mem,
		  const struct boot_platform *plat) __must_check;
