// SPDX-License-Identifier: Apache-2.0
/*
 * unpack_lz4.c - lz4's legacy frame, block by block
 *
 * The magic, then blocks, each behind its length (little endian); the magic
 * may come again. There is no end mark and no checksum.
 *
 * References: lz4, doc/lz4_Frame_format.md (Legacy frame); Linux,
 * lib/decompress_unlz4.c.
 */
#include "kernel/unpack_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <lz4.h>

#define LZ4_MAGIC 0x184c2102u

/**
 * struct reader - bytes that are left
 * @short_of:	something was asked for that is not there; all that follows
 *		gives zeros
 */
struct reader {
	const uint8_t *at;
	size_t left;
	bool short_of;
};

static const uint8_t *unpack_lz4_take(struct reader *in, size_t len)
{
	const uint8_t *at = in->at;

	if (in->short_of || len > in->left) {
		in->short_of = true;
		return NULL;
	}
	in->at += len;
	in->left -= len;
	return at;
}

static int lz4_block(struct reader *in, uint8_t *out, struct unpack_sink *sink,
		     struct err *err)
{
	const uint8_t *p = unpack_lz4_take(in, 4);
	uint32_t len = p ? load_le32(p) : 0;
	int n;

	if (len == LZ4_MAGIC)
		return 0;
	if (len > (uint32_t)LZ4_compressBound((int)UNPACK_BLOCK_MAX))
		return unpack_damaged(UNPACK_LZ4, err);
	p = unpack_lz4_take(in, len);
	if (!p)
		return unpack_cut_off(UNPACK_LZ4, err);
	n = LZ4_decompress_safe((const char *)p, (char *)out, (int)len,
				(int)UNPACK_BLOCK_MAX);
	return n <= 0 ? unpack_damaged(UNPACK_LZ4, err)
		      : sink->write(sink, out, (size_t)n);
}

int unpack_lz4(const void *data, size_t len, struct unpack_sink *sink,
	       struct err *err)
{
	cleanup_free uint8_t *out = malloc(UNPACK_BLOCK_MAX);
	struct reader in = {.at = data, .left = len};
	int r = 0;

	if (!out)
		return err_set(err, -ENOMEM, "cannot be unpacked: no memory");
	(void)unpack_lz4_take(&in, 4); /* the magic */
	if (in.left == 0)
		return unpack_cut_off(UNPACK_LZ4, err);
	while (r == 0 && in.left > 0)
		r = lz4_block(&in, out, sink, err);
	return r;
}
