// SPDX-License-Identifier: Apache-2.0
/*
 * expect.c - what a guest will want soon is read meanwhile (pager.h)
 */
#include "pager/pager.h"

#include <sys/mman.h>

/* Bytes [@at, @end) of all regions, one after the other. */
static void expect_range(const struct gmem *mem, uint64_t at, uint64_t end)
{
	for (unsigned int i = 0; i < mem->nr_image && at < end; i++) {
		const struct gmem_region *region = &mem->region[i];
		uint64_t last = region->at + region->size;
		uint64_t to = end < last ? end : last;

		if (at < to) {
			(void)madvise(region->hva + (at - region->at), to - at,
				      MADV_WILLNEED);
			at = to;
		}
	}
}

static void expect_run(void *ctx, uint64_t at, uint64_t end)
{
	expect_range(ctx, at, end);
}

int pager_expect(const struct pager *pager, struct gmem *mem,
		 const struct workset *set, size_t max)
{
	if (pager->kind != PAGER_FILE)
		return 0;
	return workset_each_run(set, max, expect_run, mem);
}
