/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - opening what log, metrics and console go to (base/sink.h)
 *
 * O_NONBLOCK belongs to a description, and that of stdout and stderr is shared
 * with the shell and other processes: it must not be set under them. So:
 *
 *   a path                by its role: O_NONBLOCK; a FIFO works without a
 *                         reader
 *   stdout, stderr
 *     pipe, FIFO, tty     opened anew through /proc/self/fd, a terminal that
 *                         belongs to somebody else as /dev/tty: a description
 *                         of our own
 *     socket              MSG_DONTWAIT
 *     regular file        does not block
 *     what is left        a pipe that may not be opened: RWF_NOWAIT (Linux 6.4
 *                         for pipes), else poll() and then no more than fits
 *
 * A process that can open nothing any more has its sinks by then.
 */
#pragma once

#include "base/sink.h"
#include "host/path.h"

/**
 * stream_open() - a file, FIFO or device to write to
 * @role:	PATH_LOG, PATH_METRICS or PATH_SERIAL
 *
 * Return: 0 or -errno with the role's sentence; @sink is as it was then.
 */
int stream_open(const struct path_opener *opener, enum path_role role,
		const char *path, struct sink *sink,
		struct err *err) __must_check;

/**
 * stream_borrow() - write to a descriptor that others share
 * @fd:		stays whose it is: stdout or stderr. A closed one gives
 *		SINK_NONE
 */
void stream_borrow(const struct path_opener *opener, int fd, struct sink *sink);

/**
 * stream_fill_standard() - /dev/null for each of descriptors 0 to 2 that is
 * closed
 *
 * Else the next file or socket that is opened takes the number, and what is
 * printed goes into it. Call it first in main().
 *
 * Return: 0 or -errno.
 */
int stream_fill_standard(void) __must_check;
