/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iov.h - copies to and from scattered buffers
 *
 * The buffers are guest memory: the guest may write them at any time, so a
 * header is copied out once and the copy is used. Nothing here trusts lengths:
 * what does not fit is not copied, and the count that was is returned.
 */
#pragma once

#include "base/bits.h"

#include <sys/uio.h>

/* Bytes in all. */
static inline uint64_t iov_bytes(const struct iovec *iov, size_t nr)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < nr; i++)
		sum += iov[i].iov_len;
	return sum;
}

/**
 * iov_read() - copy out of the buffers, beginning @off bytes into them
 *
 * Return: bytes copied; less than @len when the buffers end first.
 */
size_t iov_read(const struct iovec *iov, size_t nr, uint64_t off, void *buf,
		size_t len);

/* The other way. */
size_t iov_write(const struct iovec *iov, size_t nr, uint64_t off,
		 const void *buf, size_t len);

/**
 * iov_slice() - the part [@off, @off + @len) of buffers, as buffers
 * @out:	room for @max of them
 *
 * Return: how many were written to @out; they hold @len bytes, or what there
 * is when the buffers (or @max) end first: compare with iov_bytes().
 */
size_t iov_slice(const struct iovec *iov, size_t nr, uint64_t off, uint64_t len,
		 struct iovec *out, size_t max);
