/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpio.h - archives as the kernel reads them ("newc"), the same bytes each time
 *
 * No times, no owners, inode numbers counted from one: the same files give the
 * same archive.
 *
 * Reference: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
 */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

/**
 * struct cpio - an archive that is written; zeroed at first
 */
struct cpio {
	struct buf out;
	unsigned int nr;
};

/* One entry; @rdev of a device node. Folders come before what is in them. */
void cpio_add(struct cpio *cpio, const char *path, mode_t mode,
	      const void *data, size_t len, dev_t rdev);

/* No more entries. */
void cpio_end(struct cpio *cpio);

/**
 * struct cpio_entry - an entry that was read; it points into the archive
 */
struct cpio_entry {
	const char *path;
	mode_t mode;
	const void *data;
	size_t len;
};

/**
 * cpio_next() - the entry at *@at, which moves on
 *
 * Return: 1; 0 at the end of the archive; -EBADMSG when it is none.
 */
int cpio_next(const void *archive, size_t len, size_t *at,
	      struct cpio_entry *entry) __must_check;
