/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - which pages of guest memory somebody has written
 *
 * Theory of operation
 *
 * Guest memory is mapped MAP_PRIVATE, from nothing or from a file. A page that
 * was written, by the guest or by us, is then an anonymous page of this process
 * (or its copy in swap); any other page has no contents of its own. The kernel
 * tells which is which: by ranges with the ioctl PAGEMAP_SCAN (Linux 6.7), else
 * page by page in /proc/self/pagemap. Neither touches a page. Where both are
 * out of reach every page counts as written, which is slow but never wrong.
 *
 * The answer holds as long as nobody writes: vCPUs and devices are paused.
 */
#pragma once

#include "base/bits.h"

#define PAGES_BATCH 128u

/* [@start, @end): addresses in this process, page aligned. */
struct pages_run {
	uintptr_t start;
	uintptr_t end;
};

/**
 * struct pages_walk - a walk over a mapping
 * @fd:		/proc/self/pagemap, borrowed; -1: there is none
 * @ranges:	the kernel has PAGEMAP_SCAN
 * @at:		how far the kernel was asked
 */
struct pages_walk {
	int fd;
	bool ranges;
	uintptr_t at;
	uintptr_t end;
	unsigned int nr;
	unsigned int next;
	struct pages_run run[PAGES_BATCH];
};

/**
 * pages_walk_begin() - begin at @hva; @len bytes, both page aligned
 * @fd:		/proc/self/pagemap, open until the walk is over; or -1
 */
void pages_walk_begin(struct pages_walk *walk, int fd, const void *hva,
		      uint64_t len);

/**
 * pages_walk_next() - the next run of written pages, in ascending order
 *
 * Runs do not overlap; one may begin where the last ended.
 *
 * Return: 1 and *@run, 0 at the end, or -errno.
 */
int pages_walk_next(struct pages_walk *walk,
		    struct pages_run *run) __must_check;
