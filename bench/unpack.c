// SPDX-License-Identifier: Apache-2.0
/*
 * unpack.c - how fast compressed memory is read, against libzstd alone
 *
 * usage: unpack FILE KIB
 *
 * FILE, raw memory, is compressed in frames of so many KiB. Then both unpack
 * the same frames, one after the other, on one thread, out of memory, into the
 * same room, by turns; the best of each counts. Prints the bytes that come out,
 * us of this thread by libzstd alone, us by the reader, and the bytes of the
 * compressed file.
 */
#include "base/fd.h"
#include "pack/pack.h"
#include "pack/write.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <zstd.h>

#define RUNS 7

struct unpack {
	int fd;
	struct packed_head head;
	const uint8_t *file;
	struct image_layer layer;
	uint8_t *room;
	ZSTD_DCtx *zstd;
};

static double unpack_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Frames alone: where they are is a sum of the index. Return: bytes. */
static size_t unpack_alone(const struct unpack *u)
{
	const uint8_t *index = u->file + u->head.index_at;
	size_t room = (size_t)u->head.frame_pages * PAGE_SIZE, out = 0;
	uint64_t at = PACKED_HEAD_BYTES;

	for (uint32_t i = 0; i < packed_frames(&u->head); i++) {
		uint32_t n = load_le32(index + i * PACKED_FRAME_BYTES);
		size_t r = ZSTD_decompressDCtx(u->zstd, u->room, room,
					       u->file + at, n);

		if (ZSTD_isError(r))
			return 0;
		out += r;
		at += n;
	}
	return out;
}

/* As a pager does: every frame once, each checked. Return: bytes. */
static size_t unpack_read(const struct unpack *u)
{
	size_t out = 0;
	struct err err;

	for (uint32_t i = 0; i < u->head.nr_pages;) {
		const uint8_t *pages;
		uint32_t nr;

		if (pack_stored(u->layer.pack, i, &pages, &nr, &err) < 0)
			return 0;
		out += (size_t)nr * PAGE_SIZE;
		i += nr;
	}
	return out;
}

static double unpack_best(const struct unpack *u,
			  size_t (*how)(const struct unpack *u), double best,
			  size_t *bytes)
{
	double begin = unpack_now(), took;

	*bytes = how(u);
	took = unpack_now() - begin;
	return best == 0 || took < best ? took : best;
}

/* Return: the compressed file, or -1. */
static int unpack_pack(const char *path, unsigned int kib, struct err *err)
{
	int raw = open(path, O_RDONLY), fd = memfd_create("packed", 0);
	const struct image_layer layer = {.fd = raw};
	const struct pack_how how = {
		.level = PACK_LEVEL_DEFAULT,
		.frame_pages = kib * 1024 / PAGE_SIZE,
	};
	struct pack_from from = {.layer = &layer};
	struct pack_stats stats;
	struct stat st;

	if (raw < 0 || fd < 0 || fstat(raw, &st) < 0)
		return -1;
	from.size = (uint64_t)st.st_size;
	return pack_write(&from, &how, fd, &stats, err) < 0 ? -1 : fd;
}

static int unpack_measure(struct unpack *u, uint64_t file_bytes)
{
	double alone = 0, by_us = 0;
	size_t a = 0, b = 0;

	for (int i = 0; i < RUNS; i++) {
		alone = unpack_best(u, unpack_alone, alone, &a);
		by_us = unpack_best(u, unpack_read, by_us, &b);
	}
	if (a != b || a == 0)
		return 1;
	(void)printf("%zu %.0f %.0f %llu\n", a, alone, by_us,
		     (unsigned long long)file_bytes);
	return 0;
}

int main(int argc, char **argv)
{
	struct unpack u = {.fd = -1};
	struct err err = {0};
	struct stat st;
	int fd;

	if (argc == 3)
		u.fd = unpack_pack(argv[1],
				   (unsigned int)strtoul(argv[2], NULL, 10),
				   &err);
	fd = u.fd < 0 ? -1 : dup(u.fd);
	if (fd < 0 || fstat(u.fd, &st) < 0 ||
	    packed_head_read(u.fd, argv[1], &u.head, &err) < 0 ||
	    image_layer_open(&u.layer, &fd, argv[1], u.head.size,
			     &pack_unpacker, &err) < 0) {
		(void)fprintf(stderr, "usage: unpack FILE KIB %s\n", err.text);
		return 1;
	}
	u.file = mmap(NULL, (size_t)st.st_size, PROT_READ,
		      MAP_SHARED | MAP_POPULATE, u.fd, 0);
	u.room = malloc((size_t)u.head.frame_pages * PAGE_SIZE);
	u.zstd = ZSTD_createDCtx();
	if (u.file == MAP_FAILED || !u.room || !u.zstd)
		return 1;
	return unpack_measure(&u, (uint64_t)st.st_size);
}
