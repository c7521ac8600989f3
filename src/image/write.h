/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.h - guest memory into an image
 *
 * Theory of operation
 *
 * The file is the raw memory, its regions one after the other, so that a
 * restore maps it as it is. What is zero is a hole; what is not plugged
 * (GMEM_HOT) is passed by, as no guest can ask for it. A guest uses little of
 * its memory, so the work goes by what was written (mem/pages.h):
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
 *
 * A page of a diff that was written with what its base holds is left out: where
 * that is cheaper than to keep it. To see it the base's page has to be read,
 * while the VM stands still. So
 *
 *   - only of a base that this VM has mapped: its files are open, and each page
 *     that was written was read from them before. Of another base (the VM's own
 *     last snapshot, a served one) files would have to be found and opened
 *   - only what is in the page cache (RWF_NOWAIT): no save waits for a disk
 *   - only into an empty file: in one that holds an earlier diff a hole says
 *     something else
 *   - only while it pays. A comparison took an eighth of the time that it took
 *     to write the page and sync it (Linux 6.18, ext4 on a virtual disk: 0.4 to
 *     2.7 us against 4.7 to 25). So WRITE_TRY pages are compared; then all of
 *     them as long as an eighth of those was the same, else one run in 16, to
 *     see whether that changes
 *
 * So a guest that writes nothing twice pays WRITE_TRY comparisons, a part of a
 * millisecond.
 */
#pragma once

#include "image/image.h"
#include "image/proof.h"
#include "mem/gmem.h"

/* Pages. */
#define WRITE_TRY 256u

enum memory_kind {
	MEMORY_FULL,
	MEMORY_DIFF,
	MEMORY_DIRTY,
};

/**
 * struct memory_stats - what went where, bytes
 * @written:	from memory
 * @copied:	from the file that the memory is mapped from
 * @compared:	pages that were compared with the base
 * @same:	of these, those that are left out
 * @fresh:	some of the pages that were written since the last snapshot, or
 *		of memory that is not tracked since the start
 */
struct memory_stats {
	uint64_t written;
	uint64_t copied;
	uint64_t compared;
	uint64_t same;
	struct memory_picks fresh;
};

/**
 * memory_write() - all of @mem into @fd: an empty file, or for a diff one that
 * it is merged with
 * @pagemap:	/proc/self/pagemap; -1: every page counts as written
 * @base:	of a diff: the image that @mem was mapped from, if that is what
 *		it differs from; else NULL
 *
 * vCPUs and devices are paused. Does not sync.
 *
 * Return: 0, or -errno with a sentence.
 */
int memory_write(const struct gmem *mem, int pagemap, int fd,
		 enum memory_kind kind, const struct image *base,
		 struct memory_stats *stats, struct err *err) __must_check;
