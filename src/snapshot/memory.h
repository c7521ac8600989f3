/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - guest memory into a file
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
 * already is merged with it (memory_copy()).
 */
#pragma once

#include "mem/gmem.h"
#include "snapshot/extent.h"
#include "snapshot/proof.h"

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
 * memory_copy() - the contents of a memory file, without its holes
 * @size:	of both
 *
 * Return: 0 or -errno with a sentence.
 */
int memory_copy(int from, int to, uint64_t size, struct err *err) __must_check;

/* Bytes of the file that are no holes, as far as the file system tells. */
uint64_t memory_stored(int fd, uint64_t size);

/**
 * memory_crc() - CRC-64/ECMA-182 of what a memory file holds
 * @zeros:	pages of zeros count: in a diff they say something. In a whole
 *		file they are as good as holes
 *
 * Of @size (64 bits, little endian), then of each page that counts, in
 * ascending order: its number (the same), its bytes. Reads all of the file but
 * its holes.
 *
 * Return: 0 and *@crc, or -errno with a sentence.
 */
int memory_crc(int fd, uint64_t size, bool zeros, uint64_t *crc,
	       struct err *err) __must_check;

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
