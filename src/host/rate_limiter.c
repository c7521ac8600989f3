// SPDX-License-Identifier: Apache-2.0
/*
 * rate_limiter.c - bytes and operations, limited together
 */
#include "host/rate_limiter.h"

static const struct schema_field level_fields[] = {
	SCHEMA_STATE_UINT(struct token_bucket_level, tokens),
	SCHEMA_STATE_UINT(struct token_bucket_level, burst),
	/* Not in snapshots of before there was debt: none. */
	{
		.name = "debt",
		.type = SCHEMA_UINT,
		SCHEMA_AT(struct token_bucket_level, debt),
		.range = &schema_u64,
	},
};
static const struct schema_object level =
	SCHEMA_STATE_OF(struct token_bucket_level, level_fields);

static const struct schema_field rate_limiter_state_fields[] = {
	SCHEMA_STATE_OBJECT(struct rate_limiter_state, bandwidth, &level),
	SCHEMA_STATE_OBJECT(struct rate_limiter_state, ops, &level),
};
const struct schema_object rate_limiter_state_schema =
	SCHEMA_STATE_OF(struct rate_limiter_state, rate_limiter_state_fields);

static void rate_limiter_on_timer(struct timer *timer)
{
	struct rate_limiter *limiter =
		container_of(timer, struct rate_limiter, timer);

	limiter->blocked = false;
	limiter->ready(limiter);
}

void rate_limiter_init(struct rate_limiter *limiter, struct loop *loop,
		       void (*ready)(struct rate_limiter *limiter))
{
	*limiter = (struct rate_limiter){.ready = ready};
	timer_init(&limiter->timer, loop, rate_limiter_on_timer);
}

void rate_limiter_fini(struct rate_limiter *limiter)
{
	timer_stop(&limiter->timer);
}

/* Both let it pass, or neither is touched. Return: nanoseconds to wait. */
static uint64_t take_both(struct rate_limiter *limiter, uint64_t bytes)
{
	struct token_bucket *bandwidth = &limiter->bandwidth;
	struct token_bucket *ops = &limiter->ops;
	uint64_t now = now_ns();
	uint64_t for_bytes = token_bucket_wait_ns(bandwidth, bytes, now);
	uint64_t for_ops = token_bucket_wait_ns(ops, 1, now);
	bool both = for_bytes == 0 && for_ops == 0;

	if (both && token_bucket_take(bandwidth, bytes, now) &&
	    token_bucket_take(ops, 1, now))
		return 0;
	if (for_bytes > 0)
		token_bucket_await(bandwidth);
	if (for_ops > 0)
		token_bucket_await(ops);
	return for_bytes > for_ops ? for_bytes : for_ops;
}

bool rate_limiter_take(struct rate_limiter *limiter, uint64_t bytes)
{
	uint64_t wait;

	if (limiter->blocked)
		return false;
	if (!token_bucket_limits(&limiter->bandwidth) &&
	    !token_bucket_limits(&limiter->ops))
		return true;
	wait = take_both(limiter, bytes);
	if (wait == 0)
		return true;
	timer_set(&limiter->timer, wait, 0);
	limiter->blocked = true;
	return false;
}

void rate_limiter_charge(struct rate_limiter *limiter, uint64_t bytes)
{
	token_bucket_charge(&limiter->bandwidth, bytes, now_ns());
}

void rate_limiter_give_back(struct rate_limiter *limiter, uint64_t bytes)
{
	token_bucket_give_back(&limiter->ops, 1);
	token_bucket_give_back(&limiter->bandwidth, bytes);
}

void rate_limiter_changed(struct rate_limiter *limiter)
{
	/* By way of the timer: ready() takes the lock that our caller has. */
	if (limiter->blocked)
		timer_set(&limiter->timer, 0, 0);
}

void rate_limiter_save(struct rate_limiter *limiter,
		       struct rate_limiter_state *state)
{
	uint64_t now = now_ns();

	state->bandwidth = token_bucket_level(&limiter->bandwidth, now);
	state->ops = token_bucket_level(&limiter->ops, now);
}

void rate_limiter_load(struct rate_limiter *limiter,
		       const struct rate_limiter_state *state)
{
	uint64_t now = now_ns();

	token_bucket_set_level(&limiter->bandwidth, &state->bandwidth, now);
	token_bucket_set_level(&limiter->ops, &state->ops, now);
}
