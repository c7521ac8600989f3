// SPDX-License-Identifier: Apache-2.0
/*
 * deb.c - the files in a Debian package, one after the other (deb.h)
 */
#include "kernel/deb.h"
#include "kernel/unpack.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define AR_MAGIC     "!<arch>\n"
#define AR_MAGIC_LEN 8u
#define AR_HEADER    60u
#define AR_SIZE      48u /* 10 decimal digits */
#define AR_END       58u /* "`\n" */

#define TAR_BLOCK    512u
#define TAR_SIZE     124u /* 12 octal digits */
#define TAR_TYPE     156u
#define TAR_MAGIC    257u
#define TAR_PREFIX   345u
#define TAR_CHECKSUM 148u
#define TAR_FILE_MAX MIB(512)

/**
 * struct tar - an archive that comes in pieces
 * @have:	bytes of @header
 * @left:	of the content of the member
 * @padding:	behind it
 * @read:	the content is wanted, or is the name of the next member
 * @over:	the block of zeros has come
 * @result:	why it ended early
 */
struct tar {
	struct unpack_sink sink;
	struct deb_reader *reader;
	struct err *err;
	uint8_t header[TAR_BLOCK];
	size_t have;
	uint64_t left;
	uint64_t padding;
	bool read;
	bool is_name;
	bool over;
	uint64_t total;
	char path[DEB_PATH_MAX];
	char long_name[DEB_PATH_MAX];
	struct buf content;
	int result;
};

bool deb_is_one(const void *data, size_t len)
{
	return len >= AR_MAGIC_LEN && memcmp(data, AR_MAGIC, AR_MAGIC_LEN) == 0;
}

/* Digits of @base, blanks around them. */
static bool number(const uint8_t *text, size_t len, unsigned int base,
		   uint64_t *out)
{
	uint64_t v = 0;
	size_t i = 0, digits = 0;

	while (i < len && text[i] == ' ')
		i++;
	for (; i < len && isdigit(text[i]) && text[i] < '0' + (int)base; i++) {
		v = v * base + (uint64_t)(text[i] - '0');
		digits++;
	}
	while (i < len && (text[i] == ' ' || text[i] == '\0'))
		i++;
	*out = v;
	return digits > 0 && i == len;
}

static int damaged_tar(struct tar *tar)
{
	return err_set(tar->err, -EBADMSG, "has a damaged tar archive in it");
}

static bool checksum_fits(const uint8_t *header)
{
	uint64_t want, sum = 0;

	if (!number(header + TAR_CHECKSUM, 8, 8, &want))
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= TAR_CHECKSUM && i < TAR_CHECKSUM + 8 ? ' '
								 : header[i];
	return sum == want;
}

/* The member's path, without what every one begins with. */
static void deb_set_path(struct tar *tar)
{
	const char *h = (const char *)tar->header;
	char whole[DEB_PATH_MAX];
	const char *path = whole;
	bool ustar = memcmp(h + TAR_MAGIC, "ustar\0", 6) == 0;

	if (tar->long_name[0])
		(void)snprintf(whole, sizeof(whole), "%s", tar->long_name);
	else if (ustar && h[TAR_PREFIX])
		(void)snprintf(whole, sizeof(whole), "%.155s/%.100s",
			       h + TAR_PREFIX, h);
	else
		(void)snprintf(whole, sizeof(whole), "%.100s", h);
	tar->long_name[0] = '\0';
	while (*path == '/' || (path[0] == '.' && path[1] == '/'))
		path += *path == '/' ? 1 : 2;
	(void)snprintf(tar->path, sizeof(tar->path), "%s", path);
}

static int begin_member(struct tar *tar)
{
	const uint8_t *h = tar->header;
	uint64_t size;

	if (used_bytes(h, TAR_BLOCK) == 0) {
		tar->over = true;
		return 0;
	}
	if (!checksum_fits(h) || !number(h + TAR_SIZE, 12, 8, &size))
		return damaged_tar(tar);
	tar->left = size;
	tar->padding = -size % TAR_BLOCK;
	tar->is_name = h[TAR_TYPE] == 'L';
	buf_clear(&tar->content);
	if (tar->is_name) {
		tar->read = true;
		return size < DEB_PATH_MAX ? 0 : damaged_tar(tar);
	}
	deb_set_path(tar);
	tar->read = (h[TAR_TYPE] == '0' || h[TAR_TYPE] == '\0') &&
		    tar->reader->wants(tar->reader, tar->path, size);
	if (tar->read && size > TAR_FILE_MAX)
		return err_set(tar->err, -EFBIG,
			       "holds a file of %llu bytes: more than %llu are "
			       "not read",
			       (unsigned long long)size,
			       (unsigned long long)TAR_FILE_MAX);
	return 0;
}

static int end_member(struct tar *tar)
{
	bool read = tar->read;

	tar->read = false;
	if (!read)
		return 0;
	if (tar->content.failed)
		return err_set(tar->err, -ENOMEM,
			       "needs more memory than there is");
	if (!tar->is_name)
		return tar->reader->file(tar->reader, tar->path,
					 tar->content.data, tar->content.len);
	(void)snprintf(tar->long_name, sizeof(tar->long_name), "%.*s",
		       (int)tar->content.len,
		       tar->content.data ? tar->content.data : "");
	return 0;
}

/* Part of a header. Return: bytes taken, or -errno. */
static ssize_t take_header(struct tar *tar, const uint8_t *data, size_t len)
{
	size_t n = TAR_BLOCK - tar->have;
	int r = 0;

	n = n < len ? n : len;
	memcpy(tar->header + tar->have, data, n);
	tar->have += n;
	if (tar->have == TAR_BLOCK) {
		r = begin_member(tar);
		if (r == 0 && tar->left == 0 && !tar->over) {
			r = end_member(tar);
			tar->have = 0;
		}
	}
	return r < 0 ? r : (ssize_t)n;
}

/* Part of what is behind one. */
static ssize_t take_content(struct tar *tar, const uint8_t *data, size_t len)
{
	size_t n = tar->left < len ? (size_t)tar->left : len;
	int r = 0;

	if (tar->left > 0) {
		if (tar->read)
			buf_add(&tar->content, data, n);
		tar->left -= n;
		if (tar->left == 0)
			r = end_member(tar);
	} else {
		n = tar->padding < len ? (size_t)tar->padding : len;
		tar->padding -= n;
	}
	if (tar->left == 0 && tar->padding == 0)
		tar->have = 0;
	return r < 0 ? r : (ssize_t)n;
}

static int write_tar(struct unpack_sink *sink, const void *data, size_t len)
{
	struct tar *tar = container_of(sink, struct tar, sink);
	const uint8_t *p = data;

	tar->total += len;
	progress_tell(tar->reader->progress, "reading the package", tar->total,
		      0);
	if (tar->total > DEB_UNPACKED_MAX)
		return tar->result =
			       err_set(tar->err, -EFBIG,
				       "unpacks to more than %llu bytes",
				       (unsigned long long)DEB_UNPACKED_MAX);
	while (len > 0 && !tar->over) {
		ssize_t n = tar->have < TAR_BLOCK ? take_header(tar, p, len)
						  : take_content(tar, p, len);

		if (n < 0)
			return tar->result = (int)n;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_tar(const uint8_t *data, size_t len, struct deb_reader *reader,
		    struct err *err)
{
	struct tar *tar = calloc(1, sizeof(*tar));
	enum unpack_kind kind = unpack_recognize(data, len);
	int r;

	if (!tar)
		return err_set(err, -ENOMEM, "cannot be read: no memory");
	tar->sink.write = write_tar;
	tar->reader = reader;
	tar->err = err;
	if (kind == UNPACK_NONE)
		r = write_tar(&tar->sink, data, len);
	else
		r = unpack(kind, data, len, &tar->sink, err);
	if (r == 0 && !tar->over)
		r = err_set(err, -ENODATA,
			    "has a tar archive in it that is "
			    "cut off");
	buf_free(&tar->content);
	free(tar);
	return r;
}

int deb_read(const void *deb, size_t len, const char *part,
	     struct deb_reader *reader, struct err *err)
{
	const uint8_t *data = deb;
	uint64_t at = AR_MAGIC_LEN, size;

	if (!deb_is_one(deb, len))
		return err_set(err, -EBADMSG, "is no Debian package");
	while (range_fits(at, AR_HEADER, len)) {
		const uint8_t *h = data + at;

		if (memcmp(h + AR_END, "`\n", 2) != 0 ||
		    !number(h + AR_SIZE, 10, 10, &size))
			return err_set(err, -EBADMSG,
				       "is a damaged Debian package");
		at += AR_HEADER;
		if (!range_fits(at, size, len))
			return err_set(err, -ENODATA,
				       "is a package that is cut off: %llu "
				       "bytes are missing; fetch it again",
				       (unsigned long long)(size - (len - at)));
		if (strncmp((const char *)h, part, strlen(part)) == 0)
			return read_tar(data + at, size, reader, err);
		at += size + size % 2;
	}
	return err_set(err, -ENODATA, "is a package without %s", part);
}
