/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - packed (compressed) memory files: format and reader
 *
 * Theory of operation
 *
 * A packed file holds what a raw one does in less room. It is read in any
 * order, page by page, and nothing of it is believed. Its parts, side by side:
 *
 *   head     image/packed.h
 *   frames   zstd frames, each of frame_pages pages; the last may have fewer
 *   index    for each frame: its bytes (4), its check (4); then the runs: first
 *            page (4), pages (4), where they are stored (4)
 *   padding  image/packed.h
 *
 * Stored pages are numbered in the order of the file; a frame holds those from
 * frame_pages * its number on. A run says that some pages of the memory are
 * stored pages, side by side in both. So
 *
 *   - a page that is there more than once is stored once: several runs name it;
 *   - pages that are zero are in no run. In a diff those that are in none are
 *     as in its base, so that zeros have runs, too: stored nowhere
 *     (PACK_ZERO);
 *   - the hot run, pages in the order in which a guest used them, is the first
 *     nr_hot stored pages: one read from the beginning of the file.
 *
 *   memory      0 A B 0 A C      runs     1+2 -> 1, 4+1 -> 1, 5+1 -> 0
 *   stored      C | A B          (C is hot)
 *
 * Frames follow each other without gaps, so where they are is a sum, and none
 * overlap. Each has its zstd checksum (of its contents) at its end; the index
 * has the same number, so that a frame in another's place is found, too. How
 * many bytes come out of a frame is known before it is unpacked: it gets that
 * much room, and is refused when it says or brings anything else. Runs ascend,
 * and lie in the memory and in what is stored.
 *
 * What is damaged is refused with a sentence that names file and part, when the
 * file is opened (head, index) or when the frame is read. Nobody gets a byte of
 * a frame that is not right.
 *
 * A checksum finds accidents. Whoever may write the file may put any memory
 * into it, as into a raw one, and nothing else.
 *
 * Context: one thread at a time for a struct pack.
 */
#pragma once

#include "image/layer.h"
#include "image/packed.h"

/* Of a run: its pages are zeros, and stored nowhere. */
#define PACK_ZERO 0xffffffffu

/**
 * struct pack_run - @nr pages of the memory from @page on are the stored pages
 * from @stored on
 */
struct pack_run {
	uint32_t page;
	uint32_t nr;
	uint32_t stored;
};

/* Of image_unpacker. */
extern const struct image_unpacker pack_unpacker;

/**
 * pack_run_of() - the run that @page is in
 *
 * Return: NULL when none stores it.
 */
const struct pack_run *pack_run_of(const struct pack *pack, uint32_t page);

/**
 * pack_stored() - stored page @stored, and those behind it in its frame
 * @nr:		how many they are; 1 or more
 *
 * A frame that was asked for last is not unpacked again.
 *
 * Return: 0 and *@pages, which is good until the next call; -EBADMSG, -errno
 * with a sentence.
 */
int pack_stored(struct pack *pack, uint32_t stored, const uint8_t **pages,
		uint32_t *nr, struct err *err) __must_check;
