/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h - what a lease asks of its VM, request by request
 *
 * A clone was loaded before (PUT /snapshot/load with "lease": it has nothing
 * yet that is its user's), and a lease is one request, PUT /volt/lease, which
 * brings all of it and lets the guest run. A shell is loaded in the same way
 * first, by a request that the lease's follows at once. Pure.
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

/* The load: of a clone when it is made ready, @ask is NULL; of a shell. */
void steps_load(struct steps_call *call, const struct pool_create *pool,
		const struct pool_lease_ask *ask);

/**
 * steps_nth() - request number @n of a lease
 * @pool:	what the pool was made of
 *
 * Return: false when there are no more.
 */
bool steps_nth(struct steps_call *call, const struct pool_create *pool,
	       const struct pool_lease_ask *ask, size_t n);

/* What a VM says of a request that it refuses, made one line. @len bytes at
 * @body: {"fault_message":"..."}, or anything. */
void steps_fault(char *to, size_t size, const char *body, size_t len);
