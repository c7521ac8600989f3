// SPDX-License-Identifier: Apache-2.0
/*
 * notify.c - tell the service manager what this process is at (notify.h)
 */
#include "host/notify.h"

#include "base/clean.h"
#include "base/fd.h"
#include "host/unix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_NS UINT64_C(100000000)

/* Return: 0, or -errno; -EAGAIN when the manager's queue is full. */
static int notify_send(const struct notify *n, const char *text)
{
	ssize_t r =
		unix_send_fds(n->fd, text, strlen(text), NULL, 0, MSG_DONTWAIT);

	return r < 0 ? (int)r : 0;
}

/* The whole state. A manager that is gone hears nothing, and needs nothing. */
static void notify_tell(struct notify *n)
{
	char text[NOTIFY_STATUS_MAX + 64];
	int r;

	if (n->fd < 0)
		return;
	(void)snprintf(text, sizeof(text), "%s%sSTATUS=%s\n",
		       n->ready ? "READY=1\n" : "",
		       n->stopping ? "STOPPING=1\n" : "", n->status);
	r = notify_send(n, text);
	if (r == -EAGAIN || r == -ENOBUFS) {
		timer_set(&n->again, AGAIN_NS, 0);
		return;
	}
	timer_stop(&n->again);
	n->was_ready = n->was_ready || n->ready;
	n->ready = false;
}

static void notify_again(struct timer *timer)
{
	notify_tell(container_of(timer, struct notify, again));
}

/* One that is lost is made good by the next: two of them fit into the time. */
static void notify_alive(struct timer *timer)
{
	(void)notify_send(container_of(timer, struct notify, watchdog),
			  "WATCHDOG=1\n");
}

/* A number, or 0 for anything else. */
static uint64_t notify_number(const char *text)
{
	uint64_t value = 0;

	if (!text || strlen(text) > 18 ||
	    strspn(text, "0123456789") != strlen(text))
		return 0;
	while (*text)
		value = value * 10 + (uint64_t)(*text++ - '0');
	return value;
}

/* The time is for the process that WATCHDOG_PID names, if it names one. */
static void notify_start_watchdog(struct notify *n)
{
	uint64_t us = notify_number(getenv("WATCHDOG_USEC"));
	const char *pid = getenv("WATCHDOG_PID");

	if (us == 0 || us > UINT64_MAX / 1000 ||
	    (pid && notify_number(pid) != (uint64_t)getpid()))
		return;
	timer_set(&n->watchdog, us * 1000 / 2, us * 1000 / 2);
}

int notify_open(struct notify *n, struct loop *loop, struct err *err)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int r = 0;

	*n = (struct notify){.fd = -1};
	timer_init(&n->again, loop, notify_again);
	timer_init(&n->watchdog, loop, notify_alive);
	if (name && name[0]) {
		r = unix_connect_datagrams(name);
		if (r < 0)
			r = err_set(err, r,
				    "Cannot reach the service manager at "
				    "NOTIFY_SOCKET=%s: %s",
				    name, err_name(r));
		else
			n->fd = r;
	}
	if (n->fd >= 0)
		notify_start_watchdog(n);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	return r < 0 ? r : 0;
}

void notify_close(struct notify *n)
{
	if (n->again.loop) {
		timer_stop(&n->again);
		timer_stop(&n->watchdog);
	}
	fd_close(&n->fd);
}

void notify_status(struct notify *n, const char *status)
{
	if (n->fd < 0 || n->stopping)
		return;
	(void)clean_text(n->status, sizeof(n->status), status, strlen(status));
	notify_tell(n);
}

void notify_ready(struct notify *n, const char *status)
{
	n->ready = !n->was_ready;
	notify_status(n, status);
}

void notify_stopping(struct notify *n, const char *status)
{
	if (n->fd < 0 || n->stopping)
		return;
	(void)clean_text(n->status, sizeof(n->status), status, strlen(status));
	n->stopping = true;
	n->ready = false;
	notify_tell(n);
}
