// SPDX-License-Identifier: Apache-2.0
/*
 * memmap.c - the memory map as e820 and PVH have it
 */
#include "boot/memmap.h"

static void memmap_add(struct memmap *map, uint64_t addr, uint64_t end,
		       uint32_t type)
{
	assert(map->nr < MEMMAP_MAX && end > addr);
	assert(map->nr == 0 || addr >= map->entry[map->nr - 1].addr +
					       map->entry[map->nr - 1].size);
	map->entry[map->nr].addr = addr;
	map->entry[map->nr].size = end - addr;
	map->entry[map->nr].type = type;
	map->nr++;
}

/*
 * Only the top of the hole is reserved. The rest stays out of the map, as on a
 * PC: Linux looks there for room for PCI and complains when there is none.
 */
void memmap_build(struct memmap *map, const struct gmem *mem)
{
	map->nr = 0;
	memmap_add(map, 0, LAYOUT_EBDA, MEMMAP_RAM);
	memmap_add(map, LAYOUT_EBDA, LAYOUT_BIOS_HOLE, MEMMAP_RESERVED);
	memmap_add(map, LAYOUT_BIOS, LAYOUT_KERNEL, MEMMAP_RESERVED);
	memmap_add(map, LAYOUT_KERNEL, mem->region[0].size, MEMMAP_RAM);
	memmap_add(map, LAYOUT_CHIPS, GMEM_HOLE_END, MEMMAP_RESERVED);
	for (unsigned int i = 1; i < mem->nr_regions; i++)
		memmap_add(map, mem->region[i].gpa,
			   mem->region[i].gpa + mem->region[i].size,
			   MEMMAP_RAM);
}
