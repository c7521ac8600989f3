/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate_limiter.h - bytes and operations of a device, limited together
 *
 * Theory of operation
 *
 * Two token buckets, one for bytes and one for operations; a request passes
 * when both let it. A device asks before it does the work. Refused, it stops
 * looking at that queue: the timer is armed for the moment when the request
 * would pass, and ready() is called then, on the VMM thread, without any lock.
 * A request above what a bucket holds passes when that is full, and what it
 * took too much is paid back before the next (token_bucket.h). A device with no
 * limit set pays two comparisons.
 *
 * Context: the VMM thread, under the device's lock.
 */
#pragma once

#include "base/schema.h"
#include "host/timer.h"
#include "host/token_bucket.h"

/**
 * struct rate_limiter - a device's limits for one direction
 * @blocked:	a request was refused and ready() has not been called yet
 */
struct rate_limiter {
	struct token_bucket bandwidth;
	struct token_bucket ops;
	struct timer timer;
	void (*ready)(struct rate_limiter *limiter);
	bool blocked;
};

/* How full the buckets are, as saved in a snapshot. */
struct rate_limiter_state {
	struct token_bucket_level bandwidth;
	struct token_bucket_level ops;
};

extern const struct schema_object rate_limiter_state_schema;

/* No limits yet; no system call. */
void rate_limiter_init(struct rate_limiter *limiter, struct loop *loop,
		       void (*ready)(struct rate_limiter *limiter));
void rate_limiter_fini(struct rate_limiter *limiter);

/**
 * rate_limiter_take() - may a request of @bytes pass now?
 *
 * Return: true, and it is accounted for; false: ready() will be called.
 */
bool rate_limiter_take(struct rate_limiter *limiter,
		       uint64_t bytes) __must_check;

/* @bytes more were moved than was asked for: they are owed. */
void rate_limiter_charge(struct rate_limiter *limiter, uint64_t bytes);

/* A request that passed was not done after all. */
void rate_limiter_give_back(struct rate_limiter *limiter, uint64_t bytes);

/**
 * rate_limiter_changed() - the buckets were set anew (token_bucket_init())
 *
 * A request that was refused is tried again at once.
 */
void rate_limiter_changed(struct rate_limiter *limiter);

/* Limits come from the configuration; these two are about what is left. */
void rate_limiter_save(struct rate_limiter *limiter,
		       struct rate_limiter_state *state);
void rate_limiter_load(struct rate_limiter *limiter,
		       const struct rate_limiter_state *state);
