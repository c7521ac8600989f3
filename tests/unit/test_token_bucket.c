// SPDX-License-Identifier: Apache-2.0
/*
 * test_token_bucket.c - limits hold at every edge of 64 bits (H11)
 */
#include "unit.h"

#include "host/token_bucket.h"

#define MS   1000000ull
#define MOST (IS_SANITIZED ? 100000 : 1000000) /* requests of one rate */

static void burst_then_bucket_then_none(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 100, 50, 1000, 0);
	assert_true(token_bucket_take(&b, 50, 0));
	assert_true(token_bucket_take(&b, 100, 0));
	assert_false(token_bucket_take(&b, 1, 0));
	assert_int_equal(token_bucket_wait_ns(&b, 1, 0), 10 * MS);
	assert_true(token_bucket_take(&b, 1, 10 * MS));
	assert_false(token_bucket_take(&b, 1, 10 * MS));
}

/* Refilling a nanosecond at a time loses nothing. */
static void small_steps_add_up(void **state)
{
	struct token_bucket b;
	uint64_t got = 0;

	(void)state;
	token_bucket_init(&b, 1000, 0, 1, 0);
	assert_true(token_bucket_take(&b, 1000, 0));
	for (uint64_t t = 1; t <= MS; t += 7)
		while (token_bucket_take(&b, 1, t))
			got++;
	while (token_bucket_take(&b, 1, MS))
		got++;
	assert_int_equal(got, 1000);
}

/* Two tokens in three nanoseconds, asked for each nanosecond: no more. */
static void rates_near_the_clock(void **state)
{
	static const uint64_t sizes[] = {2 * MS / 3, MS, 3 * MS / 2, 7 * MS};
	struct token_bucket b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t got = 0;

		token_bucket_init(&b, sizes[i], 0, 1, 0);
		assert_true(token_bucket_take(&b, sizes[i], 0));
		for (uint64_t t = 1; t <= 3000; t++)
			while (token_bucket_take(&b, 1, t))
				got++;
		assert_int_equal(got, sizes[i] * 3000 / MS);
	}
}

static void larger_than_the_bucket(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 0, 1000, 0);
	assert_true(
		token_bucket_take(&b, 1000, 0)); /* full: passes, and owes */
	assert_int_equal(b.debt, 990);
	assert_false(token_bucket_take(&b, 1, 99 * 1000 * MS));
	assert_int_equal(token_bucket_wait_ns(&b, 1, 99 * 1000 * MS), 100 * MS);
	assert_int_equal(token_bucket_wait_ns(&b, 1000, 99 * 1000 * MS),
			 1000 * MS);
	assert_true(token_bucket_take(&b, 1000, 100 * 1000 * MS));
}

static void no_limit(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 0, 0, 100, 0);
	assert_true(token_bucket_take(&b, UINT64_MAX, 0));
	token_bucket_init(&b, 100, 0, 0, 0);
	assert_true(token_bucket_take(&b, UINT64_MAX, 0));
	assert_int_equal(token_bucket_wait_ns(&b, UINT64_MAX, 0), 0);
}

static void give_back_never_overfills(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 100, 0, 1000, 0);
	assert_true(token_bucket_take(&b, 60, 0));
	token_bucket_give_back(&b, 20);
	assert_int_equal(b.tokens, 60);
	token_bucket_give_back(&b, UINT64_MAX);
	assert_int_equal(b.tokens, 100);
}

/* Every mix of extreme sizes, times and pauses: the bucket never holds more
 * than its size, never hands out more than it may, never waits backwards. */
static void edges(void **state)
{
	static const uint64_t v[] = {
		1,          2,          1000,      1u << 31,   UINT32_MAX,
		1ull << 32, 1ull << 53, INT64_MAX, 1ull << 63, UINT64_MAX - 1,
		UINT64_MAX,
	};
	struct token_bucket b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		for (size_t j = 0; j < ARRAY_SIZE(v); j++)
			for (size_t k = 0; k < ARRAY_SIZE(v); k++) {
				token_bucket_init(&b, v[i], 0, v[j], 0);
				assert_true(token_bucket_take(&b, v[i], 0));
				assert_true(b.tokens == 0);
				if (token_bucket_take(&b, v[k], v[k]))
					assert_true(b.tokens <= b.size);
				assert_true(b.tokens <= b.size);
				assert_true(b.last_ns <= v[k]);
				(void)token_bucket_wait_ns(&b, v[k], v[k]);
				/* time that stands still or runs back */
				if (token_bucket_take(&b, 1, 0))
					assert_true(b.tokens < b.size);
				assert_true(b.tokens <= b.size);
			}
}

/* A snapshot's level: what was used up stays used up, and no more fits. */
static void test_level(void **state)
{
	struct token_bucket b, c;
	struct token_bucket_level level;

	(void)state;
	token_bucket_init(&b, 1000, 50, 1000, 0);
	assert_true(token_bucket_take(&b, 450, 0));
	level = token_bucket_level(&b, 100 * 1000000ull);
	assert_int_equal(level.burst, 0);
	assert_int_equal(level.tokens, 700);
	token_bucket_init(&c, 1000, 50, 1000, 5);
	token_bucket_set_level(&c, &level, 5);
	assert_false(token_bucket_take(&c, 701, 5));
	assert_true(token_bucket_take(&c, 700, 5));
	assert_int_equal(token_bucket_wait_ns(&c, 1, 5), 1000000);
	token_bucket_init(&c, 1000, 50, 1000, 5);
	level = (struct token_bucket_level){UINT64_MAX, UINT64_MAX, 0};
	token_bucket_set_level(&c, &level, 5);
	level = token_bucket_level(&c, 5);
	assert_int_equal(level.tokens, 1000);
	assert_int_equal(level.burst, 50);
	/* What is owed stays owed. */
	assert_true(token_bucket_take(&c, 5050, 5));
	level = token_bucket_level(&c, 1000 * MS + 5);
	assert_int_equal(level.debt, 3000);
	token_bucket_init(&b, 1000, 50, 1000, 0);
	token_bucket_set_level(&b, &level, 0);
	assert_int_equal(token_bucket_wait_ns(&b, 1, 0), 3001 * MS);
}

/*
 * A device with always something to do, that is up to @late_ns late when it may
 * go on. Return: amounts that passed in 100 s, beyond the first bucket.
 */
static uint64_t passed(uint64_t size, uint64_t refill_ms, uint64_t amount,
		       uint64_t late_ns)
{
	const uint64_t end = 100 * 1000 * MS;
	uint64_t now = 0, seed = 1, got = 0;
	struct token_bucket b;

	token_bucket_init(&b, size, 0, refill_ms, now);
	while (now < end) {
		uint64_t wait = token_bucket_wait_ns(&b, amount, now);

		if (wait == 0) {
			assert_true(token_bucket_take(&b, amount, now));
			got += amount;
			continue;
		}
		token_bucket_await(&b);
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		now += wait;
		assert_int_equal(token_bucket_wait_ns(&b, amount, now), 0);
		now += (seed >> 33) % (late_ns + 1);
	}
	return got - (got < size ? got : size);
}

/* The rate is what was asked for, however large requests and bucket are and
 * however late the timer; sizes around one refill are no exception. */
static void long_run_rate(void **state)
{
	static const uint64_t limits[][2] = {
		{1, 1},      {1, 10},       {3, 7},          {1500, 10},
		{4095, 1},   {4096, 1},     {65536, 100},    {1000, 1000},
		{100000, 5}, {1 << 20, 50}, {10 << 20, 100},
	};
	static const uint64_t amounts[] = {1,    512,   4094,  4095,
					   4096, 60000, 65536, 1 << 20};
	static const uint64_t late[] = {0, 360000, 3000000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		for (size_t j = 0; j < ARRAY_SIZE(amounts); j++)
			for (size_t k = 0; k < ARRAY_SIZE(late); k++) {
				uint64_t size = limits[i][0];
				uint64_t all = size * 100000 / limits[i][1];
				uint64_t got, slack;

				/* at least some 100 of them */
				if (all / amounts[j] < 100 ||
				    all / amounts[j] > MOST)
					continue;
				got = passed(size, limits[i][1], amounts[j],
					     late[k]);
				slack = all / 50;
				if (got < all - slack || got > all + slack)
					fail_msg("%llu per %llu ms by %llu: "
						 "%llu instead of %llu",
						 (unsigned long long)size,
						 (unsigned long long)
							 limits[i][1],
						 (unsigned long long)amounts[j],
						 (unsigned long long)got,
						 (unsigned long long)all);
			}
}

/* Who is not waited for has no more than a bucket. */
static void idle_time_is_not_saved(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 0, 10, 0);
	assert_true(token_bucket_take(&b, 10, 0));
	assert_false(token_bucket_take(&b, 1, 0));
	token_bucket_await(&b);
	assert_true(token_bucket_take(&b, 1, 15 * MS)); /* 5 late */
	assert_int_equal(b.tokens, 14);
	for (unsigned int i = 0; i < 14; i++)
		assert_true(token_bucket_take(&b, 1, 3600000 * MS));
	assert_false(token_bucket_take(&b, 1, 3600000 * MS));
	/* Late by an hour is not late, but something else. */
	token_bucket_await(&b);
	assert_int_equal(token_bucket_level(&b, 7200000 * MS).tokens, 110);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level),
		cmocka_unit_test(burst_then_bucket_then_none),
		cmocka_unit_test(small_steps_add_up),
		cmocka_unit_test(rates_near_the_clock),
		cmocka_unit_test(larger_than_the_bucket),
		cmocka_unit_test(no_limit),
		cmocka_unit_test(give_back_never_overfills),
		cmocka_unit_test(edges),
		cmocka_unit_test(long_run_rate),
		cmocka_unit_test(idle_time_is_not_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
