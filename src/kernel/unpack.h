/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.h - the compressions of kernels, packages and modules, one function
 *
 * What is unpacked may be anybody's. The libraries are given a limit to the
 * memory that a header can ask for (UNPACK_MEMORY_MAX: a dictionary of 128 MiB
 * and what goes with it); how much comes out is the sink's to limit, which sees
 * each piece and can refuse it.
 *
 * lz4's "legacy" frame, which is what the Linux build makes, has no library of
 * its own and is read here; its blocks go to liblz4. What lzop has packed the
 * program lzop unpacks, where it is installed.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

#define UNPACK_MEMORY_MAX MIB(256)

enum unpack_kind {
	UNPACK_NONE, /* nothing that is known */
	UNPACK_GZIP,
	UNPACK_BZIP2,
	UNPACK_XZ,
	UNPACK_LZMA,
	UNPACK_LZO,
	UNPACK_LZ4,
	UNPACK_ZSTD,
};

/**
 * struct unpack_sink - takes what comes out; embed it
 * @write:	0, or -errno, which ends the unpacking and is its result
 */
struct unpack_sink {
	int (*write)(struct unpack_sink *sink, const void *data, size_t len);
};

/* By the first bytes. */
enum unpack_kind unpack_recognize(const void *data, size_t len);

/* "gzip", "lz4"; of UNPACK_NONE: "none". */
const char *unpack_name(enum unpack_kind kind);

/**
 * unpack() - all of @data to @sink
 *
 * What follows the end of the compressed stream is not looked at.
 *
 * Return: 0; what the sink returned, and nothing in @err; -EBADMSG (damaged),
 * -ENODATA (it ends too early), -ENOENT (no lzop), -ENOMEM, with the rest of
 * a sentence that begins with what it was: "has a damaged gzip stream".
 */
int unpack(enum unpack_kind kind, const void *data, size_t len,
	   struct unpack_sink *sink, struct err *err) __must_check;
