// SPDX-License-Identifier: Apache-2.0
/*
 * map.c - which pages a diff's file holds (theory of operation: map.h)
 */
#include "image/map.h"

#include "base/crc64.h"
#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define MAP_ATTR   "user.volt.extents"
#define MAP_MAGIC  "voltmap1"
#define MAP_CRC_AT 32u
/* Of a number of 64 bits. */
#define MAP_NUMBER 10u

static uint64_t map_crc(const uint8_t *bytes, size_t len)
{
	return crc64(crc64(0, bytes, MAP_CRC_AT), bytes + MEMORY_MAP_HEAD,
		     len - MEMORY_MAP_HEAD);
}

static int map_time(int fd, uint64_t now[2])
{
	struct stat st;

	if (fd_stat(fd, &st) < 0)
		return -errno;
	now[0] = (uint64_t)st.st_mtim.tv_sec;
	now[1] = (uint64_t)st.st_mtim.tv_nsec;
	return 0;
}

/* ---- write ---- */

/**
 * struct map_text - an attribute on its way
 * @last:	where the extent before ended, pages
 */
struct map_text {
	uint8_t bytes[MEMORY_MAP_BYTES];
	size_t len;
	uint32_t nr;
	uint64_t last;
};

static void map_put(struct map_text *t, uint64_t n)
{
	for (; n > 0x7f; n >>= 7)
		t->bytes[t->len++] = (uint8_t)(n | 0x80);
	t->bytes[t->len++] = (uint8_t)n;
}

/* Pages [@at, @end), behind those before. Return: there was room. */
static bool map_add(struct map_text *t, uint64_t at, uint64_t end)
{
	if (t->len + (size_t)(2 * MAP_NUMBER) > sizeof(t->bytes))
		return false;
	map_put(t, at - t->last);
	map_put(t, end - at);
	t->last = end;
	t->nr++;
	return true;
}

/**
 * struct map_walk - the extents of a file, those that touch as one
 * @e:		what comes behind the one that was found
 * @at, @end:	that
 */
struct map_walk {
	struct memory_extent e;
	bool ahead;
	uint64_t at;
	uint64_t end;
};

/* Return: false at the end of the file, or with @w->e.error. */
static bool map_walk_next(struct map_walk *w, int fd, uint64_t size)
{
	if (!w->ahead && !memory_next_extent(fd, size, &w->e))
		return false;
	w->at = w->e.at;
	do {
		w->end = w->e.end;
		w->ahead = memory_next_extent(fd, size, &w->e);
	} while (w->ahead && w->e.at <= w->end);
	return w->e.error == 0;
}

/* Return: all of the file is in @t. */
static bool map_encode(struct map_text *t, int fd, uint64_t size)
{
	struct map_walk w = {0};

	while (map_walk_next(&w, fd, size))
		if (!map_add(t, w.at / PAGE_SIZE, w.end / PAGE_SIZE))
			return false;
	return w.e.error == 0;
}

void memory_map_set(int fd, uint64_t size)
{
	struct map_text t = {.len = MEMORY_MAP_HEAD};
	uint64_t now[2] = {0};

	if (map_time(fd, now) < 0 || !map_encode(&t, fd, size))
		return;
	memcpy(t.bytes, MAP_MAGIC, 8);
	store_le64(t.bytes + 8, now[0]);
	store_le64(t.bytes + 16, now[1]);
	store_le32(t.bytes + 24, t.nr);
	store_le64(t.bytes + MAP_CRC_AT, map_crc(t.bytes, t.len));
	(void)fsetxattr(fd, MAP_ATTR, t.bytes, t.len, 0);
}

/* ---- read ---- */

/**
 * struct map_reader - the numbers of an attribute
 */
struct map_reader {
	const uint8_t *at;
	const uint8_t *end;
};

/* Return: a number; UINT64_MAX: there is none, or a larger one than a page's
 * can be. */
static uint64_t map_number(struct map_reader *r)
{
	uint64_t n = 0;

	for (unsigned int shift = 0; r->at < r->end && shift < 56; shift += 7) {
		uint8_t byte = *r->at++;

		n |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return n;
	}
	return UINT64_MAX;
}

/* Return: 0 or -EBADMSG. */
static int map_read_spans(struct map_reader *r, struct memory_map *map,
			  size_t nr, uint64_t pages)
{
	uint64_t last = 0;

	for (size_t i = 0; i < nr; i++) {
		uint64_t gap = map_number(r), len = map_number(r);

		/* All are below 2^56, or none. */
		if (gap == UINT64_MAX || len == UINT64_MAX || len == 0 ||
		    (gap == 0 && i > 0) || last + gap + len > pages)
			return -EBADMSG;
		map->span[i].at = (last + gap) * PAGE_SIZE;
		last += gap + len;
		map->span[i].end = last * PAGE_SIZE;
	}
	map->nr = nr;
	return r->at == r->end ? 0 : -EBADMSG;
}

int memory_map_decode(const uint8_t *bytes, size_t len, const uint64_t mtime[2],
		      uint64_t size, struct memory_map **map)
{
	struct map_reader r = {bytes + MEMORY_MAP_HEAD, bytes + len};
	struct memory_map *made;
	size_t nr;
	int rc;

	if (len < MEMORY_MAP_HEAD || len > MEMORY_MAP_BYTES ||
	    memcmp(bytes, MAP_MAGIC, 8) != 0 ||
	    load_le64(bytes + 8) != mtime[0] ||
	    load_le64(bytes + 16) != mtime[1] || load_le32(bytes + 28) != 0 ||
	    load_le64(bytes + MAP_CRC_AT) != map_crc(bytes, len))
		return -EBADMSG;
	nr = load_le32(bytes + 24);
	if (nr > (len - MEMORY_MAP_HEAD) / 2)
		return -EBADMSG;
	made = calloc(1, sizeof(*made) + nr * sizeof(made->span[0]));
	if (!made)
		return -ENOMEM;
	rc = map_read_spans(&r, made, nr, size / PAGE_SIZE);
	if (rc < 0)
		memory_map_free(made);
	else
		*map = made;
	return rc;
}

int memory_map_get(int fd, const uint64_t *mtime, uint64_t size,
		   struct memory_map **map)
{
	uint8_t bytes[MEMORY_MAP_BYTES];
	ssize_t n = fgetxattr(fd, MAP_ATTR, bytes, sizeof(bytes));
	uint64_t now[2] = {0};
	int r;

	*map = NULL;
	if (n < 0 || (!mtime && map_time(fd, now) < 0))
		return 0;
	r = memory_map_decode(bytes, (size_t)n, mtime ? mtime : now, size, map);
	return r == -ENOMEM ? r : 0;
}

bool memory_map_next(const struct memory_map *map, struct memory_extent *e)
{
	size_t low = 0, high = map->nr;

	/* The first one that ends behind @e->end. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (map->span[mid].end <= e->end)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == map->nr)
		return false;
	if (map->span[low].at > e->end)
		e->at = map->span[low].at;
	else
		e->at = e->end;
	e->end = map->span[low].end;
	return true;
}

int memory_map_fits(int fd, uint64_t size)
{
	struct memory_extent e = {0};
	struct map_walk w = {0};
	struct memory_map *map;
	int r = memory_map_get(fd, NULL, size, &map);
	bool more = map != NULL;

	while (r == 0 && more) {
		more = map_walk_next(&w, fd, size);
		if (memory_map_next(map, &e) != more ||
		    (more && (w.at != e.at || w.end != e.end)))
			r = -EBADMSG;
	}
	memory_map_free(map);
	return w.e.error < 0 ? w.e.error : r;
}

/* Return: as memory_map_is_all(). */
static int map_gap_is_zero(int fd, uint64_t at, uint64_t end)
{
	uint8_t page[PAGE_SIZE / 2];

	for (; at < end; at += sizeof(page)) {
		int r = fd_read_full(fd, page, sizeof(page), (off_t)at);

		if (r < 0)
			return r;
		/* All bytes are the one before. */
		if (page[0] != 0 ||
		    memcmp(page, page + 1, sizeof(page) - 1) != 0)
			return 0;
	}
	return 1;
}

int memory_map_is_all(const struct memory_map *map, int fd, uint64_t size)
{
	struct memory_extent e = {0};
	int r = 1;

	while (r > 0 && memory_next_extent(fd, size, &e)) {
		for (uint64_t at = e.at; r > 0 && at < e.end;) {
			struct memory_extent in = {.end = at};
			bool more = memory_map_next(map, &in);
			uint64_t gap = more && in.at < e.end ? in.at : e.end;

			r = map_gap_is_zero(fd, at, gap);
			at = gap < e.end ? in.end : gap;
		}
	}
	return e.error < 0 ? e.error : r;
}

void memory_map_free(struct memory_map *map)
{
	free(map);
}
