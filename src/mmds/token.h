/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.h - session tokens that nobody has to remember
 *
 * A token says when it ends, has a number of its own, and ends with a keyed
 * hash of both (siphash.h): whether it is ours and still good can be seen from
 * itself, so a guest may ask for as many as it likes, and none is stored. On
 * the wire it is MMDS_TOKEN_CHARS of base64.
 */
#pragma once

#include "mmds/siphash.h"

#define MMDS_TOKEN_CHARS   48u
#define MMDS_TOKEN_TTL_MAX 21600u /* s: six hours, as EC2 and Firecracker */

/**
 * struct mmds_tokens - what tokens are made with
 * @key:	random
 * @serial:	of the last one
 */
struct mmds_tokens {
	uint8_t key[SIPHASH_BYTES];
	uint64_t serial;
};

/* Return: 0 or -errno of getrandom(). */
int mmds_tokens_init(struct mmds_tokens *tokens) __must_check;

/* A token that is good for @ttl_s seconds, 1 to MMDS_TOKEN_TTL_MAX, from
 * @now_ns on; @out is not terminated. */
void mmds_token_make(struct mmds_tokens *tokens, unsigned int ttl_s,
		     uint64_t now_ns, char out[MMDS_TOKEN_CHARS]);

/* Is @text one of ours that has not ended by @now_ns? How long that takes does
 * not depend on where a wrong one differs. */
bool mmds_token_is_good(const struct mmds_tokens *tokens, const char *text,
			size_t len, uint64_t now_ns);
