// SPDX-License-Identifier: Apache-2.0
/*
 * test_rate_limiter.c - bytes and operations together, in virtual time
 */
#include "unit.h"

#include "schedule.h"

#include "host/rate_limiter.h"

#define MS 1000000ull

/**
 * struct user - a device that has always something to do
 * @bytes:	of each of its requests
 * @passed, @called: requests; calls of ready()
 */
static struct user {
	struct loop loop;
	struct rate_limiter limiter;
	uint64_t bytes;
	uint64_t passed;
	uint64_t called;
} user;

static void work(void)
{
	while (rate_limiter_take(&user.limiter, user.bytes))
		if (++user.passed > 10000000)
			abort();
}

static void ready(struct rate_limiter *limiter)
{
	schedule.now += schedule_below(400000); /* the host is late */
	assert_ptr_equal(limiter, &user.limiter);
	user.called++;
	work();
}

static int fresh(void **state)
{
	(void)state;
	memset(&user, 0, sizeof(user));
	schedule = (struct schedule){.now = 1000 * MS, .loop = &user.loop};
	assert_int_equal(loop_init(&user.loop), 0);
	rate_limiter_init(&user.limiter, &user.loop, ready);
	return 0;
}

static int done(void **state)
{
	(void)state;
	rate_limiter_fini(&user.limiter);
	loop_fini(&user.loop);
	return 0;
}

static void set(uint64_t bytes, uint64_t bytes_ms, uint64_t ops,
		uint64_t ops_ms)
{
	token_bucket_init(&user.limiter.bandwidth, bytes, 0, bytes_ms,
			  schedule.now);
	token_bucket_init(&user.limiter.ops, ops, 0, ops_ms, schedule.now);
}

static void test_one_operation_a_millisecond(void **state)
{
	(void)state;
	set(0, 0, 1, 1);
	work();
	schedule_advance(10000 * MS);
	assert_in_range(user.passed, 9800, 10201);
}

static void test_requests_larger_than_the_bucket(void **state)
{
	(void)state;
	set(4096, 1, 0, 0);
	user.bytes = 65536;
	work();
	schedule_advance(160000 * MS);
	assert_in_range(user.passed, 9800, 10201);
	/* Each wait was one, not many short ones. */
	assert_true(user.called <= user.passed);
}

/* A request that waits for its bytes has not used an operation up. */
static void test_bandwidth_refuses_and_no_operation_is_lost(void **state)
{
	(void)state;
	set(1000, 100, 10, 3600000);
	user.bytes = 1000;
	work();
	assert_int_equal(user.passed, 1);
	for (unsigned int i = 0; i < 20; i++) {
		rate_limiter_changed(&user.limiter); /* to try again */
		schedule_advance(MS);
	}
	assert_int_equal(user.limiter.ops.tokens, 9);
	schedule_advance(2000 * MS);
	assert_int_equal(user.passed, 10);
	/* Nor from a burst. */
	token_bucket_init(&user.limiter.ops, 10, 5, 3600000, schedule.now);
	rate_limiter_changed(&user.limiter);
	schedule_advance(100 * MS);
	assert_int_equal(user.limiter.ops.burst, 15 - user.passed);
	assert_int_equal(user.limiter.ops.tokens, 10);
}

/* Zeroes that nobody knew of. */
static void test_charge(void **state)
{
	(void)state;
	set(1000, 1000, 0, 0);
	rate_limiter_charge(&user.limiter, 5000);
	user.bytes = 1;
	work();
	assert_int_equal(user.passed, 0);
	schedule_advance(4000 * MS);
	assert_int_equal(user.passed, 0);
	schedule_advance(10 * MS);
	assert_true(user.passed > 0);
}

static void test_debt_in_a_snapshot(void **state)
{
	struct rate_limiter_state saved, loaded;
	struct schema_seen seen;
	struct buf text = {0};
	struct err err;

	(void)state;
	set(1000, 1000, 0, 0);
	user.bytes = 5000;
	work();
	rate_limiter_save(&user.limiter, &saved);
	assert_int_equal(saved.bandwidth.debt, 4000);
	schema_encode(&rate_limiter_state_schema, &saved, &text);
	assert_int_equal(schema_decode_text(&rate_limiter_state_schema,
					    text.data, text.len, &loaded, &seen,
					    &err),
			 0);
	(void)done(NULL);
	(void)fresh(NULL);
	set(1000, 1000, 0, 0);
	rate_limiter_load(&user.limiter, &loaded);
	user.bytes = 1;
	work();
	schedule_advance(4000 * MS);
	assert_int_equal(user.passed, 0);
	schedule_advance(10 * MS);
	assert_true(user.passed > 0);
	buf_free(&text);
}

/* As it was written before there was debt. */
static void test_older_snapshot(void **state)
{
	static const char text[] = "{\"bandwidth\":{\"tokens\":7,\"burst\":1},"
				   "\"ops\":{\"tokens\":3,\"burst\":0}}";
	struct rate_limiter_state loaded = {0};
	struct schema_seen seen;
	struct err err;

	(void)state;
	assert_int_equal(schema_decode_text(&rate_limiter_state_schema, text,
					    sizeof(text) - 1, &loaded, &seen,
					    &err),
			 0);
	assert_int_equal(loaded.bandwidth.tokens, 7);
	assert_int_equal(loaded.bandwidth.debt, 0);
	assert_int_equal(loaded.ops.tokens, 3);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_one_operation_a_millisecond),
		EACH(test_requests_larger_than_the_bucket),
		EACH(test_bandwidth_refuses_and_no_operation_is_lost),
		EACH(test_charge),
		EACH(test_debt_in_a_snapshot),
		EACH(test_older_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
