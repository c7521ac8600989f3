// SPDX-License-Identifier: Apache-2.0
/*
 * changed.c - how much of guest memory a diff would hold (changed.h)
 */
#include "mem/changed.h"

#include "mem/pages.h"

#include <errno.h>

/* Given back, and not written since. */
static uint64_t changed_in_gap(const struct gmem *mem, gpa_t gpa, gpa_t end)
{
	uint64_t bytes = 0;
	const struct gmem_region *r = gmem_region_of(mem, gpa);

	for (; r && r->given_back && gpa < end; gpa += PAGE_SIZE)
		if (gmem_was_discarded(mem, gpa))
			bytes += PAGE_SIZE;
	return bytes;
}

/* [@from, @to) of the region, which is plugged. */
static int changed_in_run(const struct gmem *mem,
			  const struct gmem_region *region, uint64_t from,
			  uint64_t to, int pagemap, uint64_t *bytes)
{
	uintptr_t hva = (uintptr_t)region->hva;
	struct pages_walk walk;
	struct pages_run run;
	uint64_t at = from;
	int r;

	pages_walk_begin(&walk, pagemap, region->hva + from, to - from);
	while ((r = pages_walk_next(&walk, &run)) > 0) {
		*bytes += changed_in_gap(mem, region->gpa + at,
					 region->gpa + (run.start - hva));
		*bytes += run.end - run.start;
		at = run.end - hva;
	}
	*bytes += changed_in_gap(mem, region->gpa + at, region->gpa + to);
	return r;
}

static int changed_in_region(const struct gmem *mem,
			     const struct gmem_region *region, int pagemap,
			     uint64_t *bytes)
{
	uint64_t at = 0, end = 0;
	int r = 0;

	while (r == 0 && gmem_next_plugged(region, &at, &end))
		r = changed_in_run(mem, region, at, end, pagemap, bytes);
	return r;
}

int gmem_changed(const struct gmem *mem, int pagemap, uint64_t *bytes)
{
	uint64_t sum = 0;
	int r = pagemap < 0 ? -EBADF : 0;

	for (unsigned int i = 0; i < mem->nr_image && r == 0; i++)
		r = changed_in_region(mem, &mem->region[i], pagemap, &sum);
	if (r == 0)
		*bytes = sum;
	return r;
}

/* Pages of what is plugged; a run begins and ends with a word. */
static uint64_t changed_marked(const struct gmem_region *region)
{
	const uint64_t word = 64ull * PAGE_SIZE;
	uint64_t at = 0, end = 0, pages = 0;

	while (gmem_next_plugged(region, &at, &end))
		for (uint64_t i = at / word; i < (end + word - 1) / word; i++)
			pages += (uint64_t)__builtin_popcountll(
				atomic_load_explicit(&region->dirty[i],
						     memory_order_relaxed));
	return pages;
}

uint64_t gmem_dirty_bytes(const struct gmem *mem)
{
	uint64_t pages = 0;

	for (unsigned int i = 0; i < mem->nr_image; i++)
		pages += changed_marked(&mem->region[i]);
	return pages * PAGE_SIZE;
}
