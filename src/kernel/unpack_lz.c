// SPDX-License-Identifier: Apache-2.0
/*
 * unpack_lz.c - lz4's legacy frame and the file of lzop, block by block
 *
 * lz4 legacy: the magic, then blocks, each behind its length (little endian);
 * the magic may come again. There is no end mark and no checksum.
 *
 * lzop: a header, then blocks, each behind two lengths (big endian: unpacked,
 * packed) and the checksums that the header announces; the unpacked length 0
 * ends it. A block of equal lengths is stored as it is. The Adler-32 of what
 * comes out, which the Linux build asks for, is checked.
 *
 * References: lz4, doc/lz4_Frame_format.md (Legacy frame); Linux,
 * lib/decompress_unlz4.c and lib/decompress_unlzo.c.
 */
#include "kernel/unpack_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <lz4.h>
#include <lzo/lzo1x.h>
#include <zlib.h>

#define LZ4_MAGIC      0x184c2102u
#define LZOP_MAGIC_LEN 9u
#define LZOP_V_LEVEL   0x0940u /* from here on: more fields */
#define LZOP_ADLER_OUT 0x0001u
#define LZOP_ADLER_IN  0x0002u
#define LZOP_EXTRA     0x0040u
#define LZOP_CRC_OUT   0x0100u
#define LZOP_CRC_IN    0x0200u
#define LZOP_FILTER    0x0800u

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

static const uint8_t *unpack_lz_take(struct reader *in, size_t len)
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

static uint32_t take_be(struct reader *in, size_t len)
{
	const uint8_t *p = unpack_lz_take(in, len);
	uint32_t v = 0;

	for (size_t i = 0; p && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static int lz4_block(struct reader *in, uint8_t *out, struct unpack_sink *sink,
		     struct err *err)
{
	const uint8_t *p = unpack_lz_take(in, 4);
	uint32_t len = p ? load_le32(p) : 0;
	int n;

	if (len == LZ4_MAGIC)
		return 0;
	if (len > (uint32_t)LZ4_compressBound((int)UNPACK_BLOCK_MAX))
		return unpack_damaged(UNPACK_LZ4, err);
	p = unpack_lz_take(in, len);
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
	(void)unpack_lz_take(&in, 4); /* the magic */
	if (in.left == 0)
		return unpack_cut_off(UNPACK_LZ4, err);
	while (r == 0 && in.left > 0)
		r = lz4_block(&in, out, sink, err);
	return r;
}

/* Up to the first block. Return: the flags. */
static uint32_t lzop_header(struct reader *in)
{
	uint32_t version, flags;

	(void)unpack_lz_take(in, LZOP_MAGIC_LEN);
	version = take_be(in, 2);
	(void)unpack_lz_take(in, 2); /* the library's version */
	(void)unpack_lz_take(in, version >= LZOP_V_LEVEL ? 2 : 0);
	(void)unpack_lz_take(
		in, version >= LZOP_V_LEVEL ? 2 : 1); /* method, level */
	flags = take_be(in, 4);
	(void)unpack_lz_take(in, flags & LZOP_FILTER ? 4 : 0);
	(void)unpack_lz_take(in,
			     version >= LZOP_V_LEVEL ? 12 : 8); /* mode, time */
	(void)unpack_lz_take(in, take_be(in, 1));               /* the name */
	(void)unpack_lz_take(in, 4);                            /* a checksum */
	if (flags & LZOP_EXTRA)
		(void)unpack_lz_take(in, (size_t)take_be(in, 4) + 4);
	return flags;
}

/* Return: 1 when one was unpacked, 0 at the end, -errno. */
static int lzop_block(struct reader *in, uint32_t flags, uint8_t *out,
		      struct unpack_sink *sink, struct err *err)
{
	uint32_t len = take_be(in, 4), packed, adler = 0;
	const uint8_t *p;
	lzo_uint n = len;
	int r;

	if (in->short_of)
		return unpack_cut_off(UNPACK_LZO, err);
	if (len == 0)
		return 0;
	packed = take_be(in, 4);
	if (len > UNPACK_BLOCK_MAX || packed > len)
		return unpack_damaged(UNPACK_LZO, err);
	if (flags & LZOP_ADLER_OUT)
		adler = take_be(in, 4);
	(void)unpack_lz_take(in, flags & LZOP_CRC_OUT ? 4 : 0);
	(void)unpack_lz_take(in,
			     packed < len && (flags & LZOP_ADLER_IN) ? 4 : 0);
	(void)unpack_lz_take(in, packed < len && (flags & LZOP_CRC_IN) ? 4 : 0);
	p = unpack_lz_take(in, packed);
	if (!p)
		return unpack_cut_off(UNPACK_LZO, err);
	if (packed == len)
		memcpy(out, p, len);
	else if (lzo1x_decompress_safe(p, packed, out, &n, NULL) != LZO_E_OK ||
		 n != len)
		return unpack_damaged(UNPACK_LZO, err);
	if ((flags & LZOP_ADLER_OUT) && adler32(1, out, len) != adler)
		return unpack_damaged(UNPACK_LZO, err);
	r = sink->write(sink, out, len);
	return r < 0 ? r : 1;
}

int unpack_lzop(const void *data, size_t len, struct unpack_sink *sink,
		struct err *err)
{
	cleanup_free uint8_t *out = malloc(UNPACK_BLOCK_MAX);
	struct reader in = {.at = data, .left = len};
	uint32_t flags = lzop_header(&in);
	int r = 1;

	if (!out)
		return err_set(err, -ENOMEM, "cannot be unpacked: no memory");
	while (r > 0)
		r = lzop_block(&in, flags, out, sink, err);
	return r;
}
