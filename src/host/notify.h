/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - tell the service manager what this process is at
 *
 * Theory of operation
 *
 * A service manager that wants to hear of us names a datagram socket in
 * $NOTIFY_SOCKET and, when it wants to hear from us again and again, the time
 * after which it takes us for dead in $WATCHDOG_USEC. A message is lines of
 * NAME=VALUE. That is all of systemd's protocol that is used: no library, and
 * another manager may speak it (sd_notify(3)).
 *
 * The socket is connected before the process locks itself. From then on a
 * message is one sendmsg(), which the filters allow, on a socket that was
 * connected before, which Landlock and namespaces of our own leave alone.
 *
 * A manager that is busy must not stop a VM: nothing here waits. What its
 * queue has no room for is sent again a little later, and only the last state
 * is kept, for what was before it no longer matters. "Ready" is part of every
 * state from the first on which it was true, until one has arrived.
 *
 * The watchdog is a timer of the loop, so it tells that the loop goes round:
 * the VMM thread lives. It says nothing of the guest.
 *
 * Without $NOTIFY_SOCKET all of it does nothing.
 *
 * Context: the loop's thread.
 */
#pragma once

#include "base/err.h"
#include "host/timer.h"

#define NOTIFY_STATUS_MAX 256

/**
 * struct notify - what is to be told
 * @fd:		-1: nobody wants to know
 * @again:	set while @status has not arrived
 * @watchdog:	set while the manager wants a sign of life
 * @ready:	"ready" was not sent yet, and is true
 * @was_ready:	it was sent
 * @stopping:	the process is about to end
 */
struct notify {
	int fd;
	struct timer again;
	struct timer watchdog;
	bool ready;
	bool was_ready;
	bool stopping;
	char status[NOTIFY_STATUS_MAX];
};

/**
 * notify_open() - connect to the manager, if there is one
 *
 * Takes the variables out of the environment: they are for this process, not
 * for one that it may start. notify_close() in any case.
 *
 * Return: 0, also when nobody asks; -errno with a sentence when $NOTIFY_SOCKET
 * cannot be used: nothing will be told then, which need not end the caller.
 */
int notify_open(struct notify *n, struct loop *loop,
		struct err *err) __must_check;

/* Also of one that is zero but for @fd, -1. */
void notify_close(struct notify *n);

/**
 * notify_status() - a line for people: what the process is at
 * @status:	any text; made one line, cut at NOTIFY_STATUS_MAX - 1 bytes
 */
void notify_status(struct notify *n, const char *status);

/* The same, and from now on the service counts as started. */
void notify_ready(struct notify *n, const char *status);

/* The same, and the process is about to end; the last word. */
void notify_stopping(struct notify *n, const char *status);
