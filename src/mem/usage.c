// SPDX-License-Identifier: Apache-2.0
/*
 * usage.c - whose memory a VM takes (usage.h)
 *
 * Documentation/filesystems/proc.rst has smaps_rollup's fields.
 */
#include "mem/usage.h"

#include "base/fd.h"
#include "mem/pages_abi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define USAGE_BATCH 128u
/* The file has some 25 lines of 30 characters. */
#define ROLLUP_BYTES 2048u

static void add_range(struct usage *usage, const struct scan_region *range)
{
	uint64_t len = range->end - range->start;

	if (range->categories & SCAN_SWAPPED)
		usage->swapped += len;
	else if (range->categories & SCAN_FILE)
		usage->shared += len;
	else if (!(range->categories & SCAN_PFNZERO))
		usage->private += len;
}

/* Return: 0, or -errno; -ENOTTY of a kernel without the ioctl. */
static int count_ranges(int pagemap, uintptr_t at, uintptr_t end,
			struct usage *usage)
{
	struct scan_region range[USAGE_BATCH];

	while (at < end) {
		struct scan_arg arg = {
			.size = sizeof(arg),
			.start = at,
			.end = end,
			.vec = (uintptr_t)range,
			.vec_len = USAGE_BATCH,
			.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
			.return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_FILE |
				       SCAN_PFNZERO,
		};
		int nr = ioctl(pagemap, SCAN_IOCTL, &arg);

		if (nr < 0)
			return -errno;
		for (int i = 0; i < nr; i++)
			add_range(usage, &range[i]);
		at = arg.walk_end;
	}
	return 0;
}

static int count_pages(int pagemap, uintptr_t at, uintptr_t end,
		       struct usage *usage)
{
	uint64_t entry[USAGE_BATCH];

	while (at < end) {
		size_t left = (end - at) / PAGE_SIZE;
		size_t nr = left < ARRAY_SIZE(entry) ? left : ARRAY_SIZE(entry);
		off_t off = (off_t)(at / PAGE_SIZE * sizeof(entry[0]));
		int r = fd_read_full(pagemap, entry, nr * sizeof(entry[0]),
				     off);

		if (r < 0)
			return r;
		for (size_t i = 0; i < nr; i++) {
			if (entry[i] & ENTRY_SWAPPED)
				usage->swapped += PAGE_SIZE;
			else if (!(entry[i] & ENTRY_PRESENT))
				continue;
			else if (entry[i] & ENTRY_FILE)
				usage->shared += PAGE_SIZE;
			else
				usage->private += PAGE_SIZE;
		}
		at += nr * PAGE_SIZE;
	}
	return 0;
}

int usage_of_guest(const struct gmem *mem, int pagemap, struct usage *usage)
{
	struct usage sum = {0};

	if (pagemap < 0)
		return -EBADF;
	for (unsigned int i = 0; i < mem->nr_image; i++) {
		const struct gmem_region *region = &mem->region[i];
		uintptr_t at = (uintptr_t)region->hva;
		int r = count_ranges(pagemap, at, at + region->size, &sum);

		if (r == -ENOTTY || r == -EINVAL || r == -ENOSYS)
			r = count_pages(pagemap, at, at + region->size, &sum);
		if (r < 0)
			return r;
	}
	*usage = sum;
	return 0;
}

/* "\nName:   12 kB\n" in @text, as bytes; 0 without the line. */
static uint64_t rollup_bytes(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

int usage_of_process(int smaps, struct usage *usage)
{
	char text[ROLLUP_BYTES];
	struct iovec room = {text, sizeof(text) - 1};
	ssize_t n;

	if (smaps < 0)
		return -EBADF;
	n = fd_preadv(smaps, &room, 1, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (!strstr(text, "[rollup]\n"))
		return -EINVAL;
	*usage = (struct usage){
		.private = rollup_bytes(text, "\nPrivate_Clean:") +
			   rollup_bytes(text, "\nPrivate_Dirty:") +
			   rollup_bytes(text, "\nPrivate_Hugetlb:"),
		.shared = rollup_bytes(text, "\nShared_Clean:") +
			  rollup_bytes(text, "\nShared_Dirty:") +
			  rollup_bytes(text, "\nShared_Hugetlb:"),
		.swapped = rollup_bytes(text, "\nSwap:"),
	};
	return 0;
}
