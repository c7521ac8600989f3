/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer.h - one file of an image: raw, or packed
 *
 * A raw file is read as it is. A packed one (packed.h) is read by whom the
 * program has for it, a struct image_unpacker: the `volt` command and
 * volt-pager have one. volt-vmm has none, so that it needs no library, and
 * refuses such a file with a sentence that says what to do.
 */
#pragma once

#include "base/err.h"
#include "image/map.h"

/* An open packed file; the unpacker's own. */
struct pack;

/**
 * struct image_unpacker - who reads packed files
 * @open:	@fd stays the caller's, and open as long as the result. -errno
 *		with a sentence when it is damaged or not of @size bytes
 * @next:	as memory_next_extent(): what it stores, or says is zero
 * @read:	@len bytes of memory from @at on, pages; what it does not store
 *		reads as zeros. -errno with a sentence
 * @around:	what is best read together with the page at @at: @e holds it
 * @hot:	the pages of the hot run, in its order: at most @max of them.
 *		Return: how many
 * @hot_end:	where in the file the frames end that hold these
 */
struct image_unpacker {
	int (*open)(int fd, const char *path, uint64_t size, struct pack **pack,
		    struct err *err);
	bool (*next)(const struct pack *pack, struct memory_extent *e);
	int (*read)(struct pack *pack, uint64_t at, uint8_t *to, uint64_t len,
		    struct err *err);
	void (*around)(const struct pack *pack, uint64_t at,
		       struct memory_extent *e);
	size_t (*hot)(const struct pack *pack, uint32_t *page, size_t max);
	uint64_t (*hot_end)(const struct pack *pack);
	void (*close)(struct pack *pack);
};

/**
 * struct image_layer - a file
 * @path:	for messages; owned
 * @mtime:	when it was last written: seconds, nanoseconds
 * @map:	of a raw diff that has one (map.h); image_layer_map()
 * @unpack, @pack:	of a packed one
 */
struct image_layer {
	int fd;
	char *path;
	uint64_t mtime[2];
	struct memory_map *map;
	const struct image_unpacker *unpack;
	struct pack *pack;
};

/**
 * image_layer_open() - a memory file of @size bytes of memory
 * @fd:		taken over, and -1 then; also when this fails
 * @unpack:	may be NULL: a packed file is refused
 *
 * image_layer_close() in any case. Return: 0; -EINVAL when it is not of that
 * size; -ENOTSUP when it is packed and nobody can read it; -errno; with a
 * sentence.
 */
int image_layer_open(struct image_layer *layer, int *fd, const char *path,
		     uint64_t size, const struct image_unpacker *unpack,
		     struct err *err) __must_check;

/* The same, of a descriptor that stays the caller's. Return: as
 * image_layer_open(). */
int image_layer_borrow(struct image_layer *layer, int fd, const char *path,
		       uint64_t size, const struct image_unpacker *unpack,
		       struct err *err) __must_check;

/**
 * image_layer_map() - what it holds shall be known by its map, if it has one
 *
 * Of a diff, whose holes say something; else by its holes. May be repeated.
 *
 * Return: 0 or -ENOMEM with a sentence.
 */
int image_layer_map(struct image_layer *layer, uint64_t size,
		    struct err *err) __must_check;

/* As memory_next_extent(). */
bool image_layer_next(const struct image_layer *layer, uint64_t size,
		      struct memory_extent *e);

/* Behind a walk: did it come to the end? Return: 0 or -errno with a
 * sentence. */
int image_layer_walked(const struct image_layer *layer,
		       const struct memory_extent *e,
		       struct err *err) __must_check;

/* @len bytes from @at on. Return: 0 or -errno with a sentence. */
int image_layer_read(const struct image_layer *layer, uint64_t at, void *to,
		     uint64_t len, struct err *err) __must_check;

void image_layer_close(struct image_layer *layer);
