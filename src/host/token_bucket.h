/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_bucket.h - how much may pass, and when more may
 *
 * Theory of operation
 *
 * A bucket holds up to `size` tokens and is filled again evenly within
 * `refill_ms`; a one-time burst lies beside it and is used up first. Amounts
 * are 64-bit and come from a client, so every product is computed in 128 bits:
 * nothing wraps at any size, refill time or pause. The part of a token that a
 * refill leaves is kept: many small refills give what one large one gives, at
 * any rate, below and above a token a nanosecond.
 * Not thread-safe: the owner's lock or thread guards it.
 */
#pragma once

#include "base/bits.h"

/**
 * struct token_bucket - @size or @refill_ms 0: everything passes
 * @last_ns:	time up to which tokens have been given out
 * @part:	of the next token, in 1 / (refill time in ns)
 */
struct token_bucket {
	uint64_t size;
	uint64_t burst;
	uint64_t refill_ms;
	uint64_t tokens;
	uint64_t last_ns;
	uint64_t part;
};

/* A full bucket. */
void token_bucket_init(struct token_bucket *b, uint64_t size, uint64_t burst,
		       uint64_t refill_ms, uint64_t now_ns);

static inline bool token_bucket_limits(const struct token_bucket *b)
{
	return b->size != 0 && b->refill_ms != 0;
}

/**
 * token_bucket_take() - take @amount tokens, or none
 *
 * An amount above the bucket's size passes when the bucket is full and leaves
 * it empty: else it could never pass.
 *
 * Return: true when they were there.
 */
bool token_bucket_take(struct token_bucket *b, uint64_t amount,
		       uint64_t now_ns) __must_check;

/* Put back what was taken for work that was not done. */
void token_bucket_give_back(struct token_bucket *b, uint64_t amount);

/* What is in it now: tokens, and what is left of the burst. */
struct token_bucket_level {
	uint64_t tokens;
	uint64_t burst;
};

struct token_bucket_level token_bucket_level(struct token_bucket *b,
					     uint64_t now_ns);

/* As full as it was; a bucket never holds more than it is made for. */
void token_bucket_set_level(struct token_bucket *b,
			    const struct token_bucket_level *level,
			    uint64_t now_ns);

/* Nanoseconds until @amount (or a full bucket) will be there; 0: now. */
uint64_t token_bucket_wait_ns(struct token_bucket *b, uint64_t amount,
			      uint64_t now_ns);
