// SPDX-License-Identifier: Apache-2.0
/*
 * gdt.c - the descriptors that the boot CPU's segments were loaded from
 *
 * Nobody loads them again before the kernel has its own table, but a guest may
 * look at what its GDT register points to. (Intel SDM volume 3, 3.4.5)
 */
#include "boot/memmap.h"

enum {
	GDT_CODE = 2,
	GDT_DATA = 3,
	GDT_TSS = 4, /* and 5: 16 bytes in long mode */
	GDT_NR = 6,
};

#define DESC_CODE64 0x00af9b000000ffffull
#define DESC_CODE32 0x00cf9b000000ffffull
#define DESC_DATA   0x00cf93000000ffffull
#define DESC_TSS    0x00008b0000000067ull

void gdt_write(struct gmem *mem, bool long_mode, struct boot_entry *entry)
{
	uint64_t *gdt = gmem_find(mem, LAYOUT_GDT, GDT_NR * sizeof(*gdt));

	assert(gdt);
	gdt[GDT_CODE] = long_mode ? DESC_CODE64 : DESC_CODE32;
	gdt[GDT_DATA] = DESC_DATA;
	gdt[GDT_TSS] = DESC_TSS;
	entry->gdt = LAYOUT_GDT;
	entry->gdt_limit = GDT_NR * sizeof(*gdt) - 1;
}
