// SPDX-License-Identifier: Apache-2.0
/*
 * ext4_xattrs.c - extended attributes as a block of an ext4 (ext4.h)
 *
 * Entries from the front, in the order of kind, length and name; their values
 * from the back. POSIX ACLs have a shorter form there than programs see.
 */
#include "oci/ext4_priv.h"
#include "oci/xattrs.h"

#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XATTRS_IN_BLOCK  128u
#define XATTRS_ACL_SEEN  2u
#define XATTRS_ACL_KEPT  1u
#define XATTRS_ACL_USER  0x02u
#define XATTRS_ACL_GROUP 0x08u

/* What a name begins with, and its number; a name of its own ends there. */
static const struct {
	const char *prefix;
	uint8_t index;
	bool whole;
} xattrs_kinds[] = {
	{"system.posix_acl_access", 2, true},
	{"system.posix_acl_default", 3, true},
	{"user.", 1, false},
	{"trusted.", 4, false},
	{"security.", 6, false},
	{"system.", 7, false},
};

/* One on its way. */
struct xattrs_one {
	struct xattr xattr;
	const char *name;
	uint8_t len;
	uint8_t index;
};

static bool xattrs_kind(struct xattrs_one *one)
{
	for (size_t i = 0; i < ARRAY_SIZE(xattrs_kinds); i++) {
		size_t n = strlen(xattrs_kinds[i].prefix);

		if (strncmp(one->xattr.name, xattrs_kinds[i].prefix, n) != 0 ||
		    (one->xattr.name[n] == '\0') != xattrs_kinds[i].whole)
			continue;
		one->name = one->xattr.name + n;
		one->len = (uint8_t)strlen(one->name);
		one->index = xattrs_kinds[i].index;
		return true;
	}
	return false;
}

static int xattrs_order(const void *a, const void *b)
{
	const struct xattrs_one *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->name, y->name, x->len);
}

/* An ACL as programs see it: each entry has an ID, also where it means none. */
static ssize_t xattrs_acl(const struct xattr *xattr, char *to, size_t room)
{
	const uint32_t kept = XATTRS_ACL_KEPT;
	size_t used = sizeof(kept);
	uint32_t seen;

	if (xattr->len < sizeof(seen) || (xattr->len - sizeof(seen)) % 8)
		return -EINVAL;
	memcpy(&seen, xattr->value, sizeof(seen));
	if (seen != XATTRS_ACL_SEEN)
		return -EINVAL;
	if (room < xattr->len)
		return -E2BIG;
	memcpy(to, &kept, sizeof(kept));
	for (size_t at = sizeof(seen); at < xattr->len; at += 8) {
		uint16_t tag;
		size_t n;

		memcpy(&tag, xattr->value + at, sizeof(tag));
		n = tag == XATTRS_ACL_USER || tag == XATTRS_ACL_GROUP ? 8 : 4;
		memcpy(to + used, xattr->value + at, n);
		used += n;
	}
	return (ssize_t)used;
}

static uint32_t xattrs_hash(const struct xattrs_one *one, const char *value,
			    size_t len)
{
	uint32_t hash = 0, word;

	for (size_t i = 0; i < one->len; i++)
		hash = (hash << 5) ^ (hash >> 27) ^ (uint8_t)one->name[i];
	for (size_t i = 0; i < len; i += sizeof(word)) {
		memcpy(&word, value + i, sizeof(word));
		hash = (hash << 16) ^ (hash >> 16) ^ word;
	}
	return hash;
}

static size_t xattrs_up(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* The next entry at *@front, its value before *@back. */
static int xattrs_put(const struct xattrs_one *one, char *block, size_t *front,
		      size_t *back, uint32_t *sum)
{
	struct ext4_xattr entry = {.len = one->len, .index = one->index};
	size_t size = xattrs_up(sizeof(entry) + one->len);
	size_t room = *back - *front, len = one->xattr.len;
	cleanup_buf struct buf value = {0};
	ssize_t n;

	/* Four zeros end the list. */
	if (size + sizeof(uint32_t) + xattrs_up(len) > room)
		return -E2BIG;
	if (!buf_reserve(&value, xattrs_up(len) + 1))
		return -ENOMEM;
	memset(value.data, 0, xattrs_up(len) + 1);
	if (one->index == 2 || one->index == 3) {
		n = xattrs_acl(&one->xattr, value.data, len);
		if (n < 0)
			return (int)n;
		len = (size_t)n;
	} else {
		memcpy(value.data, one->xattr.value, len);
	}
	*back -= xattrs_up(len);
	memcpy(block + *back, value.data, xattrs_up(len));
	entry.value_at = (uint16_t)(len ? *back : 0);
	entry.value_len = (uint32_t)len;
	entry.hash = xattrs_hash(one, value.data, len);
	memcpy(block + *front, &entry, sizeof(entry));
	memcpy(block + *front + sizeof(entry), one->name, one->len);
	*front += size;
	*sum = (*sum << 16) ^ (*sum >> 16) ^ entry.hash;
	return 0;
}

int ext4_xattrs_block(const struct buf *xattrs, char *block, const char **which)
{
	struct ext4_xattrs_head head = {
		.magic = EXT4_XATTR_MAGIC, .users = 1, .blocks = 1};
	cleanup_free struct xattrs_one *list =
		calloc(XATTRS_IN_BLOCK, sizeof(*list));
	size_t front = sizeof(head), back = EXT4_BLOCK, at = 0, nr = 0;
	struct xattr xattr;
	int r = 0;

	if (!list)
		return -ENOMEM;
	while (xattrs_next(xattrs, &at, &xattr)) {
		*which = xattr.name;
		if (nr == XATTRS_IN_BLOCK)
			return -E2BIG;
		list[nr] = (struct xattrs_one){.xattr = xattr};
		if (!xattrs_kind(&list[nr++]))
			return -ENOTSUP;
	}
	qsort(list, nr, sizeof(list[0]), xattrs_order);
	for (size_t i = 0; r == 0 && i < nr; i++) {
		*which = list[i].xattr.name;
		r = xattrs_put(&list[i], block, &front, &back, &head.hash);
	}
	memcpy(block, &head, sizeof(head));
	return r;
}
