// SPDX-License-Identifier: Apache-2.0
/*
 * blocks.c - memory that is plugged while the guest runs (gmem.h)
 */
#include "mem/gmem.h"

#define BITS 64u

static bool block_is_set(const struct gmem_region *r, uint64_t block)
{
	return atomic_load_explicit(&r->plugged[block / BITS],
				    memory_order_acquire) >>
		       block % BITS &
	       1;
}

uint64_t gmem_plugged(const struct gmem_region *region, gpa_t gpa, uint64_t len)
{
	uint64_t at = gpa - region->gpa, end = at + len, bytes = 0;

	while (at < end) {
		uint64_t block = at / region->block_bytes;
		uint64_t next = (block + 1) * region->block_bytes;

		if (next > end)
			next = end;
		if (block_is_set(region, block))
			bytes += next - at;
		at = next;
	}
	return bytes;
}
