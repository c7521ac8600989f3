/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - timers on the event loop (timerfd, CLOCK_MONOTONIC)
 *
 * The descriptor is made at the first timer_set(), so an unused timer costs
 * nothing; one that is needed just when descriptors are short makes it earlier,
 * by timer_open(). Owner thread: the loop's.
 */
#pragma once

#include "host/clock.h"
#include "host/loop.h"

struct timer {
	struct loop_source src;
	struct loop *loop;
	void (*fired)(struct timer *timer);
};

/* No system call; @timer->src.fd becomes -1. */
void timer_init(struct timer *timer, struct loop *loop,
		void (*fired)(struct timer *timer));

/**
 * timer_open() - make the descriptor now: timer_set() cannot fail any more
 *
 * Return: 0 or -errno.
 */
int timer_open(struct timer *timer) __must_check;

/**
 * timer_set() - fire after @first_ns, then every @period_ns (0: once)
 * @first_ns:	0 disarms
 *
 * Return: 0 or -errno.
 */
int timer_set(struct timer *timer, uint64_t first_ns,
	      uint64_t period_ns) __must_check;

void timer_free(struct timer *timer);
