// SPDX-License-Identifier: Apache-2.0
/*
 * linux64.c - what the 64-bit Linux boot protocol asks for
 *
 * A zero page (struct boot_params) in rsi, flat segments, and page tables that
 * map kernel, zero page and command line at their physical addresses: here the
 * first 4 GiB in 2 MiB pages, which every CPU with long mode has.
 *
 * References: Linux, Documentation/arch/x86/boot.rst and zero-page.rst.
 */
#include "boot/memmap.h"

#define LOADER_UNKNOWN 0xffu /* no number was assigned to us */
#define PTE_PRESENT    1ull
#define PTE_WRITE      2ull
#define PTE_LARGE      0x80ull
#define ENTRIES        512ull
#define DIRS           4ull /* page directories, 1 GiB each */

static void write_zero_page(struct gmem *mem, const struct kernel *kernel,
			    const struct boot_handover *give)
{
	struct boot_params *bp = gmem_find(mem, LAYOUT_ZERO_PAGE, sizeof(*bp));

	static_assert(sizeof(*bp) == PAGE_SIZE, "zero page");
	static_assert(MEMMAP_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "e820");
	assert(bp);
	bp->hdr = kernel->hdr;
	bp->hdr.type_of_loader = LOADER_UNKNOWN;
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	/* Low RAM ends below 4 GiB, so the upper halves stay 0. */
	bp->hdr.ramdisk_image = (uint32_t)give->initrd;
	bp->hdr.ramdisk_size = (uint32_t)give->initrd_len;
	bp->acpi_rsdp_addr = LAYOUT_ACPI;
	bp->e820_entries = (uint8_t)give->map.nr;
	for (unsigned int i = 0; i < give->map.nr; i++)
		bp->e820_table[i] = (struct boot_e820_entry){
			.addr = give->map.entry[i].addr,
			.size = give->map.entry[i].size,
			.type = give->map.entry[i].type,
		};
}

static void write_page_tables(struct gmem *mem)
{
	uint64_t *table =
		gmem_find(mem, LAYOUT_PAGE_TABLES, (2 + DIRS) * PAGE_SIZE);
	uint64_t *dir;

	assert(table);
	dir = table + 2 * ENTRIES;
	table[0] = (LAYOUT_PAGE_TABLES + PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (unsigned int i = 0; i < DIRS; i++)
		table[ENTRIES + i] =
			(LAYOUT_PAGE_TABLES + (2ull + i) * PAGE_SIZE) |
			PTE_PRESENT | PTE_WRITE;
	for (unsigned int i = 0; i < DIRS * ENTRIES; i++)
		dir[i] = i * MIB(2) | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
}

void linux64_write(struct gmem *mem, const struct kernel *kernel,
		   const struct boot_handover *give, struct boot_entry *entry)
{
	write_zero_page(mem, kernel, give);
	write_page_tables(mem);
	gdt_write(mem, true, entry);
	entry->mode = BOOT_ENTRY_LONG64;
	entry->ip = kernel->entry64;
	entry->arg = LAYOUT_ZERO_PAGE;
	entry->cr3 = LAYOUT_PAGE_TABLES;
}
