// SPDX-License-Identifier: Apache-2.0
/*
 * token.c - session tokens (token.h)
 */
#include "mmds/token.h"

#include <errno.h>
#include <sys/random.h>

#define NS_PER_S 1000000000u

/**
 * struct token - as it is hashed and sent; little-endian
 * @end_ns:	CLOCK_MONOTONIC
 */
struct token {
	uint64_t end_ns;
	uint64_t serial;
	uint32_t zero;
	uint8_t hash[SIPHASH_BYTES];
} __attribute__((packed));

static_assert(sizeof(struct token) * 4 == MMDS_TOKEN_CHARS * 3ul,
	      "base64 without padding");

static const char token_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int mmds_tokens_init(struct mmds_tokens *tokens)
{
	ssize_t n = getrandom(tokens->key, sizeof(tokens->key), 0);

	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(tokens->key) ? 0 : -EIO;
}

static void token_hash(const struct mmds_tokens *tokens,
		       const struct token *token, uint8_t *hash)
{
	siphash(tokens->key, token, offsetof(struct token, hash), hash);
}

static void token_encode(const struct token *token, char *out)
{
	uint8_t bytes[sizeof(*token)];

	memcpy(bytes, token, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i += 3) {
		uint32_t word = (uint32_t)bytes[i] << 16 |
				(uint32_t)bytes[i + 1] << 8 | bytes[i + 2];

		for (unsigned int shift = 24; shift > 0; shift -= 6)
			*out++ = token_letters[word >> (shift - 6) & 63];
	}
}

/* Return: whether it is base64. */
static bool token_decode(const char *text, struct token *token)
{
	uint8_t *bytes = (uint8_t *)token;

	for (size_t i = 0; i < sizeof(*token); i += 3) {
		uint32_t word = 0;

		for (unsigned int k = 0; k < 4; k++) {
			char c = *text++;
			const char *at = c ? strchr(token_letters, c) : NULL;

			if (!at)
				return false;
			word = word << 6 | (uint32_t)(at - token_letters);
		}
		bytes[i] = (uint8_t)(word >> 16);
		bytes[i + 1] = (uint8_t)(word >> 8);
		bytes[i + 2] = (uint8_t)word;
	}
	return true;
}

void mmds_token_make(struct mmds_tokens *tokens, unsigned int ttl_s,
		     uint64_t now_ns, char out[MMDS_TOKEN_CHARS])
{
	struct token token = {
		.end_ns = now_ns + (uint64_t)ttl_s * NS_PER_S,
		.serial = ++tokens->serial,
	};

	token_hash(tokens, &token, token.hash);
	token_encode(&token, out);
}

bool mmds_token_is_good(const struct mmds_tokens *tokens, const char *text,
			size_t len, uint64_t now_ns)
{
	uint8_t hash[SIPHASH_BYTES];
	struct token token;
	uint8_t differ = 0;

	if (len != MMDS_TOKEN_CHARS || !token_decode(text, &token))
		return false;
	token_hash(tokens, &token, hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		differ |= (uint8_t)(hash[i] ^ token.hash[i]);
	return differ == 0 && now_ns < token.end_ns;
}
