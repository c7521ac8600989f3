// SPDX-License-Identifier: Apache-2.0
/*
 * test_timer.c - the list of deadlines, in virtual time
 */
#include "unit.h"

#include "schedule.h"

#define MS  1000000ull
#define NR  6u
#define MAX 64u

/**
 * struct probe - a timer that writes down that it was called
 * @then:	what it does besides, or NULL
 * @other:	for @then
 */
struct probe {
	struct timer timer;
	void (*then)(struct probe *p);
	struct probe *other;
	bool freed;
};

/**
 * struct world - a loop with timers
 * @who, @when: calls in their order; times from the start of the test
 */
static struct world {
	struct loop loop;
	struct probe probe[NR];
	uint64_t start;
	size_t who[MAX];
	uint64_t when[MAX];
	size_t calls;
} w;

static void fired(struct timer *timer)
{
	struct probe *p = container_of(timer, struct probe, timer);

	assert_true(w.calls < MAX);
	assert_false(p->freed);
	w.who[w.calls] = (size_t)(p - w.probe);
	w.when[w.calls++] = schedule.now - w.start;
	if (p->then)
		p->then(p);
}

static int fresh(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	schedule = (struct schedule){
		.now = 1000 * MS,
		.random = 1,
		.loop = &w.loop,
	};
	w.start = schedule.now;
	assert_int_equal(loop_init(&w.loop), 0);
	for (size_t i = 0; i < NR; i++)
		timer_init(&w.probe[i].timer, &w.loop, fired);
	return 0;
}

static int done(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR; i++)
		timer_stop(&w.probe[i].timer);
	loop_fini(&w.loop);
	return 0;
}

static void set(size_t i, uint64_t first_ns, uint64_t period_ns)
{
	timer_set(&w.probe[i].timer, first_ns, period_ns);
}

#define WHO(...)                                  \
	assert_who((const size_t[]){__VA_ARGS__}, \
		   sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t))

static void assert_who(const size_t *who, size_t nr)
{
	assert_int_equal(w.calls, nr);
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(w.who[i], who[i]);
}

/* ---- order ---- */

static void the_earliest_is_first(void **state)
{
	(void)state;
	set(0, 30 * MS, 0);
	set(1, 10 * MS, 0);
	set(2, 20 * MS, 0);
	set(3, 40 * MS, 0);
	assert_int_equal(timer_wait_ns(&w.loop), 10 * MS);
	schedule_advance(30 * MS);
	WHO(1, 2, 0);
	assert_int_equal(w.when[0], 10 * MS);
	assert_int_equal(w.when[1], 20 * MS);
	assert_int_equal(w.when[2], 30 * MS);
	schedule_advance(10 * MS - 1);
	WHO(1, 2, 0);
	schedule_advance(1);
	WHO(1, 2, 0, 3);
	assert_int_equal(timer_wait_ns(&w.loop), UINT64_MAX);
}

static void equal_deadlines_keep_their_order(void **state)
{
	(void)state;
	set(3, 10 * MS, 0);
	set(1, 10 * MS, 0);
	set(2, 5 * MS, 0);
	set(0, 10 * MS, 0);
	schedule_advance(4 * MS);
	set(4, 6 * MS, 0); /* the same moment, set later */
	schedule_advance(6 * MS);
	WHO(2, 3, 1, 0, 4);
}

/* Many random orders, some set twice: sorted, and each once. */
static void any_order_comes_out_sorted(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 500; round++) {
		w.calls = 0;
		w.start = schedule.now;
		for (size_t i = 0; i < NR; i++)
			set(i, schedule_below(4) * MS, 0);
		for (size_t i = 0; i < NR; i++)
			if (schedule_once_in(3))
				set(i, schedule_below(4) * MS, 0);
		schedule_advance(10 * MS);
		assert_int_equal(w.calls, NR);
		for (size_t i = 1; i < NR; i++)
			assert_true(w.when[i - 1] <= w.when[i]);
	}
}

/* ---- setting and stopping ---- */

static void the_last_setting_counts(void **state)
{
	(void)state;
	set(0, 10 * MS, 0);
	set(0, 30 * MS, 0);
	set(1, 20 * MS, 5 * MS);
	set(1, 5 * MS, 0); /* its period is forgotten, too */
	schedule_advance(29 * MS);
	WHO(1);
	schedule_advance(MS);
	WHO(1, 0);
	schedule_advance(1000 * MS);
	WHO(1, 0);
}

static void stopped_is_never(void **state)
{
	(void)state;
	timer_stop(&w.probe[0].timer); /* it was never set */
	set(0, 10 * MS, 10 * MS);
	set(1, 20 * MS, 0);
	timer_stop(&w.probe[0].timer);
	timer_stop(&w.probe[0].timer);
	schedule_advance(100 * MS);
	WHO(1);
}

static void set_itself(struct probe *p)
{
	timer_set(&p->timer, 10 * MS, 0);
}

static void from_its_own_callback(void **state)
{
	(void)state;
	w.probe[0].then = set_itself;
	set(0, MS, 0);
	schedule_advance(31 * MS);
	WHO(0, 0, 0, 0);
	assert_int_equal(w.when[3], 31 * MS);
}

static void set_itself_at_once(struct probe *p)
{
	timer_set(&p->timer, 0, 0);
}

/* It is for the next round, so descriptors have their turn before. */
static void at_once_is_the_next_round(void **state)
{
	(void)state;
	w.probe[0].then = set_itself_at_once;
	w.probe[1].then = set_itself_at_once;
	set(0, 0, 0);
	set(1, 0, 0);
	for (size_t round = 0; round < 10; round++) {
		schedule.now++;
		assert_int_equal(w.calls, 2 * round);
		timer_run(&w.loop);
	}
	assert_int_equal(w.calls, 20);
}

static void stop_itself(struct probe *p)
{
	timer_stop(&p->timer);
}

static void a_period_ends_in_its_own_callback(void **state)
{
	(void)state;
	w.probe[0].then = stop_itself;
	set(0, MS, MS);
	schedule_advance(10 * MS);
	WHO(0);
	assert_int_equal(timer_wait_ns(&w.loop), UINT64_MAX);
}

static void stop_other(struct probe *p)
{
	timer_stop(&p->other->timer);
	p->other->freed = true;
}

/* Both are due, and the second would be next. */
static void stopped_by_another_callback(void **state)
{
	(void)state;
	w.probe[0].then = stop_other;
	w.probe[0].other = &w.probe[1];
	set(0, 10 * MS, 0);
	set(1, 10 * MS, 0);
	set(2, 10 * MS, 0);
	schedule.now += 10 * MS;
	timer_run(&w.loop);
	WHO(0, 2);
}

/* The struct is gone, and nobody looks at it. */
static void free_itself(struct timer *timer)
{
	timer_stop(timer);
	memset(timer, 0xa5, sizeof(*timer));
	free(timer);
}

static void its_owner_may_go(void **state)
{
	struct timer *timer = malloc(sizeof(*timer));

	(void)state;
	assert_non_null(timer);
	timer_init(timer, &w.loop, free_itself);
	timer_set(timer, MS, MS);
	set(0, 2 * MS, 0);
	schedule_advance(5 * MS);
	WHO(0);
}

static void end_the_loop(struct probe *p)
{
	loop_quit(p->timer.loop);
}

static void nothing_is_called_behind_the_end(void **state)
{
	(void)state;
	w.probe[0].then = end_the_loop;
	set(0, MS, 0);
	set(1, MS, 0);
	schedule.now += MS;
	timer_run(&w.loop);
	WHO(0);
}

/* ---- periods ---- */

static void a_period_does_not_drift(void **state)
{
	(void)state;
	set(0, 5 * MS, 10 * MS);
	for (unsigned int i = 0; i < 4; i++) {
		schedule.now = w.start + (5 + 10 * i) * MS + 3 * MS; /* late */
		timer_run(&w.loop);
	}
	WHO(0, 0, 0, 0);
	assert_int_equal(timer_wait_ns(&w.loop), 7 * MS);
}

/* Each period that was missed is not made up for. */
static void missed_periods_are_one_call(void **state)
{
	(void)state;
	set(0, 10 * MS, 10 * MS);
	schedule.now += 1000 * MS + 4 * MS;
	timer_run(&w.loop);
	WHO(0);
	assert_int_equal(timer_wait_ns(&w.loop), 6 * MS);
	timer_run(&w.loop);
	WHO(0);
}

/* ---- edges of the clock ---- */

static void far_future(void **state)
{
	(void)state;
	set(0, UINT64_MAX, 0); /* does not fit: never */
	set(1, UINT64_MAX - schedule.now, UINT64_MAX);
	set(2, 1ull << 60, 0);
	assert_int_equal(timer_wait_ns(&w.loop), 1ull << 60);
	timer_stop(&w.probe[2].timer);
	assert_int_equal(timer_wait_ns(&w.loop), UINT64_MAX);
	schedule_advance(1ull << 62);
	assert_int_equal(w.calls, 0);
	/* A period that does not fit is a last time. */
	set(3, MS, UINT64_MAX);
	schedule_advance(MS);
	schedule_advance(1ull << 62);
	WHO(3);
}

static void long_past(void **state)
{
	(void)state;
	set(1, 20 * MS, 0);
	set(0, 10 * MS, 0);
	schedule.now += 1ull << 60;
	assert_int_equal(timer_wait_ns(&w.loop), 0);
	timer_run(&w.loop);
	WHO(0, 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(the_earliest_is_first),
		EACH(equal_deadlines_keep_their_order),
		EACH(any_order_comes_out_sorted),
		EACH(the_last_setting_counts),
		EACH(stopped_is_never),
		EACH(from_its_own_callback),
		EACH(at_once_is_the_next_round),
		EACH(a_period_ends_in_its_own_callback),
		EACH(stopped_by_another_callback),
		EACH(its_owner_may_go),
		EACH(nothing_is_called_behind_the_end),
		EACH(a_period_does_not_drift),
		EACH(missed_periods_are_one_call),
		EACH(far_future),
		EACH(long_past),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
