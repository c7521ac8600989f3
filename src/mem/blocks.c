// SPDX-License-Identifier: Apache-2.0
/*
 * blocks.c - memory that is plugged while the guest runs (gmem.h)
 *
 * What is not plugged may have pages all the same: of a request of a device
 * that was on its way, or of a guest that touches a block in a memory slot
 * where another one is plugged. They are the guest's own, and are in no image.
 */
#include "mem/discard.h"

#include <errno.h>

#define BITS 64u

static bool block_is_set(const struct gmem_region *r, uint64_t block)
{
	return atomic_load_explicit(&r->plugged[block / BITS],
				    memory_order_acquire) >>
		       block % BITS &
	       1;
}

static void block_set(struct gmem_region *r, uint64_t block, bool set)
{
	uint64_t bit = 1ull << block % BITS;

	if (set)
		atomic_fetch_or_explicit(&r->plugged[block / BITS], bit,
					 memory_order_release);
	else
		atomic_fetch_and_explicit(&r->plugged[block / BITS], ~bit,
					  memory_order_release);
}

const struct gmem_region *gmem_hot(const struct gmem *mem)
{
	for (unsigned int i = 0; i < mem->nr_image; i++)
		if (mem->region[i].kind == GMEM_HOT)
			return &mem->region[i];
	return NULL;
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

/* Return: the region that has these blocks; NULL: they are none. */
static struct gmem_region *blocks_of(struct gmem *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		struct gmem_region *r = &mem->region[i];

		if (r->plugged && gpa >= r->gpa &&
		    range_fits(gpa - r->gpa, len, r->size) &&
		    is_aligned(gpa - r->gpa, r->block_bytes) &&
		    is_aligned(len, r->block_bytes))
			return r;
	}
	return NULL;
}

static void blocks_set(struct gmem_region *r, gpa_t gpa, uint64_t len, bool set)
{
	uint64_t first = (gpa - r->gpa) / r->block_bytes;

	for (uint64_t i = 0; i < len / r->block_bytes; i++)
		block_set(r, first + i, set);
}

/* Nobody has written the zeros that are there now, and an earlier image may
 * have what was there before. */
static void blocks_mark(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	for (uint64_t at = 0; mem->tracked && at < len; at += PAGE_SIZE)
		if (gmem_was_discarded(mem, gpa + at))
			gmem_mark(mem, gpa + at, PAGE_SIZE);
}

int gmem_plug(struct gmem *mem, gpa_t gpa, uint64_t len, bool anew)
{
	struct gmem_region *r = blocks_of(mem, gpa, len);
	int rc = 0;

	if (!r)
		return -EINVAL;
	/* Of what was unplugged before a snapshot its bases may have pages. */
	if (anew && mem->origin != GMEM_FRESH)
		rc = gmem_give_back(mem, r, gpa, len);
	if (rc < 0)
		return rc;
	blocks_set(r, gpa, len, true);
	if (anew)
		blocks_mark(mem, gpa, len);
	return 0;
}

int gmem_unplug(struct gmem *mem, gpa_t gpa, uint64_t len)
{
	struct gmem_region *r = blocks_of(mem, gpa, len);

	if (!r)
		return -EINVAL;
	blocks_set(r, gpa, len, false);
	return 0;
}

int gmem_empty(struct gmem *mem, gpa_t gpa, uint64_t len)
{
	struct gmem_region *r = blocks_of(mem, gpa, len);

	return r ? gmem_give_back(mem, r, gpa, len) : -EINVAL;
}

bool gmem_next_plugged(const struct gmem_region *region, uint64_t *at,
		       uint64_t *end)
{
	uint64_t step = region->plugged ? region->block_bytes : region->size;

	*at = *end;
	while (*at < region->size && region->plugged &&
	       !block_is_set(region, *at / step))
		*at += step;
	*end = *at;
	while (*end < region->size &&
	       (!region->plugged || block_is_set(region, *end / step)))
		*end += step;
	return *end > *at;
}
