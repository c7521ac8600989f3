// SPDX-License-Identifier: Apache-2.0
/*
 * token_bucket.c - how much may pass (theory of operation: token_bucket.h)
 */
#include "host/token_bucket.h"

#define NS_PER_MS 1000000u
/* Who waits is at most so late for what he waits for. */
#define LATE_NS 100000000ull

typedef unsigned __int128 u128;

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

static uint64_t clamp64(u128 v)
{
	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

/* Nanoseconds in which the bucket fills; 584 years stand for all above. */
static uint64_t fill_ns(const struct token_bucket *b)
{
	return clamp64((u128)b->refill_ms * NS_PER_MS);
}

/* What it holds at most; above the size what flows in while somebody who waits
 * is late: else each wait would cost him a part of his rate. */
static uint64_t most(const struct token_bucket *b)
{
	u128 late = b->awaited ? (u128)b->size * LATE_NS / fill_ns(b) : 0;

	return clamp64(b->size + late);
}

/* Who owes has nothing, whatever limits and levels came from outside. */
static void assert_sane(const struct token_bucket *b)
{
	assert(b->debt == 0 || b->tokens == 0);
}

static void refill(struct token_bucket *b, uint64_t now_ns)
{
	uint64_t fill = fill_ns(b), top = most(b), elapsed;
	u128 got, room;

	if (now_ns <= b->last_ns)
		return;
	elapsed = now_ns - b->last_ns;
	b->last_ns = now_ns;
	if (b->tokens >= top)
		return; /* what was saved while waiting stays, and is all */
	got = (u128)elapsed * b->size + b->part;
	room = (u128)b->debt + (top - b->tokens);
	if (got / fill >= room) {
		b->debt = 0;
		b->tokens = top;
		b->part = 0;
		return;
	}
	b->part = (uint64_t)(got % fill);
	got /= fill;
	if (got < b->debt) {
		b->debt -= (uint64_t)got;
		return;
	}
	b->tokens += (uint64_t)got - b->debt;
	b->debt = 0;
	assert(b->tokens <= top);
}

/* Tokens that have to be there for @amount, beside the burst. */
static uint64_t needed(const struct token_bucket *b, uint64_t amount)
{
	uint64_t rest = amount > b->burst ? amount - b->burst : 0;

	return rest < b->size ? rest : b->size;
}

/* What does not come from burst and tokens is owed. */
static void charge(struct token_bucket *b, uint64_t amount)
{
	uint64_t part = amount < b->burst ? amount : b->burst;

	b->burst -= part;
	amount -= part;
	part = amount < b->tokens ? amount : b->tokens;
	b->tokens -= part;
	b->debt = clamp64((u128)b->debt + (amount - part));
	assert_sane(b);
}

bool token_bucket_take(struct token_bucket *b, uint64_t amount, uint64_t now_ns)
{
	if (token_bucket_wait_ns(b, amount, now_ns) > 0)
		return false;
	if (token_bucket_limits(b))
		charge(b, amount);
	b->awaited = false;
	return true;
}

void token_bucket_charge(struct token_bucket *b, uint64_t amount,
			 uint64_t now_ns)
{
	if (!token_bucket_limits(b))
		return;
	refill(b, now_ns);
	charge(b, amount);
}

void token_bucket_give_back(struct token_bucket *b, uint64_t amount)
{
	uint64_t paid = amount < b->debt ? amount : b->debt, room;

	if (!token_bucket_limits(b))
		return;
	b->debt -= paid;
	amount -= paid;
	room = b->tokens < b->size ? b->size - b->tokens : 0;
	b->tokens += amount < room ? amount : room;
	assert_sane(b);
}

struct token_bucket_level token_bucket_level(struct token_bucket *b,
					     uint64_t now_ns)
{
	if (token_bucket_limits(b))
		refill(b, now_ns);
	return (struct token_bucket_level){b->tokens, b->burst, b->debt};
}

void token_bucket_set_level(struct token_bucket *b,
			    const struct token_bucket_level *level,
			    uint64_t now_ns)
{
	b->tokens = level->tokens < b->size ? level->tokens : b->size;
	b->burst = level->burst < b->burst ? level->burst : b->burst;
	b->debt = level->debt;
	if (b->debt > 0)
		b->tokens = 0;
	b->last_ns = now_ns;
	b->part = 0;
}

uint64_t token_bucket_wait_ns(struct token_bucket *b, uint64_t amount,
			      uint64_t now_ns)
{
	uint64_t need, missing;
	u128 flow;

	if (!token_bucket_limits(b))
		return 0;
	refill(b, now_ns);
	need = needed(b, amount);
	if (b->debt == 0 && b->tokens >= need)
		return 0;
	missing = clamp64((u128)b->debt + need - b->tokens);
	flow = (u128)missing * fill_ns(b) - b->part;
	return clamp64((flow + b->size - 1) / b->size);
}
