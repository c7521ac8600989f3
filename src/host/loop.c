// SPDX-License-Identifier: Apache-2.0
/*
 * loop.c - the event loop of the VMM thread (theory of operation: loop.h)
 */
#include "host/timer.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000u
#define NS_PER_MS 1000000u

int loop_init(struct loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->owner = pthread_self();
	list_init(&loop->timers);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *loop)
{
	assert(list_empty(&loop->timers));
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

static int control(struct loop *loop, int op, struct loop_source *src)
{
	struct epoll_event ev = {.events = src->events, .data.ptr = src};

	loop_assert_own(loop);
	return epoll_ctl(loop->epoll_fd, op, src->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct loop_source *src)
{
	int r = control(loop, EPOLL_CTL_ADD, src);

	src->added = r == 0;
	return r;
}

int loop_mod(struct loop *loop, struct loop_source *src, uint32_t events)
{
	uint32_t was = src->events;
	int r;

	if (was == events)
		return 0;
	src->events = events;
	r = control(loop, EPOLL_CTL_MOD, src);
	if (r < 0)
		src->events = was; /* still what the kernel watches */
	return r;
}

void loop_del(struct loop *loop, struct loop_source *src)
{
	if (!src->added)
		return;
	loop_assert_own(loop);
	src->added = false;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	for (int i = 0; i < loop->nr_batch; i++)
		if (loop->batch[i].data.ptr == src)
			loop->batch[i].data.ptr = NULL;
}

/* epoll_pwait2(), which musl does not have. Return: events, or -1 and errno. */
static int wait_ns(struct loop *loop, uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};

	return (int)syscall(SYS_epoll_pwait2, loop->epoll_fd, loop->batch,
			    LOOP_BATCH, ns < UINT64_MAX ? &ts : NULL, NULL, 0);
}

int loop_step(struct loop *loop, int timeout_ms)
{
	uint64_t ns = timer_wait_ns(loop);
	int n;

	loop_assert_own(loop);
	if (timeout_ms >= 0 && ns > (uint64_t)timeout_ms * NS_PER_MS)
		ns = (uint64_t)timeout_ms * NS_PER_MS;
	n = wait_ns(loop, ns);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->nr_batch = n;
	for (int i = 0; i < n && !loop->quit; i++) {
		struct loop_source *src = loop->batch[i].data.ptr;

		if (src)
			src->cb(src, loop->batch[i].events);
	}
	loop->nr_batch = 0;
	timer_run(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	while (!loop->quit) {
		int r = loop_step(loop, -1);

		if (r < 0)
			return r;
	}
	return 0;
}
