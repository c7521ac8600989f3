/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - deadlines on the event loop (CLOCK_MONOTONIC)
 *
 * Theory of operation
 *
 * A timer is an entry of its loop's list, which is sorted by deadline; equal
 * deadlines keep the order in which they were set. The loop waits until the
 * first of them and no longer, and behind the events of a round it calls all
 * that are due. A timer has no descriptor, so it can be neither late nor short
 * of one: setting it cannot fail, and costs no system call.
 *
 * The wait is epoll_pwait2(), which counts in nanoseconds. One timerfd for the
 * list would do as well, but it costs one call more whenever the first deadline
 * changes and one whenever it is due, and a filter of system calls would have
 * to let two more through. The kernel may be late by this thread's timer slack,
 * 50 us, or a thousandth of the wait if that is more. Nothing here needs
 * better: token buckets count what flows in until they are asked.
 *
 * In one round every timer is called once at most, whatever it does: a deadline
 * that a callback sets is later than the time of the round, and one of a period
 * that has passed several times is called once for all of them. So timers
 * cannot starve descriptors.
 *
 * A callback may set and stop any timer, its own included, and free its owner.
 *
 * Context: the loop's thread.
 */
#pragma once

#include "base/list.h"
#include "host/clock.h"
#include "host/loop.h"

/**
 * struct timer - called at @deadline_ns, once or again and again
 * @link:	in @loop->timers while it is set
 * @period_ns:	0: once
 */
struct timer {
	struct list link;
	struct loop *loop;
	uint64_t deadline_ns;
	uint64_t period_ns;
	void (*fired)(struct timer *timer);
};

/* Stopped. @loop need not be ready yet. */
void timer_init(struct timer *timer, struct loop *loop,
		void (*fired)(struct timer *timer));

/**
 * timer_set() - call after @first_ns, then every @period_ns (0: once)
 * @first_ns:	0: in the next round; what does not fit into the clock: never
 *
 * What the timer was set to before is forgotten.
 */
void timer_set(struct timer *timer, uint64_t first_ns, uint64_t period_ns);

/* Not called any more. Also for one that is not set; before its owner goes. */
void timer_stop(struct timer *timer);

/* For the loop: nanoseconds until the first deadline; UINT64_MAX: none. */
uint64_t timer_wait_ns(const struct loop *loop);

/* For the loop: call what is due. */
void timer_run(struct loop *loop);
