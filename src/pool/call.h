/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - requests to a VM's API that nobody waits for
 *
 * Theory of operation
 *
 * As client/api_client.h, whose limits hold here, but by the loop: one
 * connection, and a function that is called with the answer, or with what went
 * wrong, within a deadline. A request may follow another at once: the VM does
 * one after the other, and only the last answer is told, or the first that is
 * no success. The connection is watched between requests as well: bytes that
 * nobody asked for, or its end, are told as a failure. What comes may be of a
 * VM that means ill, so an answer is taken only if it is exactly one, and
 * after a failure the connection is closed.
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
 * @left:	answers that have to come
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
	unsigned int left;
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

/* A request behind those that are under way, for call_go() to send. Return: 0;
 * -errno, and the connection is closed. */
int call_add(struct call *call, const char *method, const struct buf *target,
	     const struct buf *body) __must_check;

/**
 * call_go() - send what was added, in one go
 * @limit_ms:	for all that is under way, from now on
 *
 * Return: 0, and @done will be called, once and never from here; -errno, and
 * the connection is closed.
 */
int call_go(struct call *call, unsigned int limit_ms) __must_check;

/* Both, of a request by itself. Return: as call_go(). */
int call_start(struct call *call, const char *method, const struct buf *target,
	       const struct buf *body, unsigned int limit_ms) __must_check;

/* Of a @status as @done has it: did the VM do what was asked? */
static inline bool call_is_success(int status)
{
	return status >= 200 && status < 300;
}

/* ---- what has no socket, for the fuzzer ---- */

/**
 * call_answer() - is it an answer?
 * @more:	something may follow it
 * @status, @body, @body_len:	of one that is whole
 *
 * Return: 1: whole; 0: more has to come; -EBADMSG, -EMSGSIZE.
 */
int call_answer(const char *data, size_t len, bool more, int *status,
		const char **body, size_t *body_len) __must_check;
