// SPDX-License-Identifier: Apache-2.0
/*
 * extent.c - the parts of a memory file that are no holes (extent.h)
 */
#include "image/extent.h"

#include "mem/pages.h"

#include <errno.h>
#include <unistd.h>

bool memory_next_extent(int fd, uint64_t size, struct memory_extent *e)
{
	off_t data, hole = -1;

	if (e->end >= size || e->error < 0)
		return false;
	data = lseek(fd, (off_t)e->end, SEEK_DATA);
	if ((data < 0 && errno == ENXIO) || data >= (off_t)size)
		return false; /* holes up to the end */
	if (data >= 0)
		hole = lseek(fd, data, SEEK_HOLE);
	if (hole < 0 && (data >= 0 || errno != EINVAL)) {
		e->error = -errno;
		return false;
	}
	e->at = data < 0 ? e->end : align_down((uint64_t)data, PAGE_SIZE);
	e->end = size;
	if (hole >= 0 && (uint64_t)hole < size)
		(void)align_up_checked((uint64_t)hole, PAGE_SIZE, &e->end);
	return true;
}
