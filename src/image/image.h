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
 *   extent.h              which parts of a file hold something
 *   image.h               read it, map it as the memory of a VM
 *   write.h               the memory of a VM into a new file
 *   copy.h                contents from file to file, and their CRC
 *
 * A file is raw: byte N of the image is byte N of the file, so it can be mapped
 * as it is, and a hole is zeros. Pages come from the file when they are touched
 * first; who else may fill them is in pager/pager.h.
 *
 * An image owns its descriptors and paths. It does not change once it is
 * complete, but for its files: somebody may cut one short while it is mapped
 * (image_truncated()).
 */
#pragma once

#include "mem/gmem.h"

/**
 * struct image_layer - a file
 * @fd:		-1: none
 * @path:	for messages; owned
 * @size:	when it was added, bytes
 */
struct image_layer {
	int fd;
	char *path;
	off_t size;
};

/**
 * struct image - a memory image
 * @size:	bytes
 */
struct image {
	uint64_t size;
	struct image_layer layer;
};

/* Empty. */
void image_init(struct image *image, uint64_t size);

/**
 * image_add() - the file of the image
 * @fd:		taken over, and -1 then; also when this fails
 *
 * Return: 0 or -errno with a sentence.
 */
int image_add(struct image *image, int *fd, const char *path,
	      struct err *err) __must_check;

/**
 * image_map() - a VM's memory that shows the image, privately
 * @mem:	new; gmem_fini() before image_fini()
 *
 * Return: 0 or -errno with a sentence.
 */
int image_map(const struct image *image, struct gmem *mem,
	      enum gmem_pages pages, struct err *err) __must_check;

/**
 * image_truncated() - a file that is shorter than it was
 *
 * Return: its path, or NULL. Async-signal-safe, any thread.
 */
const char *image_truncated(const struct image *image);

/* Accepts one that is empty. */
void image_fini(struct image *image);
