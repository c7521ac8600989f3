/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - where log, metrics and console go: writes that never block
 *
 * Theory of operation
 *
 * Whoever reads our output may have stopped: a pipe that nobody empties, a
 * terminal that is held with Ctrl-S, a full disk. The VM and its API go on all
 * the same, so a write takes what there is room for and says so.
 *
 * host/stream.h opens them, so that this holds.
 *
 * Any thread may write; order and whole lines are the caller's.
 */
#pragma once

#include "base/bits.h"

#include <sys/types.h>

enum sink_kind {
	SINK_NONE, /* what is written is discarded */
	SINK_OWN,  /* never blocks: a regular file, our own description */
	SINK_SOCKET,
	SINK_SHARED, /* a description of others that may block */
};

/**
 * struct sink - one target
 * @fd:		-1: SINK_NONE
 * @owned:	sink_close() closes it
 * @is_tty:	a terminal, which is looked at once: later that may be forbidden
 */
struct sink {
	int fd;
	enum sink_kind kind;
	bool owned;
	bool is_tty;
};

#define SINK_CLOSED (struct sink){.fd = -1}

/* Harmless on a closed one. */
void sink_close(struct sink *sink);

/**
 * sink_write() - as many of @len bytes as there is room for now
 *
 * Async-signal-safe. Up to PIPE_BUF bytes enter a pipe of our own whole or not
 * at all.
 *
 * Return: bytes taken, -EAGAIN when there is no room, or -errno.
 */
ssize_t sink_write(const struct sink *sink, const void *data,
		   size_t len) __must_check;

/**
 * sink_write_last() - all of it, for a process that is about to end
 *
 * A sink that takes nothing for a second, or not all in five, loses the rest.
 */
void sink_write_last(const struct sink *sink, const void *data, size_t len);

/**
 * sink_last_room() - sink_write_last() for those who have more than one piece
 * @end_ms:	0 before the first call
 *
 * Return: true when there may be room; false when it is time to give up.
 */
bool sink_last_room(const struct sink *sink, int64_t *end_ms);
