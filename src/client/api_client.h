/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_client.h - a running VM's API, as a client speaks to it
 *
 * Theory of operation
 *
 * One connection to the Unix socket of one VM, and requests on it, one after
 * the other: api_client_call() sends one and returns its whole answer. Nobody
 * else writes requests. What an answer means, its JSON above all, is the
 * caller's business.
 *
 * Who listens is known: the process that called listen(), which the kernel
 * tells (SO_PEERCRED). It may be anything, though, also a process that means
 * ill, so nothing that it does costs more than this:
 *
 *   time		a call has @limit_ms from its beginning to the last byte
 *			of its answer, however the bytes come. With @waiting
 *			there is no limit, for a VM does what it was asked
 *			whether or not somebody waits; then somebody is told
 *			each second
 *   memory		API_CLIENT_HEAD_MAX and API_CLIENT_BODY_MAX; it is taken
 *			as bytes come, not as they are promised
 *   work		each byte is looked at once
 *
 * An answer is a head with a Content-Length, or with a status that has no body,
 * and as many bytes (RFC 9112, 6). Everything else is refused: another coding,
 * an end that only the end of the connection tells, an interim answer, bytes
 * behind the answer, which would pass for that of the next request; if they
 * come later, that request is not sent.
 *
 * A server that has no place for us answers before it has read the request, and
 * closes. So where sending fails because of that, the answer is read all the
 * same.
 *
 * After a call that failed nobody knows what comes next on the connection: it
 * is closed, and further calls fail.
 *
 * Context: one thread a client; SIGPIPE is not raised.
 */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

#define API_CLIENT_LIMIT_MS 10000
#define API_CLIENT_HEAD_MAX 4096u
#define API_CLIENT_BODY_MAX MIB(1)

/**
 * struct api_client - a connection
 * @fd:		-1 when there is none
 * @pid:	of the process that listens
 * @limit_ms:	for a whole call; API_CLIENT_LIMIT_MS at first
 * @waiting:	NULL at first; called when a call has taken another second
 * @begin_ns, @seconds:	of the call that is under way
 * @used:	there was one before
 */
struct api_client {
	int fd;
	pid_t pid;
	unsigned int limit_ms;
	void (*waiting)(struct api_client *client, unsigned int seconds);
	uint64_t begin_ns;
	unsigned int seconds;
	bool used;
};

#define API_CLIENT_NONE ((struct api_client){.fd = -1})

/**
 * struct api_answer - what came
 * @body:	in @raw, @len bytes; not NUL-terminated
 */
struct api_answer {
	int status;
	const char *body;
	size_t len;
	struct buf raw;
};

/**
 * api_client_open() - connect to the socket at @path
 *
 * Waits API_CLIENT_LIMIT_MS for room in the listener's backlog. Return: 0;
 * -ENOENT when there is none, -ECONNREFUSED when nobody listens, -ETIMEDOUT, or
 * -errno of unix_connect(). @client is API_CLIENT_NONE then.
 */
int api_client_open(struct api_client *client, const char *path) __must_check;

/* The same on a socket that is connected; @fd is taken over. Return: 0 or
 * -errno. */
int api_client_open_fd(struct api_client *client, int fd) __must_check;

/* Twice is once. */
void api_client_close(struct api_client *client);

/**
 * api_client_call() - one request and its answer
 * @method, @target:	as they stand in the request line
 * @body, @len:		JSON; NULL and 0 for none
 * @answer:		api_answer_free() it in any case
 *
 * Return: 0, whatever the status is; -ETIMEDOUT; -ECONNRESET when the
 * connection ended before the answer did; -EMSGSIZE for an answer that is too
 * long; -EBADMSG for bytes that are none; -ENOTCONN; -ENOMEM; -errno.
 */
int api_client_call(struct api_client *client, const char *method,
		    const char *target, const char *body, size_t len,
		    struct api_answer *answer) __must_check;

void api_answer_free(struct api_answer *answer);
