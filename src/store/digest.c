// SPDX-License-Identifier: Apache-2.0
/*
 * digest.c - SHA-256 of files and texts, in hex
 */
#include "store/digest.h"

#include "base/fd.h"

#include <errno.h>
#include <nettle/sha2.h>

#define CHUNK_BYTES KIB(256)

static struct digest digest_finish(struct sha256_ctx *ctx)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct digest out = {0};

	sha256_digest(ctx, sizeof(sum), sum);
	for (size_t i = 0; i < sizeof(sum); i++) {
		out.hex[2 * i] = digits[sum[i] >> 4];
		out.hex[2 * i + 1] = digits[sum[i] & 0xf];
	}
	return out;
}

struct digest digest_of(const void *data, size_t len)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, len, data);
	return digest_finish(&ctx);
}

int digest_of_file(int fd, uint64_t size, struct progress *progress,
		   struct digest *out)
{
	cleanup_free uint8_t *chunk = malloc(CHUNK_BYTES);
	struct sha256_ctx ctx;
	uint64_t off = 0;

	if (!chunk)
		return -ENOMEM;
	sha256_init(&ctx);
	while (off < size) {
		size_t len = size - off < CHUNK_BYTES ? (size_t)(size - off)
						      : CHUNK_BYTES;
		int r = fd_read_full(fd, chunk, len, (off_t)off);

		if (r < 0)
			return r;
		sha256_update(&ctx, len, chunk);
		off += len;
		progress_tell(progress, "reading", off, size);
	}
	*out = digest_finish(&ctx);
	return 0;
}

bool digest_is_one(const char *text)
{
	return strlen(text) == DIGEST_HEX &&
	       strspn(text, "0123456789abcdef") == DIGEST_HEX;
}
