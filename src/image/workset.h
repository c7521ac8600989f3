/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workset.h - a working set: the pages that a guest used, in the order of use
 *
 * It lies beside the memory file that it is of, is small, and only a hint: with
 * a wrong one a guest waits longer, and finds the same memory. It is checked
 * all the same.
 *
 * The file, little endian: "voltwset"; the moment that the snapshot holds (8);
 * pages (4), zero (4); CRC-64 of the 24 bytes before and all behind (8); the
 * numbers of the pages (4 each).
 */
#pragma once

#include "image/image.h"

#define WORKSET_NAME      "working-set"
#define WORKSET_PAGES_MAX (1u << 20) /* 4 GiB of memory */
/* Nobody chose it: not so much that a VM would wait for it. */
#define WORKSET_OF_DIFF_MAX (1u << 14) /* 64 MiB */

/* A kernel that is asked to read ahead reads one window for one call, and
 * leaves the rest out without a word (mm/readahead.c, force_page_cache_ra()).
 * Its window is this long unless somebody chose another. */
#define WORKSET_RUN_MAX KIB(128)

/**
 * struct workset - pages by their number in the memory file
 * @page:	owned
 */
struct workset {
	uint64_t moment;
	size_t nr;
	uint32_t *page;
};

/* One more. Return: 0; -E2BIG: it has WORKSET_PAGES_MAX; -ENOMEM. */
int workset_add(struct workset *set, uint32_t page) __must_check;

/**
 * workset_read() - from a file
 * @set:	empty; workset_fini() in any case
 *
 * Return: 0, also of an empty file, which says nothing; -EBADMSG when it is
 * none, or damaged; -errno; with a sentence.
 */
int workset_read(struct workset *set, int fd, const char *path,
		 struct err *err) __must_check;

/* Over what is in the file. Return: 0 or -errno with a sentence. */
int workset_write(const struct workset *set, int fd, const char *path,
		  struct err *err) __must_check;

/**
 * workset_of_diff() - what the newest file of a chain holds
 * @set:	empty; gets WORKSET_OF_DIFF_MAX pages at most. workset_fini() in
 *		any case
 *
 * The guest wrote it between the last two snapshots: what it works with, for
 * free. Of an image of one file there is none.
 *
 * Return: 0 or -ENOMEM.
 */
int workset_of_diff(struct workset *set,
		    const struct image *image) __must_check;

typedef void workset_run_fn(void *ctx, uint64_t at, uint64_t end);

/**
 * workset_each_run() - the first @max pages, to be read from a disk
 * @run:	is called for bytes [@at, @end) of the memory, ascending; pages
 *		that are close to each other come as one, of WORKSET_RUN_MAX at
 *		most. They may lie outside the memory
 *
 * Return: 0 or -ENOMEM.
 */
int workset_each_run(const struct workset *set, size_t max, workset_run_fn *run,
		     void *ctx) __must_check;

void workset_fini(struct workset *set);
