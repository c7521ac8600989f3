// SPDX-License-Identifier: Apache-2.0
/*
 * iov.c - copies to and from scattered buffers
 */
#include "base/iov.h"

enum copy_kind {
	COPY_OUT,
	COPY_IN,
	COPY_FILL,
};

static void copy_piece(enum copy_kind kind, uint8_t *piece, uint8_t *buf,
		       int byte, size_t n)
{
	switch (kind) {
	case COPY_OUT:
		memcpy(buf, piece, n);
		break;
	case COPY_IN:
		memcpy(piece, buf, n);
		break;
	case COPY_FILL:
		memset(piece, byte, n);
		break;
	}
}

static size_t copy(enum copy_kind kind, const struct iovec *iov, size_t nr,
		   uint64_t off, uint8_t *buf, int byte, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < nr && done < len; i++) {
		size_t n = iov[i].iov_len;

		if (off >= n) {
			off -= n;
			continue;
		}
		n -= (size_t)off;
		if (n > len - done)
			n = len - done;
		copy_piece(kind, (uint8_t *)iov[i].iov_base + off,
			   buf ? buf + done : NULL, byte, n);
		off = 0;
		done += n;
	}
	return done;
}

size_t iov_read(const struct iovec *iov, size_t nr, uint64_t off, void *buf,
		size_t len)
{
	return copy(COPY_OUT, iov, nr, off, buf, 0, len);
}

size_t iov_write(const struct iovec *iov, size_t nr, uint64_t off,
		 const void *buf, size_t len)
{
	/* Only read through: the piece is the destination. */
	return copy(COPY_IN, iov, nr, off, (uint8_t *)(uintptr_t)buf, 0, len);
}

size_t iov_fill(const struct iovec *iov, size_t nr, uint64_t off, int byte,
		size_t len)
{
	return copy(COPY_FILL, iov, nr, off, NULL, byte, len);
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
