/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.h - a piece of a file, unpacked as it is read: plain, gzip or zstd
 *
 * Which of the three it is its first bytes say, not what names it. What is read
 * is hashed, as it lies there and unpacked, and counted: what unpacks to more
 * than the limit is refused when it has reached it, not after.
 */
#pragma once

#include "store/digest.h"

#include <zlib.h>
#include <zstd.h>

#define FLOW_CHUNK KIB(128)

enum flow_kind {
	FLOW_PLAIN,
	FLOW_GZIP,
	FLOW_ZSTD,
};

/**
 * struct flow - what is read
 * @at, @end:	of the file, what is not yet taken in
 * @given:	unpacked bytes so far
 * @max:	no more than these
 * @hop:	what is skipped need not be read: nobody wants the sums
 * @packed, @plain: sums of both sides; of FLOW_PLAIN the second only
 */
struct flow {
	int fd;
	enum flow_kind kind;
	uint64_t begin;
	uint64_t at;
	uint64_t end;
	uint64_t given;
	uint64_t max;
	bool hop;
	struct digest_sum packed;
	struct digest_sum plain;
	struct progress *progress;
	const char *what;
	struct err *err;
	z_stream z;
	ZSTD_DStream *zstd;
	uint8_t *in;
	size_t in_at;
	size_t in_len;
	bool ended;
	bool open;
};

/**
 * flow_open() - begin to read @len bytes of @fd from @off
 * @max:	unpacked bytes that are taken
 * @what:	for @progress
 * @err:	of all that follows, too
 *
 * Return: 0, or -errno with a sentence. flow_close() in any case.
 */
int flow_open(struct flow *flow, int fd, uint64_t off, uint64_t len,
	      uint64_t max, struct progress *progress, const char *what,
	      struct err *err) __must_check;

/**
 * flow_read() - the next @len bytes, fewer at the end only
 *
 * Return: how many; -EFBIG (more than the limit), -EBADMSG, -ENODATA (damaged,
 * cut off), -errno, with a sentence.
 */
ssize_t flow_read(struct flow *flow, void *to, size_t len) __must_check;

/* Read and drop @len bytes. Return: 0; -ENODATA when they are not there, and as
 * flow_read(), with a sentence. */
int flow_skip(struct flow *flow, uint64_t len) __must_check;

/**
 * flow_end() - read what is left, and tell the sums
 *
 * Return: as flow_read(), with a sentence.
 */
int flow_end(struct flow *flow, struct digest *packed,
	     struct digest *plain) __must_check;

void flow_close(struct flow *flow);
