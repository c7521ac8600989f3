/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memmap.h - the memory map, and the two forms in which a kernel gets it
 */
#pragma once

#include "boot/cmdline.h"
#include "boot/kernel.h"

#define MEMMAP_MAX      8
#define MEMMAP_RAM      1u
#define MEMMAP_RESERVED 2u

/**
 * struct memmap - sorted, without overlap; what is not in it is not memory
 */
struct memmap {
	unsigned int nr;
	struct {
		uint64_t addr;
		uint64_t size;
		uint32_t type;
	} entry[MEMMAP_MAX];
};

/* RAM of @mem, and apart from it what layout.h reserves. */
void memmap_build(struct memmap *map, const struct gmem *mem);

/**
 * struct boot_handover - what a kernel is told, whatever the protocol
 * @initrd_len:	0: no initrd
 */
struct boot_handover {
	struct memmap map;
	gpa_t initrd;
	uint64_t initrd_len;
};

/* linux64.c: zero page, GDT and page tables; fills @entry. */
void linux64_write(struct gmem *mem, const struct kernel *kernel,
		   const struct boot_handover *give, struct boot_entry *entry);

/* pvh.c: start info, module list, memory map, GDT; fills @entry. */
void pvh_write(struct gmem *mem, const struct kernel *kernel,
	       const struct boot_handover *give, struct boot_entry *entry);

/* gdt.c: the boot GDT at LAYOUT_GDT. @long_mode: code is 64-bit. */
void gdt_write(struct gmem *mem, bool long_mode, struct boot_entry *entry);
