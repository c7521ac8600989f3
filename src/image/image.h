/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - a memory image: what the memory of a snapshot is, whatever holds it
 *
 * Theory of operation
 *
 * An image is the guest's memory at one moment: @size bytes, the regions of RAM
 * one after the other. Who has one does not ask how it is stored. The parts:
 *
 *   identity.h, proof.h   whose a file is
 *   extent.h, map.h       which parts of a file hold something
 *   layer.h, packed.h     a file, raw or compressed
 *   image.h               read it, copy it, map it as the memory of a VM
 *   write.h               the memory of a VM into a new file
 *   copy.h                contents from file to file, and their CRC
 *
 * A file is raw as a rule: byte N of the image is byte N of the file, so it can
 * be mapped as it is. One that is packed (layer.h) has to be read. The last
 * file of an image is whole: its holes are zeros. Those before it are diffs,
 * the newest first: their holes say "as below". So a page is that of the first
 * file that stores it:
 *
 *   layer 0  (newest diff)   . . A . . A A . .
 *   layer 1  (diff)          . B B . . . B . .
 *   layer 2  (whole)         C . . C C . . . C
 *   the image                C B A C C A A C C   "." of layer 2: zeros
 *   its pieces               0-1 1-2 2-3 3-5 5-7 7-9
 *
 * image_finish() makes the pieces out of the maps of holes, without reading a
 * byte. A piece is a run of pages of one file. Each is one mapping, and a
 * process can have some 65,000 of them: where there are more pieces than
 * IMAGE_MAPPINGS_MAX, the small ones are read instead, in the order of size, up
 * to the size with which the rest suffices. What was read counts as written by
 * the guest afterwards: a later diff is larger than it has to be, not wrong.
 *
 * Whether a file is the one that it should be is decided by its identity before
 * it is added (identity.h, snapshot/chain.h): nothing here reads a base to
 * check it.
 *
 * An image owns its descriptors and paths. It does not change once it is
 * finished, but for its files: somebody may cut one short while it is mapped
 * (image_truncated()).
 */
#pragma once

#include "image/layer.h"
#include "mem/gmem.h"

#define IMAGE_LAYERS_MAX   256u
#define IMAGE_MAPPINGS_MAX 8192u

/**
 * struct image_piece - [@at, @end) is what @layer holds there
 */
struct image_piece {
	uint64_t at;
	uint64_t end;
	unsigned int layer;
};

/**
 * struct image - a memory image
 * @size:	bytes, of each file
 * @unpack:	who reads packed files; NULL: nobody
 * @piece:	ascending, side by side; all of the image when it is whole
 */
struct image {
	uint64_t size;
	const struct image_unpacker *unpack;
	unsigned int nr_layers;
	struct image_layer *layer;
	size_t nr_pieces;
	struct image_piece *piece;
};

/* No layers. @size: a multiple of the page size; @unpack: may be NULL. */
void image_init(struct image *image, uint64_t size,
		const struct image_unpacker *unpack);

/**
 * image_add() - the next file, from the newest on
 * @fd:		taken over, and -1 then; also when this fails
 *
 * Return: 0; -EINVAL when it is not of the image's size, -E2BIG; -errno; with a
 * sentence.
 */
int image_add(struct image *image, int *fd, const char *path,
	      struct err *err) __must_check;

/**
 * image_finish() - all files are there
 * @whole:	the last one is; else the image is a diff, and has gaps
 *
 * Return: 0; -ENOMEM; -errno when the map of a file's holes cannot be read;
 * with a sentence.
 */
int image_finish(struct image *image, bool whole, struct err *err) __must_check;

/**
 * image_of_file() - one file by itself
 * @image:	new; image_fini() in any case
 * @fd, @path:	as image_add()
 * @whole:	as image_finish()
 *
 * Return: 0 or -errno with a sentence.
 */
int image_of_file(struct image *image, uint64_t size,
		  const struct image_unpacker *unpack, int *fd,
		  const char *path, bool whole, struct err *err) __must_check;

/* The piece that byte @at of a whole image is in. */
const struct image_piece *image_piece_of(const struct image *image,
					 uint64_t at);

/**
 * image_map() - a VM's memory that shows the image, privately
 * @image:	whole, and all of it raw
 * @mem:	new; gmem_fini() before image_fini()
 * @hot:	its GMEM_HOT, the last of the image; NULL: it has none
 *
 * Return: 0 or -errno with a sentence.
 */
int image_map(const struct image *image, struct gmem *mem,
	      const struct gmem_spec *hot, enum gmem_pages pages,
	      struct err *err) __must_check;

/**
 * image_copy() - what the image holds into a file of the same form
 * @to:		empty, of the image's size
 *
 * What is a hole of a whole image, or a gap of a diff, stays a hole. @to is
 * raw.
 *
 * Return: 0 or -errno with a sentence, which names the file that failed.
 */
int image_copy(const struct image *image, int to, struct err *err) __must_check;

/**
 * image_crc() - memory_crc() of what the image holds (copy.h)
 * @image:	whole
 *
 * Return: 0 and *@crc, or -errno with a sentence.
 */
int image_crc(const struct image *image, uint64_t *crc,
	      struct err *err) __must_check;

/**
 * image_truncated() - a file that is shorter than it was
 *
 * Return: its path, or NULL. Async-signal-safe, any thread.
 */
const char *image_truncated(const struct image *image);

/* The path of its file @fd, or NULL. Async-signal-safe, any thread. */
const char *image_path_of(const struct image *image, int fd);

/* Accepts one that is empty or half-built. */
void image_fini(struct image *image);
