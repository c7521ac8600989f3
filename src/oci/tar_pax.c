// SPDX-License-Identifier: Apache-2.0
/*
 * tar_pax.c - what an extended header of a tar archive says (tar.h)
 *
 * "LENGTH KEY=VALUE\n", again and again; LENGTH counts all of it. Words that
 * are not known here are passed over, as POSIX asks.
 */
#include "oci/tar_priv.h"
#include "oci/xattrs.h"

#include <errno.h>
#include <string.h>

#define PAX_NS_DIGITS 9

const char *tar_decimal(const char *at, const char *end, const char *stops,
			uint64_t *out)
{
	const char *from = at;
	uint64_t n = 0;

	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		if (n > (uint64_t)INT64_MAX / 10 - 1)
			return NULL;
		n = n * 10 + (uint64_t)(*at - '0');
	}
	if (at == from || (at < end && (!*at || !strchr(stops, *at))))
		return NULL;
	*out = n;
	return at;
}

/* "-12.345": seconds, and nanoseconds that count up. */
static bool pax_time(const char *at, const char *end, int64_t *s, uint32_t *ns)
{
	bool negative = at < end && *at == '-';
	uint32_t part = 0, scale = 1000000000;
	uint64_t whole = 0;

	at = tar_decimal(at + negative, end, ".", &whole);
	if (!at)
		return false;
	for (at += at < end; at < end; at++) {
		if (*at < '0' || *at > '9')
			return false;
		scale /= 10;
		part += (uint32_t)(*at - '0') * scale;
	}
	*s = negative ? -(int64_t)whole : (int64_t)whole;
	if (negative && part) {
		*s -= 1;
		part = 1000000000 - part;
	}
	*ns = part;
	return true;
}

static bool pax_number(const char *value, const char *end, uint64_t *out,
		       bool *has)
{
	const char *at = tar_decimal(value, end, "", out);

	*has = at == end && at;
	return *has;
}

/* What GNU tar writes of files with holes, in its three versions. */
static int pax_sparse(struct tar *tar, struct tar_words *words, const char *key,
		      const char *value, const char *end)
{
	uint64_t n = 0;
	bool has = false, number = pax_number(value, end, &n, &has);

	words->sparse = true;
	if (strcmp(key, "name") == 0)
		return tar_copy_word(tar, &words->sparse_path, value,
				     (size_t)(end - value));
	if (strcmp(key, "map") == 0) {
		while (value < end) {
			uint64_t off, len;

			value = tar_decimal(value, end, ",", &off);
			value = value && value < end
					? tar_decimal(value + 1, end, ",", &len)
					: NULL;
			if (!value || tar_add_run(tar, off, len) < 0)
				return -EBADMSG;
			value += value < end;
		}
		return 0;
	}
	if (strcmp(key, "numblocks") == 0)
		return 0;
	if (!number)
		return -EBADMSG;
	if (strcmp(key, "offset") == 0) {
		words->sparse_off = n;
	} else if (strcmp(key, "numbytes") == 0) {
		return tar_add_run(tar, words->sparse_off, n);
	} else if (strcmp(key, "major") == 0) {
		words->sparse_major = (unsigned int)(n & 0xff);
	} else if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0) {
		words->real = n;
		words->has_real = true;
	}
	return 0;
}

static bool pax_is_under(const char *key, const char *prefix, const char **rest)
{
	size_t n = strlen(prefix);

	*rest = key + n;
	return strncmp(key, prefix, n) == 0;
}

static int pax_word(struct tar *tar, struct tar_words *words, const char *key,
		    const char *value, const char *end)
{
	size_t len = (size_t)(end - value);
	const char *rest;
	bool ok = true;

	if (pax_is_under(key, "SCHILY.xattr.", &rest))
		return xattrs_set(&words->xattrs, rest, strlen(rest), value,
				  len);
	if (pax_is_under(key, "GNU.sparse.", &rest))
		return pax_sparse(tar, words, rest, value, end);
	if (strcmp(key, "path") == 0 || strcmp(key, "linkpath") == 0) {
		if (memchr(value, '\0', len))
			return -EBADMSG;
		return tar_copy_word(
			tar, key[0] == 'p' ? &words->path : &words->link, value,
			len);
	}
	if (strcmp(key, "size") == 0)
		ok = pax_number(value, end, &words->size, &words->has_size);
	else if (strcmp(key, "uid") == 0)
		ok = pax_number(value, end, &words->uid, &words->has_uid);
	else if (strcmp(key, "gid") == 0)
		ok = pax_number(value, end, &words->gid, &words->has_gid);
	else if (strcmp(key, "mtime") == 0)
		ok = words->has_mtime =
			pax_time(value, end, &words->mtime, &words->mtime_ns);
	return ok ? 0 : -EBADMSG;
}

int tar_pax(struct tar *tar, const struct buf *text, struct tar_words *words)
{
	const char *at = text->data, *end = text->data + text->len;

	tar->nr_runs = 0;
	tar->run_bytes = 0;
	while (at < end) {
		uint64_t len = 0;
		const char *key = tar_decimal(at, end, " ", &len);
		const char *next =
			key && len <= (uint64_t)(end - at) ? at + len : NULL;
		char *equals, name[sizeof("SCHILY.xattr.") + XATTRS_NAME_MAX];
		int r;

		if (!next || next <= key + 1 || next[-1] != '\n')
			return err_set(tar->err, -EBADMSG,
				       "has a damaged extended header");
		key++;
		equals = memchr(key, '=', (size_t)(next - key));
		if (!equals || (size_t)(equals - key) >= sizeof(name))
			return err_set(tar->err, -EBADMSG,
				       "has a damaged extended header");
		memcpy(name, key, (size_t)(equals - key));
		name[equals - key] = '\0';
		r = pax_word(tar, words, name, equals + 1, next - 1);
		if (r < 0)
			return err_set(tar->err, r,
				       "has an extended header whose %s is "
				       "not one that can be kept",
				       tar_show(name).text);
		at = next;
	}
	return 0;
}
