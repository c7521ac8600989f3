/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages_abi.h - what the kernel tells of pages in /proc/self/pagemap
 *
 * Documentation/admin-guide/mm/pagemap.rst
 */
#pragma once

#include <stdint.h>
#include <sys/ioctl.h>

/* <linux/fs.h> of Linux 6.7, which build hosts may not have. */
struct scan_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE    (1ull << 2)
#define SCAN_PRESENT (1ull << 3)
#define SCAN_SWAPPED (1ull << 4)
#define SCAN_PFNZERO (1ull << 5)

/* An entry of /proc/self/pagemap. */
#define ENTRY_FILE    (1ull << 61)
#define ENTRY_SWAPPED (1ull << 62)
#define ENTRY_PRESENT (1ull << 63)
