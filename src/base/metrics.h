/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - named counters, and the writer that puts them into a file
 *
 * Theory of operation
 *
 * Whoever has something to count keeps `metric_t` counters in a struct of its
 * own, describes them with one const table (struct metric_group) and adds both
 * to the registry. Counting is one relaxed atomic add, from any thread; nothing
 * else is shared, so no lock exists. The VMM thread owns the registry: it adds
 * and removes groups and writes lines.
 *
 * A line is one JSON object with every group, in the order in which the groups
 * were declared. A counter of kind DELTA shows what was added since the last
 * line that got through, a STORED one its present value. A group that is
 * declared but that nobody has added shows zeros: readers find every group in
 * every line.
 *
 * Groups with a suffix are one device each ("block_rootfs"); their group
 * ("block") then shows the sums of their deltas.
 *
 * The target never blocks. A FIFO that is full takes part of a line or nothing:
 * the rest is kept and goes first the next time, so no line is ever torn; the
 * lines that find no room in between are lost and counted, but what they would
 * have told is in the next one.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/sink.h"

#include <stdatomic.h>

typedef _Atomic uint64_t metric_t;

/* Minimum, maximum and sum of a duration; see METRIC_AGG. */
struct metric_agg {
	metric_t min_us;
	metric_t max_us;
	metric_t sum_us;
};

enum metric_kind {
	METRIC_DELTA,
	METRIC_STORED,
};

/**
 * struct metric - one counter of a group
 * @name:	"x", or "x.y" for member y of an object x; members follow each
 *		other in the table
 * @offset:	of the metric_t in the owner's struct
 */
struct metric {
	const char *name;
	size_t offset;
	enum metric_kind kind;
};

#define METRIC(type, member) {#member, offsetof(type, member), METRIC_DELTA}
#define METRIC_STORE(type, member) \
	{#member, offsetof(type, member), METRIC_STORED}
#define METRIC_AGG(type, member)                                               \
	{#member ".min_us", offsetof(type, member.min_us), METRIC_STORED},     \
		{#member ".max_us", offsetof(type, member.max_us),             \
		 METRIC_STORED},                                               \
	{                                                                      \
		#member ".sum_us", offsetof(type, member.sum_us), METRIC_DELTA \
	}

struct metric_group {
	const char *name;
	const struct metric *metrics;
	size_t nr;
};

struct metrics_slot;

/**
 * struct metrics_counters - the registry's own group, `logger`
 * @missed_metrics_count:	lines lost
 * @metrics_fails:		writes that failed for another reason than a
 *				full target
 * @missed_log_count:		log_dropped()
 */
struct metrics_counters {
	metric_t missed_metrics_count;
	metric_t metrics_fails;
	metric_t missed_log_count;
};

/**
 * struct metrics - the registry and its target
 * @out:	closed until metrics_open()
 * @extra:	JSON members that follow the time stamp, each with a comma
 *		behind it
 * @line:	the line being written; keeps its memory
 * @pending:	rest of a line that the target did not take yet
 */
struct metrics {
	struct sink out;
	char *extra;
	struct metrics_slot *slots;
	size_t nr_slots;
	struct buf line;
	struct buf pending;
	struct metrics_counters own;
};

static inline void metric_add(metric_t *metric, uint64_t n)
{
	atomic_fetch_add_explicit(metric, n, memory_order_relaxed);
}

static inline void metric_inc(metric_t *metric)
{
	metric_add(metric, 1);
}

static inline void metric_store(metric_t *metric, uint64_t value)
{
	atomic_store_explicit(metric, value, memory_order_relaxed);
}

static inline uint64_t metric_read(const metric_t *metric)
{
	return atomic_load_explicit(metric, memory_order_relaxed);
}

/* One duration more. Concurrent callers may lose a minimum or maximum. */
void metric_agg_add(struct metric_agg *agg, uint64_t us);

/* Adds the `logger` group of the registry itself. Return: 0 or -ENOMEM;
 * metrics_fini() in any case. */
int metrics_init(struct metrics *metrics) __must_check;
void metrics_fini(struct metrics *metrics);

/**
 * metrics_declare_group() - reserve a place for @group, and show zeros until
 * somebody adds it
 *
 * Return: 0 or -ENOMEM.
 */
int metrics_declare_group(struct metrics *metrics,
			  const struct metric_group *group) __must_check;

/**
 * metrics_declare() - the same for a group that nobody has yet
 * @names:	NULL-terminated; "x_agg" is an object of minimum, maximum and
 *		sum. NULL: only its place
 *
 * Return: 0 or -ENOMEM.
 */
int metrics_declare(struct metrics *metrics, const char *group,
		    const char *const *names) __must_check;

/**
 * metrics_add() - show the counters of @group from now on
 * @suffix:	device id, or NULL for the one and only instance
 * @counters:	the struct that the group's offsets count from; stays where it
 *		is until metrics_remove()
 *
 * @metrics may be NULL: then nothing is registered. Return: 0 or -ENOMEM.
 */
int metrics_add(struct metrics *metrics, const struct metric_group *group,
		const char *suffix, const void *counters) __must_check;

/* Forget @counters; a declared group shows zeros again. NULL is allowed. */
void metrics_remove(struct metrics *metrics, const void *counters);

/* Is there a target already? */
static inline bool metrics_is_open(const struct metrics *metrics)
{
	return metrics->out.kind != SINK_NONE;
}

/**
 * metrics_open() - where the lines go; once
 * @to:		taken over, and closed, on success
 * @extra:	copied; see struct metrics. May be NULL.
 *
 * Return: 0 or -ENOMEM.
 */
int metrics_open(struct metrics *metrics, struct sink *to,
		 const char *extra) __must_check;

/* Write one line now; without a target nothing happens. */
void metrics_write(struct metrics *metrics);

/* The line that metrics_write() would write now, without its newline. */
void metrics_format(struct metrics *metrics, struct buf *out);

/* The line of the last metrics_format() got through: count from there on. */
void metrics_commit(struct metrics *metrics);
