// SPDX-License-Identifier: Apache-2.0
/*
 * pool_metrics.c - what is counted, in two forms (pool.h)
 *
 * Firecracker's: a line of JSON with a group for each pool. OpenMetrics: the
 * text format 1.0, a family after the other, each with a line for each pool.
 *
 * https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
 */
#include "pool/pool.h"

#include "pool/proc.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/**
 * struct metrics_row - a value that is a number of a pool's
 * @name:	in both forms
 * @counter:	it only grows
 */
struct metrics_row {
	const char *name;
	const char *help;
	bool counter;
	uint64_t (*of)(const struct pool *pool);
};

#define METRICS_OF(name_, expression_)                           \
	static uint64_t metrics_##name_(const struct pool *pool) \
	{                                                        \
		return expression_;                              \
	}
METRICS_OF(size, pool->made.create.size)
METRICS_OF(waiting, pool->nr_queue)
METRICS_OF(private_kib, pool->private_kib)
METRICS_OF(shared_kib, pool->shared_kib)
METRICS_OF(clone_kib, pool->refill.cost_kib)
METRICS_OF(clone_cpu_us, pool->refill.cost_ns / 1000)
METRICS_OF(refused_full, pool->counts.refused_full)
METRICS_OF(timeouts, pool->counts.timeouts)
METRICS_OF(failed, pool->counts.failed)
METRICS_OF(started, pool->counts.started)
METRICS_OF(start_failures, pool->counts.start_failures)
METRICS_OF(died, pool->counts.died)
METRICS_OF(dropped, pool->counts.ended)

static const struct metrics_row metrics_rows[] = {
	{"size", "Members that are to be ready", false, metrics_size},
	{"waiting", "Leases in the queue", false, metrics_waiting},
	{"private_kib", "Private memory of all members, KiB", false,
	 metrics_private_kib},
	{"shared_kib", "Memory that members share, each counted, KiB", false,
	 metrics_shared_kib},
	{"clone_kib", "Private memory of one more member, KiB", false,
	 metrics_clone_kib},
	{"clone_cpu_us", "CPU time of one more member's start, us", false,
	 metrics_clone_cpu_us},
	{"refused_full", "Leases refused because the queue was full", true,
	 metrics_refused_full},
	{"timeouts", "Leases for which no member was free in time", true,
	 metrics_timeouts},
	{"failed", "Leases whose VM was destroyed instead", true,
	 metrics_failed},
	{"started", "Members started", true, metrics_started},
	{"start_failures", "Starts that failed", true, metrics_start_failures},
	{"died", "Ready members that ended by themselves", true, metrics_died},
	{"dropped", "Ready members that were ended for size or memory", true,
	 metrics_dropped},
};

static const enum pool_state metrics_states[] = {
	POOL_STARTING, POOL_READY, POOL_LEASING, POOL_LEASED, POOL_ENDING,
};

/* ---- JSON ---- */

static void metrics_json_latency(const struct pool_counts *c, struct buf *out)
{
	uint64_t sum = 0;

	buf_add_str(out, ",\"lease_us\":{");
	for (size_t i = 0; i < POOL_BUCKETS; i++) {
		sum += c->bucket[i];
		if (i < ARRAY_SIZE(pool_bucket_us))
			buf_addf(out, "\"le_%u\":", pool_bucket_us[i]);
		else
			buf_add_str(out, "\"count\":");
		buf_addf(out, "%llu,", (unsigned long long)sum);
	}
	buf_addf(out, "\"sum\":%llu}", (unsigned long long)c->lease_us);
}

static void metrics_json_pool(const struct pool *pool, struct buf *out)
{
	buf_addf(out, ",\"pool_%s\":{\"owner\":%u", pool->made.create.pool,
		 pool->made.owner);
	for (size_t i = 0; i < ARRAY_SIZE(metrics_states); i++)
		buf_addf(out, ",\"%s\":%u", pool_state_name(metrics_states[i]),
			 pool->nr[metrics_states[i]]);
	for (size_t i = 0; i < ARRAY_SIZE(metrics_rows); i++)
		buf_addf(out, ",\"%s\":%llu", metrics_rows[i].name,
			 (unsigned long long)metrics_rows[i].of(pool));
	metrics_json_latency(&pool->counts, out);
	buf_add_str(out, "}");
}

/* ---- OpenMetrics ---- */

static void metrics_label(const struct pool *pool, struct buf *out)
{
	/* A pool's name needs no escape. */
	buf_addf(out, "{pool=\"%s\",owner=\"%u\"", pool->made.create.pool,
		 pool->made.owner);
}

static void metrics_open_states(const struct pool *pool, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(metrics_states); i++) {
		buf_add_str(out, "volt_pool_members");
		metrics_label(pool, out);
		buf_addf(out, ",state=\"%s\"} %u\n",
			 pool_state_name(metrics_states[i]),
			 pool->nr[metrics_states[i]]);
	}
}

static void metrics_open_latency(const struct pool *pool, struct buf *out)
{
	const struct pool_counts *c = &pool->counts;
	uint64_t sum = 0;

	for (size_t i = 0; i < POOL_BUCKETS; i++) {
		sum += c->bucket[i];
		buf_add_str(out, "volt_pool_lease_seconds_bucket");
		metrics_label(pool, out);
		if (i < ARRAY_SIZE(pool_bucket_us))
			buf_addf(out, ",le=\"%u.%06u\"} ",
				 pool_bucket_us[i] / 1000000,
				 pool_bucket_us[i] % 1000000);
		else
			buf_add_str(out, ",le=\"+Inf\"} ");
		buf_addf(out, "%llu\n", (unsigned long long)sum);
	}
	buf_add_str(out, "volt_pool_lease_seconds_count");
	metrics_label(pool, out);
	buf_addf(out, "} %llu\nvolt_pool_lease_seconds_sum",
		 (unsigned long long)sum);
	metrics_label(pool, out);
	buf_addf(out, "} %llu.%06llu\n",
		 (unsigned long long)(c->lease_us / 1000000),
		 (unsigned long long)(c->lease_us % 1000000));
}

static void metrics_open_row(const struct pool *pool,
			     const struct metrics_row *row, struct buf *out)
{
	buf_addf(out, "volt_pool_%s%s", row->name,
		 row->counter ? "_total" : "");
	metrics_label(pool, out);
	buf_addf(out, "} %llu\n", (unsigned long long)row->of(pool));
}

static void metrics_family(struct buf *out, const char *name, const char *type,
			   const char *help)
{
	buf_addf(out, "# TYPE volt_pool_%s %s\n# HELP volt_pool_%s %s\n", name,
		 type, name, help);
}

/* ---- all ---- */

/* The next that @uid may see, behind @at; NULL: there is none. */
static struct pool *metrics_next(struct pool_daemon *d, uid_t uid,
				 struct list *at)
{
	for (at = at->next; at != &d->pools; at = at->next) {
		struct pool *pool = container_of(at, struct pool, link);

		if (!pool->removed && pool_is_seen_by(pool, uid))
			return pool;
	}
	return NULL;
}

#define METRICS_EACH(pool_)                                                    \
	for (struct pool * (pool_) = metrics_next(d, uid, &d->pools); (pool_); \
	     (pool_) = metrics_next(d, uid, &(pool_)->link))

static void metrics_json(struct pool_daemon *d, uid_t uid, struct buf *out)
{
	struct timespec ts;
	uint64_t own = 0, shared = 0;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	proc_memory(getpid(), &own, &shared);
	buf_addf(out,
		 "{\"utc_timestamp_ms\":%llu,\"daemon\":{\"private_kib\":%llu,"
		 "\"shared_kib\":%llu,\"pressure\":%u}",
		 (unsigned long long)ts.tv_sec * 1000 +
			 (unsigned long long)ts.tv_nsec / 1000000,
		 (unsigned long long)own, (unsigned long long)shared,
		 d->pressure);
	METRICS_EACH(pool)
	metrics_json_pool(pool, out);
	buf_add_str(out, "}\n");
}

static void metrics_open(struct pool_daemon *d, uid_t uid, struct buf *out)
{
	metrics_family(out, "members", "gauge", "Members by state");
	METRICS_EACH(pool)
	metrics_open_states(pool, out);
	for (size_t i = 0; i < ARRAY_SIZE(metrics_rows); i++) {
		const struct metrics_row *row = &metrics_rows[i];

		metrics_family(out, row->name,
			       row->counter ? "counter" : "gauge", row->help);
		METRICS_EACH(pool)
		metrics_open_row(pool, row, out);
	}
	metrics_family(out, "lease_seconds", "histogram",
		       "From a lease's request to its answer");
	METRICS_EACH(pool)
	metrics_open_latency(pool, out);
	buf_add_str(out, "# EOF\n");
}

void pool_metrics(struct pool_daemon *d, uid_t uid, enum pool_format format,
		  struct buf *out)
{
	if (format == POOL_JSON)
		metrics_json(d, uid, out);
	else
		metrics_open(d, uid, out);
}
