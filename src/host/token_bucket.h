/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_bucket.h - how much may pass, and when more may
 *
 * Theory of operation
 *
 * A bucket holds up to `size` tokens and is filled again evenly within
 * `refill_ms`; a one-time burst lies beside it and is used up first. An amount
 * passes when its tokens are there; one above the size when the bucket is full,
 * else it never could, and then it is in debt for the rest: nothing passes
 * until that is paid. So in any stretch of time no more passes than flowed in,
 * but for one bucket and the one amount that is still being paid.
 *
 * Nor does less pass: who waits comes when his tokens are there, or a little
 * later, and what flows in until then is not lost though the bucket is full
 * (token_bucket_await()). It is kept until it is used, but does not grow.
 *
 * Amounts are 64-bit and come from a client, so every product is computed in
 * 128 bits: nothing wraps at any size, refill time or pause. The part of a
 * token that a refill leaves is kept: many small refills give what one large
 * one gives, at any rate, below and above a token a nanosecond. Not
 * thread-safe: the owner's lock or thread guards it.
 */
#pragma once

#include "base/bits.h"

/**
 * struct token_bucket - @size or @refill_ms 0: everything passes
 * @debt:	tokens that passed and were not there; @tokens is 0 then
 * @awaited:	somebody was refused and will come back
 * @last_ns:	time up to which tokens have been given out
 * @part:	of the next token, in 1 / (refill time in ns)
 */
struct token_bucket {
	uint64_t size;
	uint64_t burst;
	uint64_t refill_ms;
	uint64_t tokens;
	uint64_t debt;
	uint64_t last_ns;
	uint64_t part;
	bool awaited;
};

/* A full bucket. */
void token_bucket_init(struct token_bucket *b, uint64_t size, uint64_t burst,
		       uint64_t refill_ms, uint64_t now_ns);

static inline bool token_bucket_limits(const struct token_bucket *b)
{
	return b->size != 0 && b->refill_ms != 0;
}

/**
 * token_bucket_take() - let @amount pass, or not
 *
 * Return: true when its tokens were there, and they are gone now;
 * token_bucket_wait_ns() is 0 just then.
 */
bool token_bucket_take(struct token_bucket *b, uint64_t amount,
		       uint64_t now_ns) __must_check;

/* @amount has passed without being asked for: it is paid, or owed. */
void token_bucket_charge(struct token_bucket *b, uint64_t amount,
			 uint64_t now_ns);

/* Who was refused waits for his tokens and then takes them. */
static inline void token_bucket_await(struct token_bucket *b)
{
	b->awaited = true;
}

/* Put back what was taken for work that was not done. */
void token_bucket_give_back(struct token_bucket *b, uint64_t amount);

/* What is in it now: tokens, what is left of the burst, what is owed. */
struct token_bucket_level {
	uint64_t tokens;
	uint64_t burst;
	uint64_t debt;
};

struct token_bucket_level token_bucket_level(struct token_bucket *b,
					     uint64_t now_ns);

/* As full as it was; a bucket never holds more than it is made for. */
void token_bucket_set_level(struct token_bucket *b,
			    const struct token_bucket_level *level,
			    uint64_t now_ns);

/* Nanoseconds until @amount may pass; 0: now. */
uint64_t token_bucket_wait_ns(struct token_bucket *b, uint64_t amount,
			      uint64_t now_ns);
