/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xattrs.h - extended attributes of a file, as a list in one piece
 */
#pragma once

#include "base/buf.h"

#define XATTRS_NAME_MAX 255u
/* An ext4 holds 4 KiB of a file's. */
#define XATTRS_BYTES_MAX KIB(8)

/* Add one; one of that name goes. Return: 0; -ENAMETOOLONG (no name,
 * or too long a one), -E2BIG, -ENOMEM. */
int xattrs_set(struct buf *list, const char *name, size_t name_len,
	       const void *value, size_t len) __must_check;

struct xattr {
	const char *name; /* with its NUL */
	const char *value;
	size_t len;
};

/* The one at *@at, which moves on. Return: false at the end. */
bool xattrs_next(const struct buf *list, size_t *at, struct xattr *xattr);
