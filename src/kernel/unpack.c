// SPDX-License-Identifier: Apache-2.0
/*
 * unpack.c - the compressions that have a library for their whole format
 */
#include "kernel/unpack_priv.h"

#include "base/fd.h"

#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#define CHUNK_BYTES     KIB(256)
#define GZIP_WINDOW     (15 + 16) /* the largest, and gzip's header */
#define ZSTD_WINDOW_LOG 27        /* what the Linux build uses at most */

static const struct {
	enum unpack_kind kind;
	size_t len;
	const char *magic;
	const char *name;
} unpack_kinds[] = {
	{UNPACK_GZIP, 2, "\x1f\x8b", "gzip"},
	{UNPACK_BZIP2, 3, "BZh", "bzip2"},
	{UNPACK_XZ, 6,
	 "\xfd"
	 "7zXZ\0",
	 "xz"},
	{UNPACK_LZMA, 3, "\x5d\0\0", "lzma"},
	{UNPACK_LZO, 9, "\x89LZO\0\r\n\x1a\n", "lzo"},
	{UNPACK_LZ4, 4, "\x02\x21\x4c\x18", "lz4"},
	{UNPACK_ZSTD, 4, "\x28\xb5\x2f\xfd", "zstd"},
};

enum unpack_kind unpack_recognize(const void *data, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(unpack_kinds); i++)
		if (len >= unpack_kinds[i].len &&
		    memcmp(data, unpack_kinds[i].magic, unpack_kinds[i].len) ==
			    0)
			return unpack_kinds[i].kind;
	return UNPACK_NONE;
}

const char *unpack_name(enum unpack_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(unpack_kinds); i++)
		if (unpack_kinds[i].kind == kind)
			return unpack_kinds[i].name;
	return "none";
}

int unpack_damaged(enum unpack_kind kind, struct err *err)
{
	return err_set(err, -EBADMSG, "has a damaged %s stream",
		       unpack_name(kind));
}

int unpack_cut_off(enum unpack_kind kind, struct err *err)
{
	return err_set(err, -ENODATA, "has a %s stream that is cut off",
		       unpack_name(kind));
}

static int unpack_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM,
		       "needs more memory to be unpacked than "
		       "there is, or than is given to one file");
}

/* The library reads only; its struct knows no const. */
static void *as_input(const void *data)
{
	return (void *)(uintptr_t)data;
}

static int unpack_gzip(const void *data, size_t len, uint8_t *chunk,
		       struct unpack_sink *sink, struct err *err)
{
	z_stream z = {.next_in = as_input(data), .avail_in = (uInt)len};
	int state = Z_OK, r = 0;

	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return unpack_no_memory(err);
	while (r == 0 && state == Z_OK) {
		z.next_out = chunk;
		z.avail_out = CHUNK_BYTES;
		state = inflate(&z, Z_NO_FLUSH);
		if (z.avail_out < CHUNK_BYTES)
			r = sink->write(sink, chunk, CHUNK_BYTES - z.avail_out);
	}
	(void)inflateEnd(&z);
	if (r < 0 || state == Z_STREAM_END)
		return r;
	if (state == Z_MEM_ERROR)
		return unpack_no_memory(err);
	return state == Z_BUF_ERROR && z.avail_in == 0
		       ? unpack_cut_off(UNPACK_GZIP, err)
		       : unpack_damaged(UNPACK_GZIP, err);
}

static int unpack_bzip2(const void *data, size_t len, uint8_t *chunk,
			struct unpack_sink *sink, struct err *err)
{
	bz_stream z = {.next_in = as_input(data),
		       .avail_in = (unsigned int)len};
	int state = BZ_OK, r = 0;
	bool stuck = false;

	if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
		return unpack_no_memory(err);
	while (r == 0 && state == BZ_OK && !stuck) {
		z.next_out = (char *)chunk;
		z.avail_out = CHUNK_BYTES;
		state = BZ2_bzDecompress(&z);
		stuck = z.avail_in == 0 && z.avail_out == CHUNK_BYTES;
		if (z.avail_out < CHUNK_BYTES)
			r = sink->write(sink, chunk, CHUNK_BYTES - z.avail_out);
	}
	(void)BZ2_bzDecompressEnd(&z);
	if (r < 0 || state == BZ_STREAM_END)
		return r;
	if (state == BZ_MEM_ERROR)
		return unpack_no_memory(err);
	return state == BZ_OK ? unpack_cut_off(UNPACK_BZIP2, err)
			      : unpack_damaged(UNPACK_BZIP2, err);
}

static int unpack_xz(enum unpack_kind kind, const void *data, size_t len,
		     uint8_t *chunk, struct unpack_sink *sink, struct err *err)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret state = kind == UNPACK_XZ
				 ? lzma_stream_decoder(&z, UNPACK_MEMORY_MAX, 0)
				 : lzma_alone_decoder(&z, UNPACK_MEMORY_MAX);
	int r = 0;

	if (state != LZMA_OK)
		return unpack_no_memory(err);
	z.next_in = data;
	z.avail_in = len;
	while (r == 0 && state == LZMA_OK) {
		z.next_out = chunk;
		z.avail_out = CHUNK_BYTES;
		state = lzma_code(&z, LZMA_RUN);
		if (z.avail_out < CHUNK_BYTES)
			r = sink->write(sink, chunk, CHUNK_BYTES - z.avail_out);
	}
	lzma_end(&z);
	if (r < 0 || state == LZMA_STREAM_END)
		return r;
	if (state == LZMA_MEM_ERROR || state == LZMA_MEMLIMIT_ERROR)
		return unpack_no_memory(err);
	return state == LZMA_BUF_ERROR ? unpack_cut_off(kind, err)
				       : unpack_damaged(kind, err);
}

static int unpack_zstd(const void *data, size_t len, uint8_t *chunk,
		       struct unpack_sink *sink, struct err *err)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	ZSTD_inBuffer in = {data, len, 0};
	size_t state = 1, before = 0;
	bool full = false;
	int r = 0;

	if (!z)
		return unpack_no_memory(err);
	(void)ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	/* More input, or more of what the last chunk had no room for. */
	while (r == 0 && state != 0 && (in.pos < len || full)) {
		ZSTD_outBuffer out = {chunk, CHUNK_BYTES, 0};

		before = in.pos;
		state = ZSTD_decompressStream(z, &out, &in);
		if (ZSTD_isError(state))
			break;
		if (out.pos > 0)
			r = sink->write(sink, chunk, out.pos);
		full = out.pos == CHUNK_BYTES;
		if (in.pos == before && out.pos == 0)
			break;
	}
	(void)ZSTD_freeDCtx(z);
	if (r < 0 || state == 0)
		return r;
	return ZSTD_isError(state) ? unpack_damaged(UNPACK_ZSTD, err)
				   : unpack_cut_off(UNPACK_ZSTD, err);
}

int unpack(enum unpack_kind kind, const void *data, size_t len,
	   struct unpack_sink *sink, struct err *err)
{
	cleanup_free uint8_t *chunk = malloc(CHUNK_BYTES);

	if (!chunk)
		return unpack_no_memory(err);
	if (len > UINT32_MAX) /* two of the libraries count in 32 bits */
		return err_set(err, -EFBIG, "is too large to be unpacked");
	switch (kind) {
	case UNPACK_GZIP:
		return unpack_gzip(data, len, chunk, sink, err);
	case UNPACK_BZIP2:
		return unpack_bzip2(data, len, chunk, sink, err);
	case UNPACK_XZ:
	case UNPACK_LZMA:
		return unpack_xz(kind, data, len, chunk, sink, err);
	case UNPACK_LZO:
		return unpack_lzop(data, len, sink, err);
	case UNPACK_LZ4:
		return unpack_lz4(data, len, sink, err);
	case UNPACK_ZSTD:
		return unpack_zstd(data, len, chunk, sink, err);
	case UNPACK_NONE:
		break;
	}
	return err_set(err, -EBADMSG, "is compressed in no way that is known");
}
