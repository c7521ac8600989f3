// SPDX-License-Identifier: Apache-2.0
/*
 * token_bucket.c - how much may pass (theory of operation: token_bucket.h)
 */
#include "host/token_bucket.h"

#define NS_PER_MS 1000000u

void token_bucket_init(struct token_bucket *b, uint64_t size, uint64_t burst,
		       uint64_t refill_ms, uint64_t now_ns)
{
	*b = (struct token_bucket){
		.size = size,
		.burst = burst,
		.refill_ms = refill_ms,
		.tokens = size,
		.last_ns = now_ns,
	};
}

/* Nanoseconds in which the bucket fills; 584 years stand for all above. */
static uint64_t fill_ns(const struct token_bucket *b)
{
	uint64_t ns;

	return __builtin_mul_overflow(b->refill_ms, NS_PER_MS, &ns) ? UINT64_MAX
								    : ns;
}

static void refill(struct token_bucket *b, uint64_t now_ns)
{
	unsigned __int128 got;
	uint64_t fill = fill_ns(b), elapsed, missing = b->size - b->tokens;

	if (now_ns <= b->last_ns)
		return;
	elapsed = now_ns - b->last_ns;
	b->last_ns = now_ns;
	got = (unsigned __int128)elapsed * b->size + b->part;
	if (got / fill >= missing) {
		b->tokens = b->size;
		b->part = 0;
		return;
	}
	b->tokens += (uint64_t)(got / fill);
	b->part = (uint64_t)(got % fill);
}

bool token_bucket_take(struct token_bucket *b, uint64_t amount, uint64_t now_ns)
{
	uint64_t rest = amount;

	if (!token_bucket_limits(b))
		return true;
	refill(b, now_ns);
	if (b->burst >= rest) {
		b->burst -= rest;
		return true;
	}
	rest -= b->burst;
	if (rest > b->tokens && b->tokens < b->size)
		return false;
	b->burst = 0;
	b->tokens -= rest < b->tokens ? rest : b->tokens;
	return true;
}

void token_bucket_give_back(struct token_bucket *b, uint64_t amount)
{
	uint64_t room = b->size - b->tokens;

	if (token_bucket_limits(b))
		b->tokens += amount < room ? amount : room;
}

struct token_bucket_level token_bucket_level(struct token_bucket *b,
					     uint64_t now_ns)
{
	if (token_bucket_limits(b))
		refill(b, now_ns);
	return (struct token_bucket_level){b->tokens, b->burst};
}

void token_bucket_set_level(struct token_bucket *b,
			    const struct token_bucket_level *level,
			    uint64_t now_ns)
{
	b->tokens = level->tokens < b->size ? level->tokens : b->size;
	b->burst = level->burst < b->burst ? level->burst : b->burst;
	b->last_ns = now_ns;
	b->part = 0;
}

uint64_t token_bucket_wait_ns(struct token_bucket *b, uint64_t amount,
			      uint64_t now_ns)
{
	unsigned __int128 wait;
	uint64_t need;

	if (!token_bucket_limits(b))
		return 0;
	refill(b, now_ns);
	if (amount <= b->burst)
		return 0;
	need = amount - b->burst;
	if (need > b->size)
		need = b->size;
	if (need <= b->tokens)
		return 0;
	wait = (unsigned __int128)fill_ns(b) * (need - b->tokens) / b->size + 1;
	return wait > UINT64_MAX ? UINT64_MAX : (uint64_t)wait;
}
