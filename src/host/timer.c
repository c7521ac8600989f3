// SPDX-License-Identifier: Apache-2.0
/*
 * timer.c - deadlines on the event loop (theory of operation: timer.h)
 */
#include "host/timer.h"

static struct timer *timer_of(struct list *link)
{
	return container_of(link, struct timer, link);
}

static uint64_t later(uint64_t ns, uint64_t by_ns)
{
	uint64_t sum;

	return __builtin_add_overflow(ns, by_ns, &sum) ? UINT64_MAX : sum;
}

/* From the end: a deadline is mostly the last when it is set. */
static void timer_put(struct timer *timer, uint64_t deadline_ns)
{
	struct list *head = &timer->loop->timers;
	struct list *at = head->prev;

	while (at != head && timer_of(at)->deadline_ns > deadline_ns)
		at = at->prev;
	timer->deadline_ns = deadline_ns;
	list_add_tail(at->next, &timer->link);
}

void timer_init(struct timer *timer, struct loop *loop,
		void (*fired)(struct timer *timer))
{
	*timer = (struct timer){.loop = loop, .fired = fired};
	list_init(&timer->link);
}

void timer_set(struct timer *timer, uint64_t first_ns, uint64_t period_ns)
{
	loop_assert_own(timer->loop);
	list_del(&timer->link);
	timer->period_ns = period_ns;
	/* Behind the time of the round that may be calling us. */
	timer_put(timer, later(now_ns(), first_ns > 0 ? first_ns : 1));
}

void timer_stop(struct timer *timer)
{
	loop_assert_own(timer->loop);
	list_del(&timer->link);
}

uint64_t timer_wait_ns(const struct loop *loop)
{
	uint64_t first, now;

	if (list_empty(&loop->timers))
		return UINT64_MAX;
	first = timer_of(loop->timers.next)->deadline_ns;
	if (first == UINT64_MAX)
		return UINT64_MAX;
	now = now_ns();
	return first > now ? first - now : 0;
}

/* Whole periods from its deadline on, so that lateness does not add up. */
static void again(struct timer *timer, uint64_t now)
{
	uint64_t missed = (now - timer->deadline_ns) / timer->period_ns;

	timer_put(timer,
		  later(timer->deadline_ns, (missed + 1) * timer->period_ns));
}

void timer_run(struct loop *loop)
{
	struct timer *timer;
	uint64_t now;

	if (list_empty(&loop->timers))
		return;
	now = now_ns();
	while (!list_empty(&loop->timers) && !loop->quit) {
		timer = timer_of(loop->timers.next);
		if (timer->deadline_ns > now)
			return;
		list_del(&timer->link);
		if (timer->period_ns > 0)
			again(timer, now);
		timer->fired(timer);
	}
}
