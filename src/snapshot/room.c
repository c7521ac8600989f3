// SPDX-License-Identifier: Apache-2.0
/*
 * room.c - what files take on the disk (room.h)
 */
#include "snapshot/room.h"

#include "base/fd.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define BLOCK_BYTES 512u
#define EXTENTS     64u
/* Of a file: more are not asked for. */
#define ASKS_MAX 16384u

struct room_map {
	struct fiemap map;
	struct fiemap_extent extent[EXTENTS];
};

/* Some more of the file from @at on. Return: true when there may be more. */
static bool room_ask(struct room *room, int fd, uint64_t *at)
{
	struct room_map x = {
		.map = {.fm_start = *at,
			.fm_length = FIEMAP_MAX_OFFSET - *at,
			.fm_extent_count = EXTENTS},
	};
	const struct fiemap_extent *e = x.extent;

	if (ioctl(fd, FS_IOC_FIEMAP, &x) < 0) {
		room->unknown = true;
		return false;
	}
	for (uint32_t i = 0; i < x.map.fm_mapped_extents && i < EXTENTS; i++) {
		e = &x.extent[i];
		if (e->fe_flags & FIEMAP_EXTENT_SHARED)
			room->shared += e->fe_length;
		*at = e->fe_logical + e->fe_length;
	}
	return x.map.fm_mapped_extents > 0 &&
	       !(e->fe_flags & FIEMAP_EXTENT_LAST);
}

void room_add(struct room *room, int fd)
{
	uint64_t at = 0;
	struct stat st;

	if (fd < 0 || fd_stat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	room->apparent += (uint64_t)st.st_size;
	room->stored += (uint64_t)st.st_blocks * BLOCK_BYTES;
	for (unsigned int i = 0; i < ASKS_MAX && room_ask(room, fd, &at); i++)
		;
}
