/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - which pages a diff's file holds, kept beside its label
 *
 * Theory of operation
 *
 * What is a hole in a diff is as in its base, so a restore has to know the
 * holes of each file of a chain: two system calls for each extent. And holes
 * are what copies change: cp --sparse=always makes some of zeros that the guest
 * wrote, a copy without -S loses them all. So whoever writes a diff notes what
 * it holds in a second extended attribute, behind the label (identity.h), and
 * that decides, whatever became of the holes:
 *
 *   the map has   the file has   the page is
 *   it            it             the file's
 *   it            a hole         zero: the copy made one
 *   it not        it             as in the base: the copy lost a hole
 *
 * Why there: a base's state is not read by a restore, and its attributes are; a
 * raw file has no room of its own, since its length is that of the memory; and
 * a copy that loses it is judged by its holes and the state's proof, as one of
 * an earlier program without a map.
 *
 * A map counts while the file's time of modification is the one it notes. It
 * has a CRC and is checked: extents ascend, do not touch and end inside the
 * file. One that does not count is as none. It finds accidents: whoever may set
 * it may write the pages, too. `volt snapshot verify` compares it with the
 * state's checksum of extents, and looks what else the file holds.
 *
 * The attribute, little endian: "voltmap1"; when the file was last written:
 * seconds (8), nanoseconds (8); extents (4), zero (4); CRC-64 of all but itself
 * (8); for each extent two numbers, seven bits a byte, the lowest first, the
 * top bit set in all but the last: pages since the end of the one before, and
 * pages. A map that needs more than MEMORY_MAP_BYTES is not kept: file systems
 * have room for little more, and holes do.
 */
#pragma once

#include "image/extent.h"

#include <stddef.h>

#define MEMORY_MAP_BYTES 3584u
#define MEMORY_MAP_HEAD  40u
/* Each has two bytes at least. */
#define MEMORY_MAP_EXTENTS ((MEMORY_MAP_BYTES - MEMORY_MAP_HEAD) / 2)

/**
 * struct memory_map - one that counts
 * @span:	ascending, with gaps between them
 */
struct memory_map {
	size_t nr;
	struct memory_span {
		uint64_t at;
		uint64_t end;
	} span[];
};

/* Notes what the raw file holds, behind the last write to it; nothing where
 * there is no room. */
void memory_map_set(int fd, uint64_t size);

/**
 * memory_map_get() - the map of a file, if there is one that counts
 * @mtime:	of the file: seconds, nanoseconds; NULL: to be asked for
 * @size:	of the file
 * @map:	its own, or NULL: there is none. memory_map_free()
 *
 * Return: 0 or -ENOMEM.
 */
int memory_map_get(int fd, const uint64_t *mtime, uint64_t size,
		   struct memory_map **map) __must_check;

/* The bytes of an attribute. Return: 0; -EBADMSG: it does not count; -ENOMEM.
 */
int memory_map_decode(const uint8_t *bytes, size_t len, const uint64_t mtime[2],
		      uint64_t size, struct memory_map **map) __must_check;

/* As memory_next_extent(). */
bool memory_map_next(const struct memory_map *map, struct memory_extent *e);

/* The holes of the file are those of its map, if it has one. Return: 0;
 * -EBADMSG: they are not; -ENOMEM; -errno. */
int memory_map_fits(int fd, uint64_t size) __must_check;

/* What the file holds beside its map is zero: holes that a copy lost. Reads
 * it. Return: 1; 0: there is more; -errno. */
int memory_map_is_all(const struct memory_map *map, int fd,
		      uint64_t size) __must_check;

/* Accepts NULL. */
void memory_map_free(struct memory_map *map);
