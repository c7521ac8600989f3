/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.h - the contents of a memory file: copied, counted, summed up
 *
 * All of them read what the file stores and leave out its holes.
 */
#pragma once

#include "image/layer.h"

#include <stdint.h>

/* A page of zeros? @page: PAGE_SIZE bytes. */
bool image_page_is_zero(const uint8_t *page);

/* All of it. Return: 0 or -errno. */
int image_write_at(int fd, const uint8_t *data, uint64_t len,
		   uint64_t off) __must_check;

/**
 * image_copy_range() - inside the kernel, from file to file
 *
 * Return: bytes that went this way, perhaps none (other file systems, old
 * kernels); -errno when writing failed.
 */
int64_t image_copy_range(int from, uint64_t from_off, int to, uint64_t to_off,
			 uint64_t len) __must_check;

/* [@at, @end) of @from to the same place of @to. Return: 0 or -errno. */
int image_copy_extent(int from, int to, uint64_t at, uint64_t end) __must_check;

/* The same of what a map says that the file holds (map.h): where that has a
 * hole all the same, zeros are written. Return: 0 or -errno. */
int image_copy_mapped(int from, int to, uint64_t at, uint64_t end) __must_check;

/**
 * memory_copy() - the contents of a memory file, without its holes
 * @size:	of both
 *
 * A diff's are those of its map: memory_map_fits().
 *
 * Return: 0 or -errno with a sentence.
 */
int memory_copy(int from, int to, uint64_t size, struct err *err) __must_check;

/* Bytes of the file that are no holes, as far as the file system tells. */
uint64_t memory_stored(int fd, uint64_t size);

/**
 * memory_crc() - CRC-64/ECMA-182 of what a memory file holds
 * @layer:	the file; a raw one needs no more than its descriptor
 * @zeros:	pages of zeros count: in a diff they say something. In a whole
 *		file they are as good as holes
 *
 * Of @size (64 bits, little endian), then of each page that counts, in
 * ascending order: its number (the same), its bytes. Reads all of the file but
 * its holes.
 *
 * Return: 0 and *@crc, or -errno with a sentence.
 */
int memory_crc(const struct image_layer *layer, uint64_t size, bool zeros,
	       uint64_t *crc, struct err *err) __must_check;

/**
 * struct memory_watch - who waits for a long read; embed it
 * @read:	@bytes more were read
 */
struct memory_watch {
	void (*read)(struct memory_watch *watch, uint64_t bytes);
};

/* The same, and @watch hears how far it is; NULL: nobody. Return: as
 * memory_crc(). */
int memory_crc_watched(const struct image_layer *layer, uint64_t size,
		       bool zeros, struct memory_watch *watch, uint64_t *crc,
		       struct err *err) __must_check;

/**
 * struct memory_sum - memory_crc() of what lies in several files
 * @watch:	NULL: nobody
 */
struct memory_sum {
	uint64_t crc;
	uint8_t *chunk;
	bool zeros;
	struct memory_watch *watch;
};

/* memory_sum_end() in any case. Return: 0 or -ENOMEM with a sentence. */
int memory_sum_begin(struct memory_sum *sum, uint64_t size, bool zeros,
		     struct err *err) __must_check;

/* The pages of [@at, @end) of @layer, which follow those before. Return: 0 or
 * -errno with a sentence. */
int memory_sum_extent(struct memory_sum *sum, const struct image_layer *layer,
		      uint64_t at, uint64_t end, struct err *err) __must_check;

/* Return: the CRC. */
uint64_t memory_sum_end(struct memory_sum *sum);
