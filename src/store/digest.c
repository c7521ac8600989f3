// SPDX-License-Identifier: Apache-2.0
/*
 * digest.c - SHA-256 of files and texts, in hex
 */
#include "store/digest.h"

#include "base/fd.h"

#include <errno.h>

#define CHUNK_BYTES KIB(256)

void digest_begin(struct digest_sum *sum)
{
	sha256_init(&sum->ctx);
}

void digest_add(struct digest_sum *sum, const void *data, size_t len)
{
	sha256_update(&sum->ctx, len, data);
}

struct digest digest_end(struct digest_sum *sum)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[SHA256_DIGEST_SIZE];
	struct digest out = {0};

	sha256_digest(&sum->ctx, sizeof(bytes), bytes);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		out.hex[2 * i] = digits[bytes[i] >> 4];
		out.hex[2 * i + 1] = digits[bytes[i] & 0xf];
	}
	return out;
}

struct digest digest_of(const void *data, size_t len)
{
	struct digest_sum sum;

	digest_begin(&sum);
	digest_add(&sum, data, len);
	return digest_end(&sum);
}

int digest_of_file(int fd, uint64_t size, struct progress *progress,
		   struct digest *out)
{
	cleanup_free uint8_t *chunk = malloc(CHUNK_BYTES);
	struct digest_sum sum;
	uint64_t off = 0;

	if (!chunk)
		return -ENOMEM;
	digest_begin(&sum);
	while (off < size) {
		size_t len = size - off < CHUNK_BYTES ? (size_t)(size - off)
						      : CHUNK_BYTES;
		int r = fd_read_full(fd, chunk, len, (off_t)off);

		if (r < 0)
			return r;
		digest_add(&sum, chunk, len);
		off += len;
		progress_tell(progress, "reading", off, size);
	}
	*out = digest_end(&sum);
	return 0;
}

bool digest_is_one(const char *text)
{
	return strlen(text) == DIGEST_HEX &&
	       strspn(text, "0123456789abcdef") == DIGEST_HEX;
}
