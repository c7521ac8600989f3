// SPDX-License-Identifier: Apache-2.0
/*
 * refill.c - how many members are to be started or ended (refill.h)
 */
#include "pool/refill.h"

#define REFILL_S_NS 1000000000ull

static uint64_t refill_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static unsigned int refill_least(uint64_t a, uint64_t b)
{
	return (unsigned int)(a < b ? a : b);
}

/* Between two starts, by rate and CPU share. */
static uint64_t refill_interval(const struct refill *r,
				const struct pool_create *pool)
{
	uint64_t by_rate = pool->rate ? REFILL_S_NS / pool->rate : 0;
	uint64_t by_cpu = pool->cpu ? r->cost_ns * 100 / pool->cpu : 0;

	return refill_later(by_rate, by_cpu);
}

/* How many the rate permits now; all when there is none. */
static uint64_t refill_due(const struct refill *r,
			   const struct pool_create *pool,
			   const struct refill_now *now)
{
	uint64_t each = refill_interval(r, pool);

	if (now->now_ns < r->next_ns)
		return 0;
	return each == 0 ? UINT32_MAX : (now->now_ns - r->next_ns) / each + 1;
}

/* How many the budget permits beside those that are starting. */
static uint64_t refill_room(const struct refill *r,
			    const struct pool_create *pool,
			    const struct refill_now *now)
{
	uint64_t budget = pool->memory_mib << 10, taken;

	if (budget == 0)
		return UINT32_MAX;
	taken = now->private_kib + now->starting * r->cost_kib;
	if (taken >= budget)
		return 0;
	/* Before anything is known of the cost: one, to know it. */
	if (r->cost_kib == 0)
		return now->starting == 0;
	return (budget - taken) / r->cost_kib;
}

static uint64_t refill_wanted(const struct pool_create *pool,
			      const struct refill_now *now)
{
	uint64_t want = (uint64_t)pool->size + now->waiting;
	uint64_t have = (uint64_t)now->ready + now->starting;

	return want > have ? want - have : 0;
}

/* A guest has just begun, and more than half of the pool is there. */
static bool refill_is_quiet(const struct refill *r,
			    const struct pool_create *pool,
			    const struct refill_now *now)
{
	return now->now_ns < r->quiet_ns && now->waiting == 0 &&
	       now->ready > pool->size / 2;
}

static unsigned int refill_ends(const struct pool_create *pool,
				const struct refill_now *now, bool look)
{
	uint64_t budget = pool->memory_mib << 10;
	unsigned int extra =
		now->ready > pool->size ? now->ready - pool->size : 0;

	if (now->waiting > 0)
		return 0;
	if (extra == 0 && look && now->ready > 0 &&
	    (now->pressure || (budget != 0 && now->private_kib > budget)))
		return 1;
	return extra;
}

struct refill_do refill_decide(const struct refill *r,
			       const struct pool_create *pool,
			       const struct refill_now *now, bool look)
{
	struct refill_do todo = {.again_ns = REFILL_NEVER};
	uint64_t wanted = refill_wanted(pool, now), due;

	if (now->held)
		return todo;
	todo.end = refill_ends(pool, now, look);
	if (wanted == 0 || now->pressure || now->starting >= pool->parallel ||
	    (now->leasing > 0 && now->ready > 0))
		return todo;
	if (now->now_ns < r->pause_ns) {
		todo.again_ns = r->pause_ns;
		return todo;
	}
	if (refill_is_quiet(r, pool, now)) {
		todo.again_ns = r->quiet_ns;
		return todo;
	}
	due = refill_due(r, pool, now);
	wanted = refill_least(wanted, pool->parallel - now->starting);
	wanted = refill_least(wanted, refill_room(r, pool, now));
	if (wanted > due)
		todo.again_ns = refill_later(r->next_ns, now->now_ns) +
				(due ? refill_interval(r, pool) : 0);
	todo.start = refill_least(wanted, due);
	return todo;
}

void refill_started(struct refill *r, const struct pool_create *pool,
		    uint64_t now_ns)
{
	uint64_t each = refill_interval(r, pool);
	uint64_t burst = each * (pool->parallel - 1);

	/* What an idle pool has saved up, and no more. */
	if (now_ns > burst)
		r->next_ns = refill_later(r->next_ns, now_ns - burst);
	r->next_ns += each;
}

void refill_leased(struct refill *r, uint64_t now_ns)
{
	r->quiet_ns = now_ns + REFILL_QUIET_NS;
}

/* An average in which what is long ago fades. */
static uint64_t refill_mean(uint64_t mean, uint64_t value)
{
	return mean == 0 ? value : mean - mean / 8 + value / 8;
}

void refill_ready(struct refill *r, uint64_t cpu_ns, uint64_t kib)
{
	r->failures = 0;
	r->pause_ns = 0;
	r->cost_ns = refill_mean(r->cost_ns, cpu_ns);
	r->cost_kib = refill_mean(r->cost_kib, kib);
}

void refill_failed(struct refill *r, uint64_t now_ns)
{
	uint64_t pause = REFILL_PAUSE_NS;

	for (unsigned int i = 0; i < r->failures && pause < REFILL_PAUSE_MAX_NS;
	     i++)
		pause *= 2;
	if (pause > REFILL_PAUSE_MAX_NS)
		pause = REFILL_PAUSE_MAX_NS;
	r->failures++;
	r->pause_ns = now_ns + pause;
}
