/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - a request to a VM's API that nobody waits for
 *
 * Theory of operation
 *
 * As client/api_client.h, whose limits hold here, but by the loop: one
 * connection, one request at a time, and a function that is called with the
 * answer, or with what went wrong, within a deadline. The connection is watched
 * between requests as well: bytes that nobody asked for, or its end, are told
 * as a failure. What comes may be of a VM that means ill, so an answer is taken
 * only if it is exactly one, and after a failure the connection is closed.
 *
 * While nothing is under way a connection keeps no memory but its struct.
 *
 * Context: the loop's thread. The callback may start the next request, close
 * the call and free its owner.
 */
#pragma once

#include "base/buf.h"
#include "client/api_client.h"
#include "host/timer.h"

/**
 * struct call - a connection
 * @src:	its descriptor; -1: there is none
 * @busy:	a request is under way
 * @done:	@status: of the answer, whose body is @len bytes at @body and
 *		not NUL-terminated; or -errno
 */
struct call {
	struct loop *loop;
	struct loop_source src;
	struct timer deadline;
	struct buf out;
	size_t sent;
	struct buf in;
	bool busy;
	void (*done)(struct call *call, int status, const char *body,
		     size_t len);
};

void call_init(struct call *call, struct loop *loop,
	       void (*done)(struct call *call, int status, const char *body,
			    size_t len));

/**
 * call_open() - connect to the socket at @path, now or not at all
 *
 * Return: 0; -ENOENT and -ECONNREFUSED when nobody listens yet, -EAGAIN when
 * its backlog is full; -errno.
 */
int call_open(struct call *call, const char *path) __must_check;

/* Is it @pid that listens there? Its directory is its owner's, who could put
 * another VM's socket in its place. */
bool call_is_of(const struct call *call, pid_t pid);

/* Twice is once. @done is not called any more. */
void call_close(struct call *call);

/* Give up the connection, without a request under way. Return: its descriptor,
 * blocking, or -1. */
int call_steal(struct call *call);

/**
 * call_start() - send a request
 *
 * Return: 0, and @done will be called, never from here; -errno, and the
 * connection is closed.
 */
int call_start(struct call *call, const char *method, const struct buf *target,
	       const struct buf *body, unsigned int limit_ms) __must_check;

/* ---- what has no socket, for the fuzzer ---- */

/**
 * call_answer() - is it an answer?
 * @status, @body, @body_len:	of one that is whole
 *
 * Return: 1: whole; 0: more has to come; -EBADMSG, -EMSGSIZE.
 */
int call_answer(const char *data, size_t len, int *status, const char **body,
		size_t *body_len) __must_check;
