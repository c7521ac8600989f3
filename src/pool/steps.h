/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h - what a lease asks of its VM, request by request
 *
 * docs/pool.md, "What a lease changes": a shell has it all in one request; a
 * clone has one for each change, and is resumed by the last. Pure.
 */
#pragma once

#include "client/pool_wire.h"

/**
 * struct steps_call - a request to a VM's API
 * @method:	a constant
 * @target, @body:	replaced
 */
struct steps_call {
	const char *method;
	struct buf target;
	struct buf body;
};

void steps_call_free(struct steps_call *call);

/**
 * steps_load() - PUT /snapshot/load
 * @snapshot, @memory:	as of struct pool_create
 * @ask:	what a lease changes; NULL: a clone that nobody has leased,
 *		which stays paused
 */
void steps_load(struct steps_call *call, const char *snapshot,
		const char *memory, const struct pool_lease_ask *ask);

/**
 * steps_nth() - request number @n of a lease
 * @pool:	what the pool was made of
 *
 * Return: false when there are no more.
 */
bool steps_nth(struct steps_call *call, const struct pool_create *pool,
	       const struct pool_lease_ask *ask, size_t n);

/* How many there are. */
size_t steps_count(const struct pool_create *pool,
		   const struct pool_lease_ask *ask);

/* What a VM says of a request that it refuses, made one line. @len bytes at
 * @body: {"fault_message":"..."}, or anything. */
void steps_fault(char *to, size_t size, const char *body, size_t len);
