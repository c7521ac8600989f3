/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent.h - the parts of a memory file that are no holes
 */
#pragma once

#include "base/bits.h"

/**
 * struct memory_extent - a walk over the parts of a file that are no holes
 * @at, @end:	the one that was found, page aligned outwards
 * @error:	why the walk ended before the end: -errno; else 0. Whoever goes
 *		by what the walk did not find has to look at it: in a diff that
 *		is "as below", and the pages would come from there
 */
struct memory_extent {
	uint64_t at;
	uint64_t end;
	int error;
};

/* The next one; @e is zero at first. A file system that cannot tell holds data
 * all over. Return: false at the end of the file, or with @e->error. */
bool memory_next_extent(int fd, uint64_t size, struct memory_extent *e);
