// SPDX-License-Identifier: Apache-2.0
/*
 * test_pool.c - what of volt-pool is pure: requests, steps, refill, records
 */
#include "unit.h"

#include "folder.h"
#include "pool/call.h"
#include "pool/group.h"
#include "pool/record.h"
#include "pool/refill.h"
#include "pool/request.h"
#include "pool/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define S_NS 1000000000ull

/* ---- requests ---- */

static enum pool_code code_of(const char *text)
{
	struct pool_request q;
	enum pool_code code;
	struct err err;
	int r = request_parse(&q, text, strlen(text), &code, &err);

	schema_free(&pool_request_schema, &q);
	if (r < 0)
		assert_true(strlen(err.text) > 0);
	return r == 0 ? POOL_CODE_UNSET : code;
}

#define CREATE(more) \
	"{\"v\":1,\"create\":{\"pool\":\"p\",\"kind\":\"clone\"," more "}}"
#define LEASE(more) "{\"v\":1,\"lease\":{\"pool\":\"p\"," more "}}"

static void requests(void **state)
{
	static const char *const good[] = {
		CREATE("\"snapshot\":\"/s\""),
		CREATE("\"snapshot\":\"/s\",\"memory\":\"/m\",\"size\":4096,"
		       "\"vmm\":[\"--sandbox\",\"strict\"]"),
		LEASE("\"name\":\"a-1\",\"cgroup\":\"/x\",\"limits\":{}"),
		LEASE("\"drives\":[{\"id\":\"d\",\"path\":\"/p\"},"
		      "{\"id\":\"e\",\"overlay\":\"/o\"}]"),
		LEASE("\"networks\":[{\"id\":\"n\",\"mac\":\"06::\"}]"),
		"{\"v\":1,\"resize\":{\"pool\":\"p\",\"size\":0}}",
		"{\"v\":1,\"ls\":{\"members\":true,\"after\":\"x\"}}",
		"{\"v\":1,\"wait\":{\"name\":\"x\"}}",
		"{\"v\":1,\"metrics\":{\"format\":\"openmetrics\"}}",
	};
	static const char *const bad[] = {
		"{\"v\":1}",
		"{\"v\":1,\"ls\":{},\"rm\":{\"pool\":\"p\"}}",
		CREATE("\"size\":1"),
		CREATE("\"snapshot\":\"s\""),
		CREATE("\"snapshot\":\"/s\",\"size\":4097"),
		CREATE("\"snapshot\":\"/s\",\"queue\":5000"),
		CREATE("\"snapshot\":\"/s\",\"memory_mib\":17592186044416"),
		CREATE("\"snapshot\":\"/s\",\"vmm\":[\"--api-sock=/x\"]"),
		CREATE("\"snapshot\":\"/s\",\"vmm\":[\"--id\",\"x\"]"),
		CREATE("\"memory\":\"/s\""),
		LEASE("\"name\":\"\""),
		LEASE("\"name\":\"a/b\""),
		LEASE("\"name\":\"-a\""),
		LEASE("\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		      "aaaaa\""),
		LEASE("\"drives\":[{\"id\":\"d\"}]"),
		LEASE("\"drives\":[{\"id\":\"../vm\",\"path\":\"/p\"}]"),
		LEASE("\"drives\":[{\"id\":\"d\",\"path\":\"p\"}]"),
		LEASE("\"networks\":[{\"id\":\"n\"}]"),
		LEASE("\"drives\":[{\"id\":\"d\",\"rate_limiter\":{"
		      "\"ops\":{\"size\":1}}}]"),
		LEASE("\"networks\":[{\"id\":\"n\",\"rx_rate_limiter\":{"
		      "\"size\":1,\"refill_time\":1}}]"),
		LEASE("\"vsock\":\"v\""),
		LEASE("\"memory\":\"/m\""),
		LEASE("\"cgroup\":\"x\""),
		LEASE("\"keep_cgroup\":true,\"cgroup\":\"/x\""),
		LEASE("\"keep_cgroup\":true,\"limits\":{}"),
		"{\"v\":1,\"ls\":{\"after\":\"x\"},\"pool\":1}",
		"{\"v\":1,\"drain\":{\"pool\":\"p q\"}}",
		"{\"v\":1,\"resize\":{\"pool\":\"p\",\"size\":4097}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(code_of(good[i]), POOL_CODE_UNSET);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(code_of(bad[i]), POOL_BAD);
	assert_int_equal(code_of("{\"v\":2,\"ls\":{}}"), POOL_VERSION);
}

static void long_path(void **state)
{
	cleanup_buf struct buf text = {0};

	(void)state;
	buf_add_str(&text, "{\"v\":1,\"lease\":{\"pool\":\"p\",\"vsock\":\"");
	for (int i = 0; i <= REQUEST_PATH_MAX; i++)
		buf_add_str(&text, "/");
	buf_add(&text, "\"}}", 4);
	assert_int_equal(code_of(text.data), POOL_BAD);
}

/* A refusal goes to who asked. */
static void tag_of_a_refusal(void **state)
{
	static const char text[] = "{\"v\":1,\"tag\":9,\"rm\":{\"pool\":\"\"}}";
	struct pool_request q;
	enum pool_code code;
	struct err err;

	(void)state;
	assert_int_equal(request_parse(&q, text, strlen(text), &code, &err),
			 -EINVAL);
	assert_int_equal(q.tag, 9);
	schema_free(&pool_request_schema, &q);
}

/* ---- steps ---- */

static char *words(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	return copy;
}

static void step_is(const struct pool_create *pool,
		    const struct pool_lease_ask *ask, size_t n,
		    const char *method, const char *target, const char *body)
{
	struct steps_call call = {0};

	assert_true(steps_nth(&call, pool, ask, n));
	assert_string_equal(call.method, method);
	assert_int_equal(call.target.len, strlen(target));
	assert_memory_equal(call.target.data, target, call.target.len);
	assert_int_equal(call.body.len, strlen(body));
	assert_memory_equal(call.body.data, body, call.body.len);
	steps_call_free(&call);
}

static struct pool_lease_ask full_ask(void)
{
	struct pool_lease_ask ask = {
		.name = words("web"),
		.vsock = words("/v"),
		.has_cid = true,
		.cid = 17,
	};
	struct pool_drive *d = calloc(2, sizeof(*d));
	struct pool_net *n = calloc(1, sizeof(*n));

	assert_non_null(d);
	assert_non_null(n);
	d[0] = (struct pool_drive){.id = words("d"), .overlay = words("/\"o")};
	d[1] = (struct pool_drive){
		.id = words("e"),
		.path = words("/p"),
		.has_limiter = true,
		.rate_limiter = {.has_bandwidth = true,
				 .bandwidth = {.size = 5, .refill_time = 9}},
	};
	*n = (struct pool_net){.id = words("n"),
			       .tap = words("t0"),
			       .mac = words("06:00:00:00:00:01"),
			       .has_rx = true,
			       .has_tx = true,
			       .tx_rate_limiter = {.has_ops = true,
						   .ops = {.size = 1,
							   .has_burst = true,
							   .one_time_burst = 2,
							   .refill_time = 3}}};
	ask.drives = (struct schema_list){2, d};
	ask.networks = (struct schema_list){1, n};
	return ask;
}

static void free_ask(const struct pool_lease_ask *ask)
{
	struct pool_request q = {.lease = *ask};

	schema_free(&pool_request_schema, &q);
}

static void steps_of_a_clone(void **state)
{
	const struct pool_create pool = {.kind = POOL_CLONE};
	const struct pool_lease_ask plain = {0}, paused = {.paused = true};
	struct pool_lease_ask ask = full_ask();
	struct steps_call call = {0};

	(void)state;
	step_is(&pool, &ask, 0, "PUT", "/volt/lease",
		"{\"id\":\"web\",\"drives\":[{\"drive_id\":\"d\",\"overlay\":"
		"\"/\\\"o\"},{\"drive_id\":\"e\",\"path_on_host\":\"/p\","
		"\"rate_limiter\":{\"bandwidth\":{\"size\":5,"
		"\"refill_time\":9}}}],"
		"\"network_interfaces\":[{\"iface_id\":\"n\",\"host_dev_name\":"
		"\"t0\",\"guest_mac\":\"06:00:00:00:00:01\","
		"\"rx_rate_limiter\":{},\"tx_rate_limiter\":{\"ops\":{"
		"\"size\":1,\"one_time_burst\":2,\"refill_time\":3}}}],\"vsock\":{"
		"\"uds_path\":\"/v\",\"guest_cid\":17},\"resume_vm\":true}");
	assert_false(steps_nth(&call, &pool, &ask, 1));
	free_ask(&ask);
	step_is(&pool, &plain, 0, "PUT", "/volt/lease", "{\"resume_vm\":true}");
	step_is(&pool, &paused, 0, "PUT", "/volt/lease", "{}");
	steps_call_free(&call);
}

static void load_is(const struct pool_create *pool,
		    const struct pool_lease_ask *ask, const char *body)
{
	struct steps_call call = {0};

	steps_load(&call, pool, ask);
	assert_int_equal(call.body.len, strlen(body));
	assert_memory_equal(call.body.data, body, call.body.len);
	steps_call_free(&call);
}

static void steps_of_a_shell(void **state)
{
	char *snapshot = words("/s"), *memory = words("/m");
	const struct pool_create pool = {
		.kind = POOL_SHELL, .snapshot = snapshot, .clock = true};
	const struct pool_create bare = {.kind = POOL_SHELL};
	const struct pool_lease_ask plain = {0};
	const struct pool_lease_ask other = {.snapshot = snapshot,
					     .memory = memory};
	struct steps_call call = {0};

	(void)state;
	step_is(&pool, &plain, 0, "PUT", "/snapshot/load",
		"{\"snapshot_path\":\"/s\",\"clock_realtime\":true,"
		"\"lease\":true}");
	step_is(&pool, &plain, 1, "PUT", "/volt/lease", "{\"resume_vm\":true}");
	assert_false(steps_nth(&call, &pool, &plain, 2));
	load_is(&bare, &other,
		"{\"snapshot_path\":\"/s\",\"mem_backend\":{\"backend_type\":"
		"\"File\",\"backend_path\":\"/m\"},\"lease\":true}");
	load_is(&pool, NULL,
		"{\"snapshot_path\":\"/s\",\"clock_realtime\":true,"
		"\"lease\":true}");
	free(snapshot);
	free(memory);
	steps_call_free(&call);
}

static void faults(void **state)
{
	char text[32];

	(void)state;
	steps_fault(text, sizeof(text), "{\"fault_message\":\"a\\nb\"}", 24);
	assert_string_equal(text, "a\\nb");
	steps_fault(text, sizeof(text), "\033[1m", 4);
	assert_string_equal(text, "\\x1b[1m");
	steps_fault(text, sizeof(text), NULL, 0);
	assert_string_equal(text, "");
}

/* ---- refill ---- */

static void refill_to_size(void **state)
{
	const struct pool_create pool = {.size = 8, .parallel = 2};
	struct refill r = {0};
	struct refill_now now = {.now_ns = S_NS, .ready = 3, .starting = 1};
	struct refill_do todo = refill_decide(&r, &pool, &now, false);

	(void)state;
	assert_int_equal(todo.start, 1);
	assert_int_equal(todo.end, 0);
	assert_true(todo.again_ns == REFILL_NEVER);
	/* Enough; more are wanted when leases wait; too many. */
	now = (struct refill_now){.now_ns = S_NS, .ready = 8};
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 0);
	now = (struct refill_now){.now_ns = S_NS, .waiting = 9, .starting = 1};
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 1);
	/* Not beside a lease, unless there is nothing to lease. */
	now = (struct refill_now){.now_ns = S_NS, .ready = 1, .leasing = 1};
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 0);
	now.ready = 0;
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 2);
	now = (struct refill_now){.now_ns = S_NS, .ready = 11};
	assert_int_equal(refill_decide(&r, &pool, &now, false).end, 3);
	now.held = true;
	assert_int_equal(refill_decide(&r, &pool, &now, true).end, 0);
}

/* A guest that has just begun is left the CPU, as long as enough are ready. */
static void refill_waits_behind_a_lease(void **state)
{
	const struct pool_create pool = {.size = 8, .parallel = 2};
	struct refill r = {0};
	struct refill_now now = {.now_ns = S_NS, .ready = 7};
	struct refill_do todo;

	(void)state;
	refill_leased(&r, S_NS);
	todo = refill_decide(&r, &pool, &now, false);
	assert_int_equal(todo.start, 0);
	assert_true(todo.again_ns == S_NS + REFILL_QUIET_NS);
	now.ready = 4;
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 2);
	now = (struct refill_now){.now_ns = S_NS, .ready = 7, .waiting = 1};
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 2);
	now = (struct refill_now){.now_ns = todo.again_ns, .ready = 7};
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 1);
}

static void refill_has_a_rate(void **state)
{
	const struct pool_create pool = {
		.size = 100, .parallel = 4, .rate = 10};
	struct refill r = {0};
	struct refill_now now = {.now_ns = 100 * S_NS};
	struct refill_do todo = refill_decide(&r, &pool, &now, false);
	unsigned int started = 0;

	(void)state;
	/* An idle pool may start as many as may be under way, at once. */
	assert_int_equal(todo.start, 4);
	for (; started < 4; started++)
		refill_started(&r, &pool, now.now_ns);
	todo = refill_decide(&r, &pool, &now, false);
	assert_int_equal(todo.start, 0);
	assert_true(todo.again_ns == now.now_ns + S_NS / 10);
	/* And ten a second from then on, however often one looks. */
	for (int i = 0; i < 1000; i++) {
		now.now_ns += S_NS / 100;
		for (todo = refill_decide(&r, &pool, &now, false);
		     todo.start > 0; todo.start--, started++)
			refill_started(&r, &pool, now.now_ns);
	}
	assert_int_equal(started, 104);
}

static void refill_has_a_share(void **state)
{
	const struct pool_create pool = {.size = 100, .parallel = 1, .cpu = 50};
	struct refill r = {0};
	struct refill_now now = {.now_ns = S_NS};

	(void)state;
	refill_ready(&r, 2000000, 300);
	refill_started(&r, &pool, now.now_ns);
	/* 2 ms at half a CPU: one each 4 ms. */
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 0);
	now.now_ns += 3999999;
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 0);
	now.now_ns += 1;
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 1);
}

static void refill_keeps_a_budget(void **state)
{
	const struct pool_create pool = {
		.size = 100, .parallel = 50, .memory_mib = 1};
	struct refill r = {0};
	struct refill_now now = {.now_ns = S_NS};

	(void)state;
	/* One, to know what one costs; then as many as there is room for. */
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 1);
	now.starting = 1;
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 0);
	refill_ready(&r, 1, 300);
	now = (struct refill_now){
		.now_ns = S_NS, .ready = 1, .private_kib = 300};
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 2);
	now.starting = 2;
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 0);
	/* Above it one goes at each look, and none in between. */
	now = (struct refill_now){
		.now_ns = S_NS, .ready = 3, .private_kib = 1025};
	assert_int_equal(refill_decide(&r, &pool, &now, true).end, 1);
	assert_int_equal(refill_decide(&r, &pool, &now, false).end, 0);
	assert_int_equal(refill_decide(&r, &pool, &now, true).start, 0);
}

static void refill_under_pressure(void **state)
{
	const struct pool_create pool = {.size = 8, .parallel = 4};
	struct refill r = {0};
	struct refill_now now = {.now_ns = S_NS, .ready = 2, .pressure = true};

	(void)state;
	assert_int_equal(refill_decide(&r, &pool, &now, true).start, 0);
	assert_int_equal(refill_decide(&r, &pool, &now, true).end, 1);
	now.ready = 0;
	assert_int_equal(refill_decide(&r, &pool, &now, true).end, 0);
}

static void refill_after_failures(void **state)
{
	const struct pool_create pool = {.size = 8, .parallel = 4};
	struct refill r = {0};
	struct refill_now now = {.now_ns = S_NS};
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 40; i++) {
		uint64_t pause;

		refill_failed(&r, now.now_ns);
		assert_int_equal(refill_decide(&r, &pool, &now, false).start,
				 0);
		pause = refill_decide(&r, &pool, &now, false).again_ns -
			now.now_ns;
		assert_true(pause >= last && pause <= REFILL_PAUSE_MAX_NS);
		last = pause;
	}
	assert_true(last == REFILL_PAUSE_MAX_NS);
	refill_ready(&r, 1, 1);
	assert_int_equal(refill_decide(&r, &pool, &now, false).start, 4);
}

/* ---- records ---- */

static void records(void **state)
{
	char folder[] = "/tmp/volt-pool-XXXXXX";
	struct record_member back;
	struct record_member m = {
		.v = RECORD_VERSION,
		.pool = words("p"),
		.owner = 7,
		.pid = 8,
		.start = 9,
		.state = POOL_LEASED,
		.name = words("n"),
		.source = {.state = {1, 2, 3, 4}},
	};
	struct record_pool pool;
	struct err err;
	int dir;

	(void)state;
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			record_write(dir, "m", &record_member_schema, &m), 0);
	assert_int_equal(
		record_read(dir, "m", &record_member_schema, &back, &err), 0);
	assert_string_equal(back.pool, "p");
	assert_string_equal(back.name, "n");
	assert_null(back.cgroup);
	assert_int_equal(back.state, POOL_LEASED);
	assert_true(record_source_same(&back.source, &m.source));
	assert_false(record_source_there(&back.source));
	schema_free(&record_member_schema, &back);
	assert_int_equal(
		record_read(dir, "x", &record_member_schema, &back, &err),
		-ENOENT);
	/* A member's is no pool's; a link is no record. */
	assert_int_equal(
		record_read(dir, "m", &record_pool_schema, &pool, &err),
		-EINVAL);
	schema_free(&record_pool_schema, &pool);
	assert_int_equal(symlinkat("m", dir, "l"), 0);
	assert_int_equal(
		record_read(dir, "l", &record_member_schema, &back, &err),
		-ELOOP);
	schema_free(&record_member_schema, &m);
	(void)close(dir);
	assert_int_equal(folder_remove(folder), 0);
}

static void bad_records(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[1]",
		"{\"v\":2,\"pool\":\"p\",\"owner\":0,\"pid\":1,\"start\":1,"
		"\"state\":\"ready\",\"source\":{\"state\":{\"dev\":0,\"ino\":"
		"0,\"size\":0,\"mtime_ns\":0},\"memory\":{\"dev\":0,\"ino\":0,"
		"\"size\":0,\"mtime_ns\":0}},\"tied_pid\":0,\"tied_start\":0}",
		"{\"v\":1,\"pool\":\"p\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct record_member m;
		struct err err;

		assert_int_equal(record_parse(&record_member_schema, bad[i],
					      strlen(bad[i]), &m, &err),
				 -EINVAL);
		schema_free(&record_member_schema, &m);
	}
}

/* ---- answers of a VM ---- */

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"

static void answers(void **state)
{
	static const char whole[] = OK_HEAD "true";
	const char *body = NULL;
	size_t len = 0;
	int status = 0;

	(void)state;
	for (size_t n = 0; n < strlen(whole); n++)
		assert_int_equal(
			call_answer(whole, n, false, &status, &body, &len), 0);
	assert_int_equal(
		call_answer(whole, strlen(whole), false, &status, &body, &len),
		1);
	assert_int_equal(status, 200);
	assert_int_equal(len, 4);
	assert_memory_equal(body, "true", 4);
	assert_int_equal(call_answer(OK_HEAD "true!", strlen(whole) + 1, false,
				     &status, &body, &len),
			 -EBADMSG);
	assert_int_equal(call_answer(OK_HEAD "true!", strlen(whole) + 1, true,
				     &status, &body, &len),
			 1);
	assert_int_equal(len, 4);
	assert_int_equal(call_answer("HTTP/1.1 100 C\r\n\r\n", 18, false,
				     &status, &body, &len),
			 -EBADMSG);
	assert_int_equal(
		call_answer("HTTP/1.1 200 O\r\nContent-Length: 1048577\r\n\r\n",
			    43, false, &status, &body, &len),
		-EMSGSIZE);
}

/* ---- cgroups ---- */

static void groups(void **state)
{
	const char *path = NULL;

	(void)state;
	assert_int_equal(group_find("4:memory:/a\n0::/b/c\n", &path), 4);
	assert_memory_equal(path, "/b/c", 4);
	assert_int_equal(group_find("0::/", &path), 1);
	assert_int_equal(group_find("10::/x\n4:memory:/a", &path), 0);
	assert_int_equal(group_find("", &path), 0);
	assert_true(group_path_ok("/"));
	assert_true(group_path_ok("/a/..b/c.."));
	assert_false(group_path_ok("/a/../b"));
	assert_false(group_path_ok("/.."));
	assert_false(group_path_ok("a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(long_path),
		cmocka_unit_test(tag_of_a_refusal),
		cmocka_unit_test(steps_of_a_clone),
		cmocka_unit_test(steps_of_a_shell),
		cmocka_unit_test(faults),
		cmocka_unit_test(refill_to_size),
		cmocka_unit_test(refill_waits_behind_a_lease),
		cmocka_unit_test(refill_has_a_rate),
		cmocka_unit_test(refill_has_a_share),
		cmocka_unit_test(refill_keeps_a_budget),
		cmocka_unit_test(refill_under_pressure),
		cmocka_unit_test(refill_after_failures),
		cmocka_unit_test(records),
		cmocka_unit_test(bad_records),
		cmocka_unit_test(answers),
		cmocka_unit_test(groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
