/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the API's socket: connections, and HTTP on them
 *
 * Theory of operation
 *
 * The server frames requests; what one means it does not know. A request that
 * is whole goes to ops->ask(), as it came, and its client waits until
 * server_answer(). One request at a time is asked for; the others wait in the
 * order in which they were complete.
 *
 * Ten places for connections; the eleventh connection is told so and closed,
 * unless one of the ten has been idle for so long that its place is given away.
 * While a request is in progress nobody is turned away: a connection that finds
 * no place stays in the listener's queue. Everything is non-blocking and
 * happens on one loop.
 *
 * A connection is one of
 *
 *   idle      nothing of a request is there
 *   head      a request has begun; HEAD_NS for its head
 *   body      its head is there; BODY_NS for its body
 *   waiting   for the answer to its request; for as long as that takes. Nothing
 *             is read meanwhile, and who hangs up has asked all the same
 *   writing   an answer waits for the client to read; WRITE_NS, and no request
 *             is read meanwhile: memory for a client is one request and one
 *             answer, whatever it does
 *   leaving   malformed HTTP was answered; what still comes is thrown away,
 *             until the client closes or LEAVE_NS are over
 *
 * A deadline that passes frees the place. One timer serves all deadlines; it is
 * set only when a request or an answer does not go through at once.
 *
 * Pipelined requests are answered in order, one after the other. As in
 * Firecracker, all that came in one piece is looked at first: if something in
 * it is malformed, none of it is carried out.
 */
#pragma once

#include "base/buf.h"
#include "host/loop.h"

struct server;

/* What the log says of a server. */
enum server_note {
	SERVER_MALFORMED, /* with what is wrong */
	SERVER_IDLE,
	SERVER_SLOW,
	SERVER_FULL,
	SERVER_NO_ACCEPT, /* with an errno */
	SERVER_NO_WATCH,
	SERVER_NR_NOTES,
};

/**
 * struct server_ops - who the server works for
 * @ask:	carry out a request: @len bytes, head and body, valid until the
 *		answer, which comes by server_answer(), not from within
 * @note:	something for the log; @text may be NULL
 */
struct server_ops {
	void (*ask)(void *ctx, const char *raw, size_t len);
	void (*note)(void *ctx, enum server_note note, int rc,
		     const char *text);
};

/**
 * struct server_answer - to the request that was asked last
 * @status:	200, 204, 400 or 413; 0: hang up
 * @deprecated:	add the Deprecation header
 * @body:	JSON; empty for 204
 */
struct server_answer {
	int status;
	bool deprecated;
	const char *body;
	size_t len;
};

/**
 * server_new() - serve a socket that is bound and listens
 * @fd:		taken over, also when this fails
 * @body_max:	largest body of a request, bytes
 *
 * Return: 0 or -errno.
 */
int server_new(struct server **out, struct loop *loop, int fd,
	       uint64_t body_max, const struct server_ops *ops,
	       void *ctx) __must_check;

/* The answer to the request of the last ask(); the next one may be asked. */
void server_answer(struct server *server, const struct server_answer *answer);

/* Closes all connections. May be called with NULL. */
void server_free(struct server *server);
