/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packed.h - the head of a packed (compressed) memory file
 *
 * Theory of operation
 *
 * A memory file is raw, or packed: pack/pack.h has the whole format. Whoever
 * only has to know whose a file is, and how much memory it stands for, reads
 * its head, and needs no library for that: a VM's process links none.
 *
 * The length of a raw file is a multiple of the page size, that of a packed one
 * never is. So nothing is read of a raw one to know it: the length, which
 * everybody asks for anyway, says that it is none.
 *
 * The head, little endian:
 *
 *   at   bytes  what
 *   0    8      "voltpak1"
 *   8    4      pages in a frame, 16 to 512, a power of two
 *   12   4      zero
 *   16   8      bytes of memory
 *   24   32     the label: id, moment, base, run
 *   56   4      pages that are stored
 *   60   4      ... of them, from the first on, the hot run
 *   64   4      runs in the index
 *   68   4      zero
 *   72   8      where the index is
 *   80   8      CRC-64 of the index
 *   88   8      CRC-64 of the 88 bytes before
 *
 * What follows from these numbers has no place in the head: so nothing in it
 * contradicts another thing. The head has a CRC, so that what is damaged is
 * told from what is hostile; neither is trusted.
 */
#pragma once

#include "base/bits.h"
#include "base/err.h"
#include "image/label.h"

#include <sys/types.h>

#define PACKED_HEAD_BYTES      96u
#define PACKED_FRAME_BYTES     8u  /* of the index, for each frame */
#define PACKED_RUN_BYTES       12u /* for each run */
#define PACKED_FRAME_PAGES_MIN 16u
#define PACKED_FRAME_PAGES_MAX 512u
/* Page numbers have 32 bits, and one of them is none. */
#define PACKED_PAGES_MAX 0xfffffffeu

struct packed_head {
	uint64_t size;
	struct snapshot_label label;
	uint32_t frame_pages;
	uint32_t nr_pages;
	uint32_t nr_hot;
	uint32_t nr_runs;
	uint64_t index_at;
	uint64_t index_crc;
};

/* By the length of a memory file: may it be packed? */
static inline bool packed_is(off_t file_bytes)
{
	return file_bytes > 0 && (uint64_t)file_bytes % PAGE_SIZE != 0;
}

/* All frames are full but the last one. */
static inline uint32_t packed_frames(const struct packed_head *head)
{
	return (uint32_t)(((uint64_t)head->nr_pages + head->frame_pages - 1) /
			  head->frame_pages);
}

static inline uint64_t packed_index_bytes(const struct packed_head *head)
{
	return (uint64_t)packed_frames(head) * PACKED_FRAME_BYTES +
	       (uint64_t)head->nr_runs * PACKED_RUN_BYTES;
}

/* The length of the file: behind the index are four zero bytes where it would
 * be that of a raw one. */
static inline uint64_t packed_file_bytes(const struct packed_head *head)
{
	uint64_t end = head->index_at + packed_index_bytes(head);

	return end % PAGE_SIZE == 0 ? end + 4 : end;
}

/**
 * packed_head_read() - the head of a file, each number of it checked
 * @path:	for the sentence
 *
 * Return: 0; -ENOMSG when it is no packed file at all; -EBADMSG when it is
 * damaged, cut short or has bytes to spare; -ENOTSUP: of another version;
 * -errno; with a sentence.
 */
int packed_head_read(int fd, const char *path, struct packed_head *head,
		     struct err *err) __must_check;

/**
 * packed_memory_bytes() - how much memory a file stands for, raw or packed
 * @file_bytes:	its length
 *
 * Return: bytes; 0 when it is packed, and its head damaged.
 */
uint64_t packed_memory_bytes(int fd, off_t file_bytes);

void packed_head_encode(const struct packed_head *head,
			uint8_t to[static PACKED_HEAD_BYTES]);
