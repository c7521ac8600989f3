/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent.h - the parts of a memory file that are no holes
 */
#pragma once

#include "base/bits.h"

/**
 * struct memory_extent - a walk over the parts of a file that are no holes
 * @at, @end:	the one that was found, page aligned outwards
 */
struct memory_extent {
	uint64_t at;
	uint64_t end;
};

/* The next one; @e is zero at first. Return: false at the end of the file. */
bool memory_next_extent(int fd, uint64_t size, struct memory_extent *e);
