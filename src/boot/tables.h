/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables.h - the firmware tables, and the writer they are made with
 */
#pragma once

#include "boot/platform.h"

/**
 * struct tab - bytes that grow into a buffer of fixed size
 * @full:	something did not fit; what is there must not be used
 */
struct tab {
	uint8_t *buf;
	size_t size;
	size_t len;
	bool full;
};

/* @len bytes at the end, zeroed. Return: NULL once full. */
uint8_t *tab_add(struct tab *tab, size_t len);

void tab_bytes(struct tab *tab, const void *data, size_t len);
void tab_u8(struct tab *tab, uint8_t v);
void tab_u16(struct tab *tab, uint16_t v);
void tab_u32(struct tab *tab, uint32_t v);

/* What makes the sum of [@p, +@len) zero, while its checksum byte is 0. */
uint8_t tab_checksum(const void *p, size_t len);

/**
 * acpi_write() - RSDP, XSDT, FADT, MADT, DSDT from LAYOUT_ACPI on (acpi.c)
 *
 * Return: 0, -ENOSPC when they do not fit (layout.h sees to that).
 */
int acpi_write(struct gmem *mem, const struct boot_platform *plat) __must_check;

/* dsdt.c: the AML of the DSDT, without the table header. */
void dsdt_write(struct tab *tab, const struct boot_platform *plat);

/**
 * mptable_write() - MP table and the BIOS words that lead to it (mptable.c)
 *
 * Return: 0 or -ENOSPC.
 */
int mptable_write(struct gmem *mem,
		  const struct boot_platform *plat) __must_check;
