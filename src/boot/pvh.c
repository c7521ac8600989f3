// SPDX-License-Identifier: Apache-2.0
/*
 * pvh.c - what the PVH boot protocol asks for
 *
 * 32-bit protected mode without paging, flat segments, and in ebx the address
 * of a start info of version 1, which points to the rest.
 *
 * Reference: Xen, public/arch-x86/hvm/start_info.h.
 */
#include "boot/memmap.h"

#define START_MAGIC   0x336ec578u
#define START_VERSION 1u

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct start_module {
	uint64_t addr;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct start_memmap {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

static_assert(sizeof(struct start_info) == 56, "start info");
static_assert(LAYOUT_CMDLINE + LAYOUT_CMDLINE_MAX <= LAYOUT_PVH_INFO,
	      "command line");
static_assert(LAYOUT_PVH_INFO + sizeof(struct start_info) <= LAYOUT_PVH_MODULE,
	      "start info");
static_assert(LAYOUT_PVH_MODULE + sizeof(struct start_module) <=
		      LAYOUT_PVH_MEMMAP,
	      "module list");

void pvh_write(struct gmem *mem, const struct kernel *kernel,
	       const struct boot_handover *give, struct boot_entry *entry)
{
	struct start_info *info =
		gmem_find(mem, LAYOUT_PVH_INFO, sizeof(*info));
	struct start_module *module =
		gmem_find(mem, LAYOUT_PVH_MODULE, sizeof(*module));
	struct start_memmap *map =
		gmem_find(mem, LAYOUT_PVH_MEMMAP, MEMMAP_MAX * sizeof(*map));

	assert(info && module && map);
	*info = (struct start_info){
		.magic = START_MAGIC,
		.version = START_VERSION,
		.cmdline = LAYOUT_CMDLINE,
		.rsdp = LAYOUT_ACPI,
		.memmap = LAYOUT_PVH_MEMMAP,
		.memmap_entries = give->map.nr,
	};
	if (give->initrd_len > 0) {
		info->nr_modules = 1;
		info->modules = LAYOUT_PVH_MODULE;
		module->addr = give->initrd;
		module->size = give->initrd_len;
	}
	for (unsigned int i = 0; i < give->map.nr; i++)
		map[i] = (struct start_memmap){
			.addr = give->map.entry[i].addr,
			.size = give->map.entry[i].size,
			.type = give->map.entry[i].type,
		};
	gdt_write(mem, false, entry);
	entry->mode = BOOT_ENTRY_PVH32;
	entry->ip = kernel->entry_pvh;
	entry->arg = LAYOUT_PVH_INFO;
	entry->cr3 = 0;
}
