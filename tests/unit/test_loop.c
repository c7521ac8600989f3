// SPDX-License-Identifier: Apache-2.0
/*
 * test_loop.c - sources may remove each other while events are pending
 */
#include "unit.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "host/timer.h"

struct pair {
	struct loop loop;
	struct loop_source a;
	struct loop_source b;
	int calls;
};

static struct pair *pair_of_loop;

static void remove_other(struct loop_source *src, uint32_t events)
{
	struct pair *p = pair_of_loop;

	(void)events;
	p->calls++;
	loop_del(&p->loop, src == &p->a ? &p->b : &p->a);
	loop_del(&p->loop, src);
}

static void removal_in_one_round(void **state)
{
	struct pair p = {0};

	(void)state;
	pair_of_loop = &p;
	assert_int_equal(loop_init(&p.loop), 0);
	p.a = (struct loop_source){
		.fd = eventfd(1, 0), .events = EPOLLIN, .cb = remove_other};
	p.b = p.a;
	p.b.fd = eventfd(1, 0);
	assert_int_equal(loop_add(&p.loop, &p.a), 0);
	assert_int_equal(loop_add(&p.loop, &p.b), 0);
	assert_int_equal(loop_step(&p.loop, 0), 0);
	assert_int_equal(p.calls, 1);
	assert_int_equal(loop_step(&p.loop, 0), 0);
	assert_int_equal(p.calls, 1);
	loop_del(&p.loop, &p.a); /* twice is harmless */
	(void)close(p.a.fd);
	(void)close(p.b.fd);
	loop_fini(&p.loop);
}

/* What did not change can be asked for again. */
static void a_failed_change_is_none(void **state)
{
	struct loop loop;
	struct loop_source src = {
		.fd = eventfd(1, 0), .events = EPOLLIN, .cb = remove_other};

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	assert_true(loop_mod(&loop, &src, 0) < 0); /* it is not there */
	assert_int_equal(src.events, EPOLLIN);
	(void)close(src.fd);
	loop_fini(&loop);
}

static int fired;

static void on_timer(struct timer *timer)
{
	fired++;
	loop_quit(timer->loop);
}

/* In real time: the loop waits for the deadline, and with no descriptor. */
static void a_deadline_ends_the_wait(void **state)
{
	struct loop loop;
	struct timer timer;
	uint64_t start;

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	timer_init(&timer, &loop, on_timer);
	start = now_ns();
	timer_set(&timer, 20000000, 0);
	assert_int_equal(loop_run(&loop), 0);
	assert_true(now_ns() - start >= 20000000);
	assert_int_equal(fired, 1);
	/* It was one time only, and a shorter wait than the next is kept. */
	loop.quit = false;
	timer_set(&timer, UINT64_MAX - 1, 0);
	assert_int_equal(loop_step(&loop, 0), 0);
	assert_int_equal(loop_step(&loop, 10), 0);
	assert_int_equal(fired, 1);
	timer_stop(&timer);
	timer_stop(&timer);
	loop_fini(&loop);
}

static void *other_thread(void *timer)
{
	timer_stop(timer);
	return NULL;
}

static void stop_from_outside(void *timer)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, other_thread, timer) == 0)
		(void)pthread_join(thread, NULL);
}

/* What another thread sets would be lost in the list: it ends at once. */
static void other_threads_keep_off(void **state)
{
	struct timer timer;
	struct loop loop;

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	timer_init(&timer, &loop, on_timer);
	assert_true(unit_asserts(stop_from_outside, &timer));
	loop_fini(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(removal_in_one_round),
		cmocka_unit_test(a_failed_change_is_none),
		cmocka_unit_test(a_deadline_ends_the_wait),
		cmocka_unit_test(other_threads_keep_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
