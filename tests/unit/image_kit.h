/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_kit.h - memory files of tests, page by page
 */
#pragma once

#include "unit.h"

#include "base/bits.h"

#include <stdlib.h>

/* On a file system that keeps holes of a page. */
static inline int new_file(uint64_t size)
{
	char path[] = "/var/tmp/volt-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static inline void put(int fd, uint64_t page, uint8_t byte)
{
	static uint8_t data[PAGE_SIZE];

	memset(data, byte, sizeof(data));
	assert_int_equal(
		pwrite(fd, data, sizeof(data), (off_t)(page * PAGE_SIZE)),
		sizeof(data));
}
