// SPDX-License-Identifier: Apache-2.0
/*
 * pages.c - which pages of guest memory somebody has written (pages.h)
 */
#include "mem/pages.h"

#include "base/fd.h"
#include "mem/pages_abi.h"

#include <errno.h>
#include <unistd.h>

void pages_walk_begin(struct pages_walk *walk, int fd, const void *hva,
		      uint64_t len)
{
	walk->fd = fd;
	walk->ranges = true;
	walk->at = (uintptr_t)hva;
	walk->end = walk->at + len;
	walk->nr = 0;
	walk->next = 0;
}

/* Resident or in swap, neither a file's page nor the shared page of zeros. */
static int ask_ranges(struct pages_walk *walk)
{
	struct scan_region region[PAGES_BATCH];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = walk->at,
		.end = walk->end,
		.vec = (uintptr_t)region,
		.vec_len = PAGES_BATCH,
		.category_inverted = SCAN_FILE | SCAN_PFNZERO,
		.category_mask = SCAN_FILE | SCAN_PFNZERO,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT,
	};
	int nr = ioctl(walk->fd, SCAN_IOCTL, &arg);

	if (nr < 0)
		return -errno;
	for (int i = 0; i < nr; i++)
		walk->run[walk->nr++] =
			(struct pages_run){region[i].start, region[i].end};
	walk->at = arg.walk_end;
	return 0;
}

static void pages_add_page(struct pages_walk *walk, uintptr_t at)
{
	assert(walk->nr < PAGES_BATCH);
	if (walk->nr > 0 && walk->run[walk->nr - 1].end == at)
		walk->run[walk->nr - 1].end = at + PAGE_SIZE;
	else
		walk->run[walk->nr++] = (struct pages_run){at, at + PAGE_SIZE};
}

static int ask_pages(struct pages_walk *walk)
{
	uint64_t entry[PAGES_BATCH];
	size_t left = (walk->end - walk->at) / PAGE_SIZE;
	size_t nr = left < ARRAY_SIZE(entry) ? left : ARRAY_SIZE(entry);
	int r = fd_read_full(walk->fd, entry, nr * sizeof(entry[0]),
			     (off_t)(walk->at / PAGE_SIZE * sizeof(entry[0])));

	if (r < 0)
		return r;
	for (size_t i = 0; i < nr; i++)
		if ((entry[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)) &&
		    !(entry[i] & ENTRY_FILE))
			pages_add_page(walk, walk->at + i * PAGE_SIZE);
	walk->at += nr * PAGE_SIZE;
	return 0;
}

/* Some more runs, or none and walk->at has come to the end. */
static int pages_ask(struct pages_walk *walk)
{
	int r;

	walk->nr = 0;
	walk->next = 0;
	if (walk->fd < 0) {
		walk->run[walk->nr++] = (struct pages_run){walk->at, walk->end};
		walk->at = walk->end;
		return 0;
	}
	if (walk->ranges) {
		r = ask_ranges(walk);
		if (r != -ENOTTY && r != -EINVAL && r != -ENOSYS)
			return r;
		walk->ranges = false;
	}
	return ask_pages(walk);
}

int pages_walk_next(struct pages_walk *walk, struct pages_run *run)
{
	while (walk->next == walk->nr) {
		int r;

		if (walk->at >= walk->end)
			return 0;
		r = pages_ask(walk);
		if (r < 0)
			return r;
	}
	*run = walk->run[walk->next++];
	return 1;
}
