// SPDX-License-Identifier: Apache-2.0
/*
 * timer.c - timers on the event loop (theory of operation: timer.h)
 */
#include "host/timer.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

static void on_event(struct loop_source *src, uint32_t events)
{
	struct timer *timer = container_of(src, struct timer, src);
	uint64_t expirations;

	(void)events;
	if (read(src->fd, &expirations, sizeof(expirations)) ==
	    sizeof(expirations))
		timer->fired(timer);
}

void timer_init(struct timer *timer, struct loop *loop,
		void (*fired)(struct timer *timer))
{
	memset(timer, 0, sizeof(*timer));
	timer->loop = loop;
	timer->fired = fired;
	timer->src.fd = -1;
	timer->src.events = EPOLLIN;
	timer->src.kind = LOOP_TIMER;
	timer->src.cb = on_event;
}

int timer_open(struct timer *timer)
{
	int r;

	if (timer->src.fd >= 0)
		return 0;
	timer->src.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer->src.fd < 0)
		return -errno;
	r = loop_add(timer->loop, &timer->src);
	if (r < 0)
		timer_free(timer);
	return r;
}

int timer_set(struct timer *timer, uint64_t first_ns, uint64_t period_ns)
{
	struct itimerspec spec = {
		.it_value.tv_sec = (time_t)(first_ns / NS_PER_S),
		.it_value.tv_nsec = (long)(first_ns % NS_PER_S),
		.it_interval.tv_sec = (time_t)(period_ns / NS_PER_S),
		.it_interval.tv_nsec = (long)(period_ns % NS_PER_S),
	};
	int r;

	if (timer->src.fd < 0) {
		if (first_ns == 0)
			return 0;
		r = timer_open(timer);
		if (r < 0)
			return r;
	}
	return timerfd_settime(timer->src.fd, 0, &spec, NULL) < 0 ? -errno : 0;
}

void timer_free(struct timer *timer)
{
	if (timer->src.fd < 0)
		return;
	loop_del(timer->loop, &timer->src);
	(void)close(timer->src.fd);
	timer->src.fd = -1;
}
