// SPDX-License-Identifier: Apache-2.0
/*
 * cpio.c - archives as the kernel reads them (cpio.h)
 */
#include "kernel/cpio.h"

#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#define MAGIC       "070701"
#define MAGIC_LEN   6u
#define FIELDS      13u
#define FIELD_LEN   8u
#define HEADER_LEN  (MAGIC_LEN + FIELDS * FIELD_LEN)
#define TRAILER     "TRAILER!!!"
#define ALIGN       4u
#define ARCHIVE_END 512u

/* Fields by their place behind the magic. */
#define FIELD_MODE 1u
#define FIELD_SIZE 6u
#define FIELD_NAME 11u

static void pad(struct buf *out, size_t align)
{
	static const char zeros[ARCHIVE_END];

	buf_add(out, zeros, -out->len % align);
}

void cpio_add(struct cpio *cpio, const char *path, mode_t mode,
	      const void *data, size_t len, dev_t rdev)
{
	struct buf *out = &cpio->out;

	/* ino mode uid gid nlink mtime size dev rdev namesize check */
	buf_addf(out, MAGIC "%08x%08x%08x%08x%08x%08x%08zx", ++cpio->nr, mode,
		 0, 0, 1, 0, len);
	buf_addf(out, "%08x%08x%08x%08x%08zx%08x", 0, 0, major(rdev),
		 minor(rdev), strlen(path) + 1, 0);
	buf_add(out, path, strlen(path) + 1);
	pad(out, ALIGN);
	buf_add(out, data, len);
	pad(out, ALIGN);
}

void cpio_end(struct cpio *cpio)
{
	cpio_add(cpio, TRAILER, 0, NULL, 0, 0);
	pad(&cpio->out, ARCHIVE_END);
}

static bool field(const char *header, unsigned int which, size_t *out)
{
	const char *p = header + MAGIC_LEN + (size_t)which * FIELD_LEN;
	size_t v = 0;

	for (unsigned int i = 0; i < FIELD_LEN; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *d = p[i] ? strchr(digits, p[i] | 0x20) : NULL;

		if (!d)
			return false;
		v = v << 4 | (size_t)(d - digits);
	}
	*out = v;
	return true;
}

static bool aligned(size_t at, size_t len, size_t *out)
{
	uint64_t end;

	if (!align_up_checked(at, ALIGN, &end) || end > len)
		return false;
	*out = end;
	return true;
}

int cpio_next(const void *archive, size_t len, size_t *at,
	      struct cpio_entry *entry)
{
	const char *p = archive;
	size_t mode, size, name, data = *at;

	if (!range_fits(*at, HEADER_LEN, len) ||
	    memcmp(p + *at, MAGIC, MAGIC_LEN) != 0 ||
	    !field(p + *at, FIELD_MODE, &mode) ||
	    !field(p + *at, FIELD_SIZE, &size) ||
	    !field(p + *at, FIELD_NAME, &name) || name == 0)
		return -EBADMSG;
	data += HEADER_LEN;
	if (!range_fits(data, name, len) || p[data + name - 1] != '\0' ||
	    strlen(p + data) != name - 1)
		return -EBADMSG;
	entry->path = p + data;
	entry->mode = (mode_t)mode;
	if (!aligned(data + name, len, &data) || !range_fits(data, size, len))
		return -EBADMSG;
	entry->data = p + data;
	entry->len = size;
	if (!aligned(data + size, len, at))
		*at = len;
	return strcmp(entry->path, TRAILER) != 0;
}
