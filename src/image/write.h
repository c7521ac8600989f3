/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.h - guest memory into an image
 *
 * Theory of operation
 *
 * The file is the raw memory, its regions one after the other, so that a
 * restore maps it as it is. What is zero is a hole. A guest uses little of its
 * memory, so the work goes by what was written (mem/pages.h):
 *
 *   a page that was written       is read; written unless it is zero
 *   any other page of a file      is copied from that file: the kernel image
 *                                 through the mapping; the memory file of the
 *                                 snapshot that this VM comes from inside the
 *                                 kernel, which may share its blocks, and
 *                                 without its holes
 *   any other page that another   is read, which asks for it
 *   process serves
 *   any other page                has no contents: neither read nor written
 *
 * Of memory that is tracked (gmem_track()) a diff holds the pages that are
 * dirty (MEMORY_DIRTY), zeros included. Of other memory a diff (MEMORY_DIFF)
 * holds the first kind only, zeros included: its holes say "as before". Before
 * a VM's first start is nothing, so the diff of one that does not come from a
 * snapshot holds its kernel, too. A diff that is written where a memory file is
 * already is merged with it (copy.h).
 */
#pragma once

#include "image/proof.h"
#include "mem/gmem.h"

enum memory_kind {
	MEMORY_FULL,
	MEMORY_DIFF,
	MEMORY_DIRTY,
};

/**
 * struct memory_stats - what went where, bytes
 * @written:	from memory
 * @copied:	from the file that the memory is mapped from
 * @fresh:	some of the pages that were written since the last snapshot, or
 *		of memory that is not tracked since the start
 */
struct memory_stats {
	uint64_t written;
	uint64_t copied;
	struct memory_picks fresh;
};

/**
 * memory_write() - all of @mem into @fd: an empty file, or for a diff one that
 * it is merged with
 * @pagemap:	/proc/self/pagemap; -1: every page counts as written
 *
 * vCPUs and devices are paused. Does not sync.
 *
 * Return: 0, or -errno with a sentence.
 */
int memory_write(const struct gmem *mem, int pagemap, int fd,
		 enum memory_kind kind, struct memory_stats *stats,
		 struct err *err) __must_check;
