/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refill.h - how many members are to be started or ended now
 *
 * Theory of operation
 *
 * A pool wants its size in members that are ready, and one more for each lease
 * that waits. What holds it back:
 *
 *   parallel	so many starts are under way at a time
 *   rate, cpu	the next start is not before @next_ns. Each start moves that on
 *		by the interval of the rate, or by what a start costs of the
 *		CPU over the share that starts may have, whichever is more. A
 *		pool that was idle may make @parallel starts at once
 *   memory	the private memory of all members, and what those that are
 *		starting are going to take, stays within the budget
 *   pressure	the host is short of memory: nothing starts
 *   leases	while one is under way nothing starts, unless none is ready:
 *		a start takes the CPU that the lease needs. Behind it nothing
 *		starts for REFILL_QUIET_NS, in which its guest begins, unless
 *		half of the pool is gone
 *   failures	each start that fails in a row doubles the pause before the
 *		next, up to REFILL_PAUSE_MAX_NS
 *
 * Members that are too many end: what a smaller size leaves over, and, under
 * pressure or above the budget, one at each look, the oldest first. Leased ones
 * are never touched.
 *
 * Pure, for tests: the clock is an argument.
 */
#pragma once

#include "client/pool_wire.h"

#define REFILL_PAUSE_NS     50000000u /* behind the first failure */
#define REFILL_PAUSE_MAX_NS 10000000000ull
#define REFILL_QUIET_NS     2000000u
#define REFILL_NEVER        UINT64_MAX

/**
 * struct refill - what a pool remembers of its starts
 * @next_ns:	by rate and CPU share (CLOCK_MONOTONIC)
 * @pause_ns:	until then nothing starts, because starts have failed
 * @quiet_ns:	until then nothing starts, because a guest has begun
 * @failures:	in a row
 * @cost_ns:	CPU time of a start, an average; 0: not known
 * @cost_kib:	private memory of a ready member, an average; 0: not known
 */
struct refill {
	uint64_t next_ns;
	uint64_t pause_ns;
	uint64_t quiet_ns;
	unsigned int failures;
	uint64_t cost_ns;
	uint64_t cost_kib;
};

/**
 * struct refill_now - what there is
 * @private_kib:	of all members
 * @pressure:	the host is short of memory
 * @held:	nothing may start: the pool drains, its snapshot is gone
 */
struct refill_now {
	uint64_t now_ns;
	unsigned int ready;
	unsigned int starting;
	unsigned int waiting;
	unsigned int leasing;
	uint64_t private_kib;
	bool pressure;
	bool held;
};

/**
 * struct refill_do - what is to be done
 * @start, @end:	members
 * @again_ns:	when to look again though nothing happens; REFILL_NEVER
 */
struct refill_do {
	unsigned int start;
	unsigned int end;
	uint64_t again_ns;
};

/* @look: one of those that come in even intervals, at which members may be
 * ended for the memory's sake. */
struct refill_do refill_decide(const struct refill *refill,
			       const struct pool_create *pool,
			       const struct refill_now *now, bool look);

/* A start was made. */
void refill_started(struct refill *refill, const struct pool_create *pool,
		    uint64_t now_ns);

/* A lease was given. */
void refill_leased(struct refill *refill, uint64_t now_ns);

/* It came to its end: the member is ready, or was never. */
void refill_ready(struct refill *refill, uint64_t cpu_ns, uint64_t kib);
void refill_failed(struct refill *refill, uint64_t now_ns);
