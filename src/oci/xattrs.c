// SPDX-License-Identifier: Apache-2.0
/*
 * xattrs.c - extended attributes of a file, as a list in one piece (xattrs.h)
 *
 * Each is the length of its value, the name with a NUL, and the value.
 */
#include "oci/xattrs.h"

#include <errno.h>
#include <string.h>

bool xattrs_next(const struct buf *list, size_t *at, struct xattr *xattr)
{
	uint32_t len;

	if (*at >= list->len)
		return false;
	memcpy(&len, list->data + *at, sizeof(len));
	xattr->name = list->data + *at + sizeof(len);
	xattr->value = xattr->name + strlen(xattr->name) + 1;
	xattr->len = len;
	*at = (size_t)(xattr->value - list->data) + len;
	return true;
}

/* Take the one of this name out. */
static void xattrs_drop(struct buf *list, const char *name, size_t name_len)
{
	size_t at = 0, from = 0;
	struct xattr old;

	while (xattrs_next(list, &at, &old)) {
		if (strlen(old.name) == name_len &&
		    memcmp(old.name, name, name_len) == 0) {
			memmove(list->data + from, list->data + at,
				list->len - at);
			list->len -= at - from;
			return;
		}
		from = at;
	}
}

int xattrs_set(struct buf *list, const char *name, size_t name_len,
	       const void *value, size_t len)
{
	uint32_t size = (uint32_t)len;

	if (name_len == 0 || name_len > XATTRS_NAME_MAX ||
	    memchr(name, '\0', name_len))
		return -ENAMETOOLONG;
	if (len > XATTRS_BYTES_MAX || list->len > XATTRS_BYTES_MAX - len)
		return -E2BIG;
	xattrs_drop(list, name, name_len);
	buf_add(list, &size, sizeof(size));
	buf_add(list, name, name_len);
	buf_add(list, "", 1);
	buf_add(list, value, len);
	return list->failed ? -ENOMEM : 0;
}
