/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - the event loop of the VMM thread (epoll, level-triggered)
 *
 * One thread owns a loop and everything on it: the one that made it. Other
 * threads reach it only by an eventfd or socket that is one of its sources. A
 * source is embedded in its owner; callbacks may add, change and remove any
 * source, themselves included.
 *
 * A round waits for events until the first deadline (host/timer.h), calls the
 * sources that have some, then the timers that are due.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"

#include <pthread.h>
#include <sys/epoll.h>

#define LOOP_BATCH 32

/**
 * struct loop_source - a descriptor that the loop watches
 * @fd:		not owned by the loop
 * @events:	EPOLLIN, EPOLLOUT...; 0 keeps it registered but silent (errors
 *		and hang-ups are still reported: remove the source to stop them)
 */
struct loop_source {
	int fd;
	uint32_t events;
	void (*cb)(struct loop_source *src, uint32_t events);
	bool added;
};

/**
 * struct loop - one thread's
 * @owner:	that thread
 * @timers:	struct timer that are set, by deadline
 * @batch:	events of this round; a source that was removed: NULL
 */
struct loop {
	int epoll_fd;
	bool quit;
	pthread_t owner;
	struct list timers;
	struct epoll_event batch[LOOP_BATCH];
	int nr_batch;
};

/* Return: 0 or -errno. */
int loop_init(struct loop *loop) __must_check;

/* No timer is set any more. */
void loop_fini(struct loop *loop);

/* Return: 0 or -errno of epoll_ctl. @src->fd, events and cb are set. */
int loop_add(struct loop *loop, struct loop_source *src) __must_check;

/* Change what is watched. No system call when @events stays as it is. Return: 0
 * or -errno of epoll_ctl. */
int loop_mod(struct loop *loop, struct loop_source *src,
	     uint32_t events) __must_check;

/* Forget the source, pending events of this round included. May be called
 * twice, and for a source that was never added. Call before closing the fd. */
void loop_del(struct loop *loop, struct loop_source *src);

/**
 * loop_run() - dispatch until loop_quit()
 *
 * Return: 0, or -errno when waiting fails for good: -ENOSYS before Linux 5.11.
 */
int loop_run(struct loop *loop) __must_check;

/* One round: wait at most @timeout_ms (-1: for ever, or the first deadline).
 * Return: as loop_run(). */
int loop_step(struct loop *loop, int timeout_ms) __must_check;

/* Whatever changes a loop is its thread. */
static inline void loop_assert_own(const struct loop *loop)
{
	assert(pthread_equal(loop->owner, pthread_self()));
}

static inline void loop_quit(struct loop *loop)
{
	loop->quit = true;
}
