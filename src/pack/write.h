/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.h - a raw memory file into a packed one (format: pack.h)
 *
 * Theory of operation
 *
 * Two passes over the raw file. The first decides what is stored: it reads all
 * that is no hole, leaves out zeros and what is there already, and numbers the
 * rest: the hot run first, then by address. The second packs frames, each of
 * them alone, so that as many threads do it as there are processors; they are
 * nice. The caller's thread puts the frames into the file, in their order, then
 * the index, then the head: a file without its head is none.
 *
 * Whether a page is there already is asked by a hash of it, and decided by a
 * comparison of all its bytes. A guest that fills its memory with pages of one
 * hash makes the search give up, not slow: they are stored again.
 */
#pragma once

#include "pack/plan.h"

#define PACK_LEVEL_DEFAULT       1
#define PACK_LEVEL_MAX           19
#define PACK_FRAME_PAGES_DEFAULT 32u

/**
 * struct pack_how - how
 * @level:	of zstd, 1 to PACK_LEVEL_MAX
 * @frame_pages:	16 to 512, a power of two
 * @threads:	0: one for each processor that this process may use
 * @progress:	called now and then in the caller's thread; may be NULL
 */
struct pack_how {
	int level;
	uint32_t frame_pages;
	unsigned int threads;
	void (*progress)(void *ctx, uint64_t done, uint64_t all);
	void *ctx;
};

/**
 * pack_write() - @from into the empty file @to
 *
 * Does not sync. Return: 0 or -errno with a sentence.
 */
int pack_write(const struct pack_from *from, const struct pack_how *how, int to,
	       struct pack_stats *stats, struct err *err) __must_check;
