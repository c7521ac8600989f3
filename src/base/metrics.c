// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.c - named counters and their writer (theory of operation: metrics.h)
 */
#include "base/metrics.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/**
 * struct metrics_slot - one group, or one device of a group
 * @name:	"block"; owned
 * @suffix:	"rootfs" for a device, else NULL; owned
 * @zeros:	of a group that was declared by the names of its counters; they
 *		are shown as zeros while nobody adds it
 * @empty:	the same, where the group itself was declared
 * @group:	NULL while the group is only declared
 * @last:	what each counter was at the last line that got through; owned
 * @delta:	what each counter shows in this line; same allocation as @last
 */
struct metrics_slot {
	char *name;
	char *suffix;
	const char *const *zeros;
	const struct metric_group *empty;
	const struct metric_group *group;
	const void *counters;
	uint64_t *last;
	uint64_t *delta;
};

/* What the array of slots grows by; it has a whole number of steps. */
#define SLOTS_STEP 32

static const struct metric own_metrics[] = {
	METRIC(struct metrics_counters, missed_metrics_count),
	METRIC(struct metrics_counters, metrics_fails),
	METRIC(struct metrics_counters, missed_log_count),
};

static const struct metric_group own_group = {
	.name = "logger",
	.metrics = own_metrics,
	.nr = ARRAY_SIZE(own_metrics),
};

void metric_agg_add(struct metric_agg *agg, uint64_t us)
{
	uint64_t min = metric_read(&agg->min_us);

	metric_add(&agg->sum_us, us);
	if (min == 0 || us < min)
		metric_store(&agg->min_us, us);
	if (us > metric_read(&agg->max_us))
		metric_store(&agg->max_us, us);
}

int metrics_init(struct metrics *metrics)
{
	memset(metrics, 0, sizeof(*metrics));
	return metrics_add(metrics, &own_group, NULL, &metrics->own);
}

static void metrics_slot_free(struct metrics_slot *slot)
{
	free(slot->name);
	free(slot->suffix);
	free(slot->last);
}

void metrics_fini(struct metrics *metrics)
{
	/* The rest of a line that was begun. */
	sink_write_last(&metrics->out, metrics->pending.data,
			metrics->pending.len);
	for (size_t i = 0; i < metrics->nr_slots; i++)
		metrics_slot_free(&metrics->slots[i]);
	free(metrics->slots);
	free(metrics->extra);
	buf_free(&metrics->line);
	buf_free(&metrics->pending);
	sink_close(&metrics->out);
	memset(metrics, 0, sizeof(*metrics));
}

/* The slot of the group itself, not one of its devices. */
static struct metrics_slot *metrics_find(struct metrics *metrics,
					 const char *name)
{
	for (size_t i = 0; i < metrics->nr_slots; i++) {
		struct metrics_slot *slot = &metrics->slots[i];

		if (!slot->suffix && strcmp(slot->name, name) == 0)
			return slot;
	}
	return NULL;
}

/* A new slot at @at; -ENOMEM leaves the registry as it was. */
static int metrics_insert(struct metrics *metrics, size_t at, const char *name,
			  const char *suffix)
{
	struct metrics_slot slot = {.name = strdup(name)};
	struct metrics_slot *slots = metrics->slots;

	slot.suffix = suffix ? strdup(suffix) : NULL;
	if (metrics->nr_slots % SLOTS_STEP == 0)
		slots = reallocarray(slots, metrics->nr_slots + SLOTS_STEP,
				     sizeof(*slots));
	if (slots)
		metrics->slots = slots;
	if (!slots || !slot.name || (suffix && !slot.suffix)) {
		metrics_slot_free(&slot);
		return -ENOMEM;
	}
	memmove(&slots[at + 1], &slots[at],
		(metrics->nr_slots - at) * sizeof(*slots));
	slots[at] = slot;
	metrics->nr_slots++;
	return 0;
}

/* Return: the slot of a group that is there, if only for its place; or NULL. */
static struct metrics_slot *metrics_reserve(struct metrics *metrics,
					    const char *group)
{
	struct metrics_slot *slot = metrics_find(metrics, group);

	if (slot)
		return slot;
	if (metrics_insert(metrics, metrics->nr_slots, group, NULL) < 0)
		return NULL;
	return &metrics->slots[metrics->nr_slots - 1];
}

int metrics_declare(struct metrics *metrics, const char *group,
		    const char *const *names)
{
	struct metrics_slot *slot = metrics_reserve(metrics, group);

	if (!slot)
		return -ENOMEM;
	slot->zeros = names;
	return 0;
}

int metrics_declare_group(struct metrics *metrics,
			  const struct metric_group *group)
{
	struct metrics_slot *slot = metrics_reserve(metrics, group->name);

	if (!slot)
		return -ENOMEM;
	slot->empty = group;
	return 0;
}

int metrics_add(struct metrics *metrics, const struct metric_group *group,
		const char *suffix, const void *counters)
{
	struct metrics_slot *slot;
	uint64_t *last;
	size_t at;
	int r;

	if (!metrics)
		return 0;
	last = calloc(2 * group->nr, sizeof(*last));
	if (!last)
		return -ENOMEM;
	slot = metrics_find(metrics, group->name);
	at = slot ? (size_t)(slot - metrics->slots) : metrics->nr_slots;
	if (!slot || suffix) {
		/* A device comes before the sums of its group. */
		r = metrics_insert(metrics, at, group->name, suffix);
		if (r < 0) {
			free(last);
			return r;
		}
	}
	slot = &metrics->slots[at];
	free(slot->last);
	slot->group = group;
	slot->counters = counters;
	slot->last = last;
	slot->delta = last + group->nr;
	return 0;
}

void metrics_remove(struct metrics *metrics, const void *counters)
{
	size_t i = 0;

	while (metrics && counters && i < metrics->nr_slots) {
		struct metrics_slot *slot = &metrics->slots[i];

		if (slot->counters != counters) {
			i++;
		} else if (slot->zeros || slot->empty) {
			free(slot->last);
			slot->last = slot->delta = NULL;
			slot->group = NULL;
			slot->counters = NULL;
			i++;
		} else {
			metrics_slot_free(slot);
			metrics->nr_slots--;
			memmove(slot, slot + 1,
				(metrics->nr_slots - i) * sizeof(*slot));
		}
	}
}

int metrics_open(struct metrics *metrics, struct sink *to, const char *extra)
{
	char *copy = extra ? strdup(extra) : NULL;

	if (extra && !copy)
		return -ENOMEM;
	metrics->out = *to;
	*to = SINK_CLOSED;
	metrics->extra = copy;
	return 0;
}

static void metrics_take_values(struct metrics_slot *slot)
{
	for (size_t i = 0; i < slot->group->nr; i++) {
		const struct metric *m = &slot->group->metrics[i];
		const char *base = slot->counters;
		uint64_t now = metric_read(
			(const metric_t *)(const void *)(base + m->offset));

		slot->delta[i] =
			m->kind == METRIC_DELTA ? now - slot->last[i] : now;
	}
}

void metrics_commit(struct metrics *metrics)
{
	for (size_t k = 0; k < metrics->nr_slots; k++) {
		struct metrics_slot *slot = &metrics->slots[k];

		for (size_t i = 0; slot->group && i < slot->group->nr; i++)
			if (slot->group->metrics[i].kind == METRIC_DELTA)
				slot->last[i] += slot->delta[i];
	}
}

static uint64_t metrics_value_of(const struct metrics_slot *slot, size_t i)
{
	return slot->group ? slot->delta[i] : 0;
}

/* Length of the object's name in "object.member", 0 without one. */
static size_t object_len(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? (size_t)(dot - name) : 0;
}

/*
 * One counter. Consecutive members of one object share its braces: @prev and
 * @next are the names around it, NULL at the ends.
 */
static void add_value(struct buf *out, const char *prev, const char *name,
		      const char *next, uint64_t value)
{
	size_t len = object_len(name);
	bool opens = len > 0 && !(prev && object_len(prev) == len &&
				  strncmp(prev, name, len) == 0);
	bool closes = len > 0 && !(next && object_len(next) == len &&
				   strncmp(next, name, len) == 0);

	if (prev)
		buf_add(out, ",", 1);
	if (opens)
		buf_addf(out, "\"%.*s\":{", (int)len, name);
	buf_addf(out, "\"%s\":%llu", len > 0 ? name + len + 1 : name,
		 (unsigned long long)value);
	if (closes)
		buf_add(out, "}", 1);
}

static bool ends_with_agg(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, "_agg") == 0;
}

static void add_zeros(struct buf *out, const char *const *names)
{
	for (size_t i = 0; names[i]; i++)
		buf_addf(out,
			 ends_with_agg(names[i])
				 ? "%s\"%s\":{\"min_us\":0,\"max_us\":0,"
				   "\"sum_us\":0}"
				 : "%s\"%s\":0",
			 i > 0 ? "," : "", names[i]);
}

/* The next device of the group @name from @i on, or the number of slots. */
static size_t next_device(const struct metrics *metrics, size_t i,
			  const char *name)
{
	while (i < metrics->nr_slots &&
	       !(metrics->slots[i].suffix &&
		 strcmp(metrics->slots[i].name, name) == 0))
		i++;
	return i;
}

static void add_sums(const struct metrics *metrics, struct buf *out,
		     const struct metric_group *group)
{
	for (size_t m = 0; m < group->nr; m++) {
		const struct metric *metric = &group->metrics[m];
		uint64_t sum = 0;
		size_t i = next_device(metrics, 0, group->name);

		while (metric->kind == METRIC_DELTA && i < metrics->nr_slots) {
			sum += metrics_value_of(&metrics->slots[i], m);
			i = next_device(metrics, i + 1, group->name);
		}
		add_value(out, m > 0 ? metric[-1].name : NULL, metric->name,
			  m + 1 < group->nr ? metric[1].name : NULL, sum);
	}
}

/* The group's own counters; zeros while nobody has added it. */
static void add_group(struct buf *out, const struct metrics_slot *slot,
		      const struct metric_group *group)
{
	const struct metric *m = group->metrics;

	for (size_t i = 0; i < group->nr; i++)
		add_value(out, i > 0 ? m[i - 1].name : NULL, m[i].name,
			  i + 1 < group->nr ? m[i + 1].name : NULL,
			  metrics_value_of(slot, i));
}

static void add_slot(const struct metrics *metrics, struct buf *out,
		     const struct metrics_slot *slot)
{
	size_t device = next_device(metrics, 0, slot->name);

	buf_addf(out, ",\"%s%s%s\":{", slot->name, slot->suffix ? "_" : "",
		 slot->suffix ? slot->suffix : "");
	if (slot->group)
		add_group(out, slot, slot->group);
	else if (device < metrics->nr_slots)
		add_sums(metrics, out, metrics->slots[device].group);
	else if (slot->empty)
		add_group(out, slot, slot->empty);
	else if (slot->zeros)
		add_zeros(out, slot->zeros);
	buf_add(out, "}", 1);
}

void metrics_format(struct metrics *metrics, struct buf *out)
{
	struct timespec ts;

	metric_store(&metrics->own.missed_log_count, log_dropped());
	for (size_t i = 0; i < metrics->nr_slots; i++)
		if (metrics->slots[i].group)
			metrics_take_values(&metrics->slots[i]);
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	buf_addf(out, "{\"utc_timestamp_ms\":%lld",
		 (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
	if (metrics->extra)
		buf_add_str(out, metrics->extra);
	for (size_t i = 0; i < metrics->nr_slots; i++)
		add_slot(metrics, out, &metrics->slots[i]);
	buf_add(out, "}", 1);
}

/* Write what the target takes of @buf, and drop that from it. */
static int metrics_drain(struct metrics *metrics, struct buf *buf)
{
	while (buf->len > 0) {
		ssize_t n = sink_write(&metrics->out, buf->data, buf->len);

		if (n < 0)
			return (int)n;
		buf->len -= (size_t)n;
		memmove(buf->data, buf->data + n, buf->len);
	}
	return 0;
}

void metrics_write(struct metrics *metrics)
{
	struct buf *line = &metrics->line;
	size_t whole;
	int r;

	/* Once a minute is soon enough for lines that found no room. */
	log_flush();
	if (metrics->out.kind == SINK_NONE)
		return;
	r = metrics_drain(metrics, &metrics->pending);
	buf_clear(line);
	metrics_format(metrics, line);
	buf_add(line, "\n", 1);
	whole = line->len;
	if (r == 0 && !line->failed)
		r = metrics_drain(metrics, line);
	if (line->failed)
		r = -ENOMEM;
	if (r == 0 || (line->len < whole && r == -EAGAIN)) {
		metrics_commit(metrics);
		/* A line that was begun: the rest goes first the next time. */
		buf_add(&metrics->pending, line->data, line->len);
		return;
	}
	if (r != -EAGAIN)
		metric_inc(&metrics->own.metrics_fails);
	metric_inc(&metrics->own.missed_metrics_count);
}
