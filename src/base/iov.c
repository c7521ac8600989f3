// SPDX-License-Identifier: Apache-2.0
/*
 * iov.c - copies to and from scattered buffers
 */
#include "base/iov.h"

static size_t iov_copy(bool in, const struct iovec *iov, size_t nr,
		       uint64_t off, uint8_t *buf, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < nr && done < len; i++) {
		uint8_t *piece = iov[i].iov_base;
		size_t n = iov[i].iov_len;

		if (off >= n) {
			off -= n;
			continue;
		}
		n -= (size_t)off;
		if (n > len - done)
			n = len - done;
		if (in)
			memcpy(piece + off, buf + done, n);
		else
			memcpy(buf + done, piece + off, n);
		off = 0;
		done += n;
	}
	return done;
}

size_t iov_read(const struct iovec *iov, size_t nr, uint64_t off, void *buf,
		size_t len)
{
	return iov_copy(false, iov, nr, off, buf, len);
}

size_t iov_write(const struct iovec *iov, size_t nr, uint64_t off,
		 const void *buf, size_t len)
{
	/* Only read through: the piece is the destination. */
	return iov_copy(true, iov, nr, off, (uint8_t *)(uintptr_t)buf, len);
}

size_t iov_slice(const struct iovec *iov, size_t nr, uint64_t off, uint64_t len,
		 struct iovec *out, size_t max)
{
	size_t used = 0;

	for (size_t i = 0; i < nr && len > 0 && used < max; i++) {
		uint64_t n = iov[i].iov_len;

		if (off >= n) {
			off -= n;
			continue;
		}
		n -= off;
		if (n > len)
			n = len;
		out[used].iov_base = (uint8_t *)iov[i].iov_base + off;
		out[used].iov_len = (size_t)n;
		used++;
		len -= n;
		off = 0;
	}
	return used;
}
