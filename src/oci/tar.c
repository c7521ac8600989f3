// SPDX-License-Identifier: Apache-2.0
/*
 * tar.c - the entries of a tar archive, nothing believed (tar.h)
 *
 * tar_pax.c has what a header says in words of its own, tar_sparse.c which
 * pieces a file with holes has.
 */
#include "oci/tar_priv.h"

#include "base/clean.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct tar_shown tar_show(const char *name)
{
	struct tar_shown shown = {0};

	(void)clean_text(shown.text, sizeof(shown.text), name, strlen(name));
	return shown;
}

int tar_refuse(struct tar *tar, int r, const char *why)
{
	return err_set(tar->err, r, "entry %s %s",
		       tar_show(tar->path.data ? tar->path.data : "?").text,
		       why);
}

void tar_begin(struct tar *tar, struct flow *flow, struct err *err)
{
	*tar = (struct tar){.flow = flow, .err = err};
}

void tar_words_free(struct tar_words *words)
{
	buf_free(&words->path);
	buf_free(&words->link);
	buf_free(&words->xattrs);
	buf_free(&words->sparse_path);
	*words = (struct tar_words){0};
}

void tar_end(struct tar *tar)
{
	tar_words_free(&tar->all);
	tar_words_free(&tar->next);
	buf_free(&tar->path);
	buf_free(&tar->link);
	free(ptr_steal(tar->runs));
}

int tar_copy_word(struct tar *tar, struct buf *to, const char *from, size_t len)
{
	buf_clear(to);
	buf_add(to, from, len);
	buf_add(to, "", 1);
	return to->failed ? tar_refuse(tar, -ENOMEM, "needs too much memory")
			  : 0;
}

/* Octal, or base 256 where the first bit is set. False: it is no number, or
 * more than 63 bits. */
static bool tar_number(const char *field, size_t len, int64_t *out)
{
	const uint8_t *at = (const uint8_t *)field;
	uint64_t n = 0;

	if (at[0] & 0x80) {
		bool negative = at[0] & 0x40;
		uint8_t fill = negative ? 0xff : 0;

		n = negative ? UINT64_MAX : 0;
		for (size_t i = 0; i < len; i++) {
			uint8_t b =
				i ? at[i]
				  : (uint8_t)(negative ? at[0] : at[0] & 0x7f);

			if (i + 8 < len && b != fill)
				return false;
			n = n << 8 | b;
		}
		*out = (int64_t)n;
		return negative == (*out < 0);
	}
	while (len > 0 && *at == ' ') {
		at++;
		len--;
	}
	for (; len > 0 && *at >= '0' && *at <= '7'; at++, len--) {
		if (n >> 60)
			return false;
		n = n << 3 | (uint64_t)(*at - '0');
	}
	*out = (int64_t)n;
	return len == 0 || *at == ' ' || *at == '\0';
}

bool tar_field(const char *field, size_t len, uint64_t *out)
{
	int64_t n;

	if (!tar_number(field, len, &n) || n < 0)
		return false;
	*out = (uint64_t)n;
	return true;
}

/* Both ways in which it has been summed. */
static bool tar_sum_is_right(const struct tar_header *h)
{
	const uint8_t *at = (const uint8_t *)h;
	int64_t want, sum = 0, sum_signed = 0;

	for (size_t i = 0; i < sizeof(*h); i++) {
		bool own = i >= offsetof(struct tar_header, sum) &&
			   i < offsetof(struct tar_header, type);

		sum += own ? ' ' : at[i];
		sum_signed += own ? ' ' : (int8_t)at[i];
	}
	return tar_number(h->sum, sizeof(h->sum), &want) &&
	       (want == sum || want == sum_signed);
}

static bool tar_is_zero(const struct tar_header *h)
{
	const char *at = (const char *)h;

	for (size_t i = 0; i < sizeof(*h); i++)
		if (at[i])
			return false;
	return true;
}

/* The next header. Return: 1; 0: no more. */
static int tar_header(struct tar *tar, struct tar_header *h)
{
	int r = flow_skip(tar->flow, tar->left + tar->pad);
	ssize_t n;

	if (r < 0)
		return err_prefix(
			       tar->err, "entry %s ",
			       tar_show(tar->path.data ? tar->path.data : "?")
				       .text),
		       r;
	tar->left = 0;
	tar->pad = 0;
	n = flow_read(tar->flow, h, sizeof(*h));
	if (n <= 0)
		return (int)n;
	if ((size_t)n < sizeof(*h))
		return err_set(tar->err, -ENODATA, "is cut off");
	if (tar_is_zero(h))
		return 0;
	return tar_sum_is_right(h)
		       ? 1
		       : err_set(tar->err, -EBADMSG,
				 "has a damaged header after byte %llu: is it "
				 "a tar archive?",
				 (unsigned long long)tar->flow->given -
					 sizeof(*h));
}

static void tar_hold(struct tar *tar, uint64_t size)
{
	tar->left = size;
	tar->pad = (TAR_BLOCK_BYTES - size % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES;
}

/* All of an entry that is a text. */
static int tar_text(struct tar *tar, uint64_t size, struct buf *text)
{
	int r;

	if (size > TAR_EXTRA_MAX)
		return err_set(tar->err, -EFBIG,
			       "has an extended header of %llu bytes: more "
			       "than 1 MiB is not read",
			       (unsigned long long)size);
	tar_hold(tar, size);
	if (!buf_reserve(text, (size_t)size + 1)) {
		(void)err_set(tar->err, -ENOMEM, "cannot be read: no memory");
		return -ENOMEM;
	}
	r = tar_read(tar, text->data, (size_t)size);
	text->len = r < 0 ? 0 : (size_t)size;
	text->data[text->len] = '\0';
	return r;
}

static int tar_long_name(struct tar *tar, uint64_t size, struct buf *to)
{
	cleanup_buf struct buf text = {0};
	int r = tar_text(tar, size, &text);

	if (r < 0 || !text.data)
		return r;
	return tar_copy_word(tar, to, text.data, strnlen(text.data, text.len));
}

/* A header about the entry that follows. Return: 1 if it is one; 0; -errno. */
static int tar_extra(struct tar *tar, const struct tar_header *h)
{
	cleanup_buf struct buf text = {0};
	bool all = h->type == 'g';
	int64_t size;
	int r;

	if (!strchr("xgLKV", h->type) || !h->type)
		return 0;
	if (!tar_number(h->size, sizeof(h->size), &size) || size < 0)
		return err_set(tar->err, -EBADMSG,
			       "has an extended header whose size is none");
	if (h->type == 'V') {
		tar_hold(tar, (uint64_t)size);
		return 1;
	}
	if (h->type == 'L')
		r = tar_long_name(tar, (uint64_t)size, &tar->next.path);
	else if (h->type == 'K')
		r = tar_long_name(tar, (uint64_t)size, &tar->next.link);
	else
		r = tar_text(tar, (uint64_t)size, &text);
	if (r == 0 && text.data)
		r = tar_pax(tar, &text, all ? &tar->all : &tar->next);
	return r < 0 ? r : 1;
}

/* The path of ustar: prefix and name. */
static int tar_short_path(struct tar *tar, const struct tar_header *h)
{
	char path[sizeof(h->prefix) + 1 + sizeof(h->name) + 1];
	size_t prefix = 0, name = strnlen(h->name, sizeof(h->name));

	/* "ustar" and a NUL: GNU's has a space, and no prefix. */
	if (memcmp(h->magic, "ustar", 6) == 0)
		prefix = strnlen(h->prefix, sizeof(h->prefix));
	memcpy(path, h->prefix, prefix);
	if (prefix)
		path[prefix++] = '/';
	memcpy(path + prefix, h->name, name);
	return tar_copy_word(tar, &tar->path, path, prefix + name);
}

static int tar_paths(struct tar *tar, const struct tar_header *h)
{
	const struct buf *path = tar->next.sparse_path.len
					 ? &tar->next.sparse_path
				 : tar->next.path.len ? &tar->next.path
						      : &tar->all.path;
	const struct buf *link =
		tar->next.link.len ? &tar->next.link : &tar->all.link;
	int r = path->len ? tar_copy_word(tar, &tar->path, path->data,
					  path->len - 1)
			  : tar_short_path(tar, h);

	if (r == 0)
		r = link->len
			    ? tar_copy_word(tar, &tar->link, link->data,
					    link->len - 1)
			    : tar_copy_word(tar, &tar->link, h->link,
					    strnlen(h->link, sizeof(h->link)));
	if (r < 0)
		return r;
	if (tar->path.len > TAR_PATH_MAX || tar->link.len > TAR_PATH_MAX)
		return tar_refuse(tar, -ENAMETOOLONG,
				  "has a path of more than 4,095 bytes");
	return 0;
}

/* Of the header of this entry, of the one for it, of the one for all. */
static bool tar_value(const char *field, size_t len, bool has, uint64_t own,
		      bool has_all, uint64_t all, int64_t *out)
{
	if (has || has_all) {
		*out = (int64_t)(has ? own : all);
		return *out >= 0;
	}
	return tar_number(field, len, out);
}

#define TAR_FIELD(h, field) (h)->field, sizeof((h)->field)

static int tar_numbers(struct tar *tar, const struct tar_header *h,
		       struct tar_entry *entry, uint64_t *size)
{
	const struct tar_words *own = &tar->next, *all = &tar->all;
	int64_t mode, uid, gid, bytes, mtime = 0, major = 0, minor = 0;
	bool device = h->type == '3' || h->type == '4';

	if (!tar_number(TAR_FIELD(h, mode), &mode) ||
	    !tar_value(TAR_FIELD(h, uid), own->has_uid, own->uid, all->has_uid,
		       all->uid, &uid) ||
	    !tar_value(TAR_FIELD(h, gid), own->has_gid, own->gid, all->has_gid,
		       all->gid, &gid) ||
	    uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return tar_refuse(tar, -EBADMSG,
				  "has a mode, user or group that is none");
	if (!tar_value(TAR_FIELD(h, size), own->has_size, own->size,
		       all->has_size, all->size, &bytes) ||
	    bytes < 0)
		return tar_refuse(tar, -EBADMSG, "has a size that is none");
	if (device && (!tar_number(TAR_FIELD(h, major), &major) ||
		       !tar_number(TAR_FIELD(h, minor), &minor) || major < 0 ||
		       major > 0xfff || minor < 0 || minor > 0xfffff))
		return tar_refuse(tar, -EBADMSG,
				  "is a device whose number is none");
	entry->mtime_ns = own->has_mtime   ? own->mtime_ns
			  : all->has_mtime ? all->mtime_ns
					   : 0;
	if (own->has_mtime || all->has_mtime)
		mtime = own->has_mtime ? own->mtime : all->mtime;
	else if (!tar_number(TAR_FIELD(h, mtime), &mtime))
		return tar_refuse(tar, -EBADMSG, "has a time that is none");
	entry->mode = (uint32_t)mode & 07777;
	entry->uid = (uint32_t)uid;
	entry->gid = (uint32_t)gid;
	entry->major = (uint32_t)major;
	entry->minor = (uint32_t)minor;
	entry->mtime = mtime;
	*size = (uint64_t)bytes;
	return 0;
}

static int tar_kind(struct tar *tar, const struct tar_header *h,
		    enum tar_type *type)
{
	size_t len = tar->path.len - 1;

	switch (h->type) {
	case '\0':
		*type = len && tar->path.data[len - 1] == '/' ? TAR_FOLDER
							      : TAR_FILE;
		return 0;
	case '0':
	case '7':
	case 'S':
		*type = TAR_FILE;
		return 0;
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
		*type = (enum tar_type)(TAR_LINK + (h->type - '1'));
		return 0;
	default:
		return tar_refuse(tar, -EBADMSG,
				  "is of a type that is not known");
	}
}

/* What of it is not a hole, and how many bytes follow. */
static int tar_pieces(struct tar *tar, const struct tar_header *h,
		      struct tar_entry *entry, uint64_t size)
{
	int r;

	if (entry->type != TAR_FILE) {
		/* Some write the size of the file that a link is to. */
		tar_hold(tar, entry->type == TAR_FOLDER ||
					      entry->type == TAR_SYMLINK ||
					      entry->type == TAR_LINK
				      ? 0
				      : size);
		tar->nr_runs = 0;
		entry->size = 0;
		return 0;
	}
	tar_hold(tar, size);
	entry->size = size;
	r = h->type == 'S' || tar->next.sparse
		    ? tar_sparse(tar, h, size, &entry->size)
		    : tar_one_run(tar, size);
	entry->runs = tar->runs;
	entry->nr_runs = tar->nr_runs;
	return r;
}

int tar_next(struct tar *tar, struct tar_entry *entry)
{
	union {
		struct tar_header header;
		char bytes[TAR_BLOCK_BYTES];
	} h;
	uint64_t size = 0;
	int r;

	*entry = (struct tar_entry){0};
	tar_words_free(&tar->next);
	do {
		r = tar_header(tar, &h.header);
		if (r > 0)
			r = tar_extra(tar, &h.header);
		else
			return r;
	} while (r > 0);
	if (r == 0)
		r = tar_paths(tar, &h.header);
	if (r == 0)
		r = tar_kind(tar, &h.header, &entry->type);
	if (r == 0)
		r = tar_numbers(tar, &h.header, entry, &size);
	if (r == 0)
		r = tar_pieces(tar, &h.header, entry, size);
	entry->path = tar->path.data;
	entry->link = tar->link.data;
	entry->xattrs = &tar->next.xattrs;
	return r < 0 ? r : 1;
}

int tar_read(struct tar *tar, void *to, size_t len)
{
	ssize_t n = len <= tar->left ? flow_read(tar->flow, to, len) : 0;

	if (n < 0) {
		(void)err_prefix(
			tar->err, "entry %s ",
			tar_show(tar->path.data ? tar->path.data : "?").text);
		return (int)n;
	}
	if ((size_t)n < len)
		return tar_refuse(tar, -ENODATA,
				  "is cut off: its size says more than there "
				  "is");
	tar->left -= len;
	return 0;
}
