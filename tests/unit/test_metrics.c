// SPDX-License-Identifier: Apache-2.0
/*
 * test_metrics.c - the registry's lines, and a target that does not read
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metrics.h"
#include "host/stream.h"

struct counters {
	metric_t hits;
	metric_t level;
	struct metric_agg took_agg;
	metric_t after;
};

static const struct metric counter_metrics[] = {
	METRIC(struct counters, hits),
	METRIC_STORE(struct counters, level),
	METRIC_AGG(struct counters, took_agg),
	METRIC(struct counters, after),
};

static const struct metric_group block = {
	"block",
	counter_metrics,
	ARRAY_SIZE(counter_metrics),
};

static const char *const zero_names[] = {"hits", "level", "took_agg", "after",
					 NULL};

/* The next line, parsed; only valid JSON gets here. */
static json_t *line_of(struct metrics *metrics)
{
	struct buf out = {0};
	json_error_t error;
	json_t *json;

	metrics_format(metrics, &out);
	assert_false(out.failed);
	json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s: %.*s", error.text, (int)out.len, out.data);
	buf_free(&out);
	metrics_commit(metrics);
	return json;
}

static json_int_t value(const json_t *line, const char *group, const char *name,
			const char *member)
{
	const json_t *v = json_object_get(json_object_get(line, group), name);

	if (member)
		v = json_object_get(v, member);
	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static void deltas_and_stored_values(void **state)
{
	struct counters c = {0};
	struct metrics m;
	json_t *line;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(metrics_add(&m, &block, NULL, &c), 0);
	metric_add(&c.hits, 3);
	metric_store(&c.level, 7);
	metric_agg_add(&c.took_agg, 20);
	metric_agg_add(&c.took_agg, 5);
	metric_agg_add(&c.took_agg, 9);
	line = line_of(&m);
	assert_int_equal(value(line, "block", "hits", NULL), 3);
	assert_int_equal(value(line, "block", "level", NULL), 7);
	assert_int_equal(value(line, "block", "took_agg", "min_us"), 5);
	assert_int_equal(value(line, "block", "took_agg", "max_us"), 20);
	assert_int_equal(value(line, "block", "took_agg", "sum_us"), 34);
	assert_int_equal(value(line, "block", "after", NULL), 0);
	json_decref(line);
	metric_inc(&c.hits);
	line = line_of(&m);
	assert_int_equal(value(line, "block", "hits", NULL), 1);
	assert_int_equal(value(line, "block", "level", NULL), 7);
	assert_int_equal(value(line, "block", "took_agg", "sum_us"), 0);
	json_decref(line);
	metrics_fini(&m);
}

static void devices_add_up(void **state)
{
	struct counters a = {0}, b = {0};
	struct metrics m;
	json_t *line;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(metrics_declare(&m, "block", zero_names), 0);
	assert_int_equal(metrics_add(&m, &block, "root", &a), 0);
	assert_int_equal(metrics_add(&m, &block, "data", &b), 0);
	metric_add(&a.hits, 2);
	metric_add(&b.hits, 5);
	metric_store(&b.level, 9);
	metric_agg_add(&a.took_agg, 1);
	metric_agg_add(&b.took_agg, 2);
	line = line_of(&m);
	assert_int_equal(value(line, "block_root", "hits", NULL), 2);
	assert_int_equal(value(line, "block_data", "hits", NULL), 5);
	assert_int_equal(value(line, "block_data", "level", NULL), 9);
	assert_int_equal(value(line, "block", "hits", NULL), 7);
	assert_int_equal(value(line, "block", "level", NULL), 0);
	assert_int_equal(value(line, "block", "took_agg", "sum_us"), 3);
	assert_int_equal(value(line, "block", "took_agg", "max_us"), 0);
	json_decref(line);
	metrics_remove(&m, &a);
	line = line_of(&m);
	assert_null(json_object_get(line, "block_root"));
	assert_int_equal(value(line, "block", "hits", NULL), 0);
	json_decref(line);
	metrics_fini(&m);
}

/* The array grows, shrinks and grows; each slot keeps its counters. */
static void many_devices_come_and_go(void **state)
{
	struct counters c[70] = {0};
	struct metrics m;
	char name[16];
	json_t *line;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(metrics_declare_group(&m, &block), 0);
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < 70; i++) {
			snprintf(name, sizeof(name), "d%d", i);
			assert_int_equal(metrics_add(&m, &block, name, &c[i]),
					 0);
			metric_inc(&c[i].hits);
		}
		line = line_of(&m);
		assert_int_equal(value(line, "block", "hits", NULL),
				 70 * (turn + 1));
		assert_int_equal(value(line, "block_d69", "hits", NULL),
				 turn + 1);
		json_decref(line);
		for (int i = 0; i < 70; i++)
			metrics_remove(&m, &c[i]);
	}
	metrics_fini(&m);
}

static void declared_groups_show_zeros(void **state)
{
	struct counters c = {0};
	struct metrics m;
	json_t *line;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(metrics_declare(&m, "block", zero_names), 0);
	line = line_of(&m);
	assert_int_equal(value(line, "block", "hits", NULL), 0);
	assert_int_equal(value(line, "block", "took_agg", "min_us"), 0);
	json_decref(line);
	/* Added, removed (a start that failed), and added again. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(metrics_add(&m, &block, NULL, &c), 0);
		metric_inc(&c.hits);
		line = line_of(&m);
		assert_int_equal(json_object_size(line), 3);
		assert_int_equal(value(line, "block", "hits", NULL), i + 1);
		json_decref(line);
		metrics_remove(&m, &c);
		line = line_of(&m);
		assert_int_equal(value(line, "block", "hits", NULL), 0);
		json_decref(line);
	}
	assert_int_equal(metrics_add(NULL, &block, NULL, &c), 0);
	metrics_remove(NULL, &c);
	metrics_fini(&m);
}

/* The names come from the group: nobody repeats them. */
static void a_group_is_declared_by_itself(void **state)
{
	struct counters c = {0};
	struct metrics m, by_name;
	json_t *line, *same;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(metrics_init(&by_name), 0);
	assert_int_equal(metrics_declare_group(&m, &block), 0);
	assert_int_equal(metrics_declare(&by_name, "block", zero_names), 0);
	for (int i = 0; i < 2; i++) {
		line = line_of(&m);
		same = line_of(&by_name);
		assert_true(json_equal(json_object_get(line, "block"),
				       json_object_get(same, "block")));
		json_decref(line);
		json_decref(same);
		assert_int_equal(metrics_add(&m, &block, NULL, &c), 0);
		metrics_remove(&m, &c);
	}
	metrics_fini(&m);
	metrics_fini(&by_name);
}

/* As api/metrics.c does. */
static int open_to(struct metrics *m, const char *path, const char *extra)
{
	struct sink to;
	int r;

	assert_false(metrics_is_open(m));
	assert_int_equal(
		stream_open(&path_direct, PATH_METRICS, path, &to, NULL), 0);
	r = metrics_open(m, &to, extra);
	assert_int_equal(to.kind, SINK_NONE);
	return r;
}

static void time_stamp_and_extra(void **state)
{
	struct timespec before, after;
	struct metrics m;
	json_int_t ms;
	json_t *line;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(
		open_to(&m, "/dev/null", ",\"id\":\"x\",\"properties\":{}"), 0);
	assert_true(metrics_is_open(&m));
	(void)clock_gettime(CLOCK_REALTIME, &before);
	line = line_of(&m);
	(void)clock_gettime(CLOCK_REALTIME, &after);
	ms = json_integer_value(json_object_get(line, "utc_timestamp_ms"));
	assert_true(ms >= before.tv_sec * 1000 &&
		    ms <= after.tv_sec * 1000 + 999);
	assert_string_equal(json_string_value(json_object_get(line, "id")),
			    "x");
	json_decref(line);
	metrics_fini(&m);
}

/* Lines in @text; each has to be a whole JSON object. */
static int count_lines(char *text, size_t len)
{
	int lines = 0;
	char *p = text;

	text[len] = '\0';
	while (*p) {
		char *end = strchr(p, '\n');
		json_t *json;

		assert_non_null(end);
		json = json_loadb(p, (size_t)(end - p), 0, NULL);
		assert_non_null(json);
		json_decref(json);
		lines++;
		p = end + 1;
	}
	return lines;
}

#define PIPE_BYTES 1048576u

/* A FIFO that nobody reads fills up; what it took are whole lines. */
static void full_fifo(void **state)
{
	char path[] = "/tmp/volt-metrics-XXXXXX";
	char *text = malloc(PIPE_BYTES + 1);
	struct counters many[40] = {0};
	uint64_t missed;
	struct metrics m;
	size_t len = 0;
	char name[8];
	ssize_t n;

	(void)state;
	assert_non_null(text);
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	assert_int_equal(mkfifo("m", 0600), 0);
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(open_to(&m, "m", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		/* Lines that are longer than what a pipe takes at once. */
		(void)snprintf(name, sizeof(name), "d%zu", i);
		assert_int_equal(metrics_add(&m, &block, name, &many[i]), 0);
	}
	for (int i = 0; i < 64; i++)
		metrics_write(&m);
	missed = metric_read(&m.own.missed_metrics_count);
	assert_true(missed > 0 && missed < 64);
	while ((n = read(m.out.fd, text + len, PIPE_BYTES - len)) > 0)
		len += (size_t)n;
	metrics_write(&m); /* first the rest of the line that was begun */
	while ((n = read(m.out.fd, text + len, PIPE_BYTES - len)) > 0)
		len += (size_t)n;
	assert_int_equal(count_lines(text, len) + (int)missed, 65);
	assert_int_equal(metric_read(&m.own.metrics_fails), 0);
	metrics_fini(&m);
	assert_int_equal(unlink("m"), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(path), 0);
	free(text);
}

/* What a lost line would have told is in the next. */
static void lost_lines_lose_no_counts(void **state)
{
	struct counters c = {0};
	struct metrics m;
	json_t *line;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(metrics_add(&m, &block, NULL, &c), 0);
	assert_int_equal(open_to(&m, "/dev/full", NULL), 0);
	metric_add(&c.hits, 2);
	metrics_write(&m);
	metric_add(&c.hits, 3);
	line = line_of(&m);
	assert_int_equal(value(line, "block", "hits", NULL), 5);
	assert_int_equal(value(line, "logger", "missed_metrics_count", NULL),
			 1);
	json_decref(line);
	metrics_fini(&m);
}

static void failing_target_is_counted(void **state)
{
	struct metrics m;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	metrics_write(&m); /* none yet: nothing happens */
	assert_int_equal(open_to(&m, "/dev/full", NULL), 0);
	metrics_write(&m);
	assert_int_equal(metric_read(&m.own.metrics_fails), 1);
	assert_int_equal(metric_read(&m.own.missed_metrics_count), 1);
	metrics_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deltas_and_stored_values),
		cmocka_unit_test(devices_add_up),
		cmocka_unit_test(many_devices_come_and_go),
		cmocka_unit_test(declared_groups_show_zeros),
		cmocka_unit_test(a_group_is_declared_by_itself),
		cmocka_unit_test(time_stamp_and_extra),
		cmocka_unit_test(full_fifo),
		cmocka_unit_test(lost_lines_lose_no_counts),
		cmocka_unit_test(failing_target_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
