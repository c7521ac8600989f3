/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gmem_kit.h - guest memory as a test looks at it
 *
 * The VMM reads and writes whole structures, and uses queues; only tests fill.
 * All of it goes through gmem_find(), as everything does. Return: 0, -EFAULT
 * outside RAM, and for the atomic ones -EINVAL when not aligned.
 */
#pragma once

#include "mem/gmem.h"

#include <errno.h>
#include <string.h>

/* RAM out of one file, which has its size. */
static inline int gmem_init_from_file(struct gmem *mem, uint64_t size,
				      enum gmem_pages pages, int fd,
				      struct err *err)
{
	const struct gmem_piece all = {.at = 0, .end = size, .fd = fd};

	return gmem_init_from_pieces(mem, size, NULL, pages, fd, &all, 1, err);
}

static inline int gmem_fill(const struct gmem *mem, gpa_t gpa, uint8_t byte,
			    uint64_t len)
{
	void *p = gmem_find(mem, gpa, len);

	if (!p)
		return -EFAULT;
	memset(p, byte, len);
	gmem_mark(mem, gpa, len);
	return 0;
}

static inline int gmem_load16(const struct gmem *mem, gpa_t gpa,
			      memory_order order, uint16_t *out)
{
	_Atomic uint16_t *p = gmem_find(mem, gpa, sizeof(*out));

	if (!p)
		return -EFAULT;
	if (!is_aligned(gpa, sizeof(*out)))
		return -EINVAL;
	*out = atomic_load_explicit(p, order);
	return 0;
}

static inline int gmem_store16(const struct gmem *mem, gpa_t gpa,
			       memory_order order, uint16_t v)
{
	_Atomic uint16_t *p = gmem_find(mem, gpa, sizeof(v));

	if (!p)
		return -EFAULT;
	if (!is_aligned(gpa, sizeof(v)))
		return -EINVAL;
	atomic_store_explicit(p, v, order);
	gmem_mark(mem, gpa, sizeof(v));
	return 0;
}
