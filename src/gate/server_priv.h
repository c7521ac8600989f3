/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_priv.h - what the listener and a connection share (theory: server.h)
 */
#pragma once

#include "gate/http.h"
#include "gate/server.h"
#include "host/timer.h"

#define CLIENTS_MAX 10

enum client_phase {
	CLIENT_FREE,
	CLIENT_IDLE,
	CLIENT_HEAD,
	CLIENT_BODY,
	CLIENT_WAITING,
	CLIENT_WRITING,
	CLIENT_LEAVING,
};

/**
 * struct client - a connection
 * @in:		bytes received; the first @used of them are done with
 * @used:	where the next request begins
 * @checked:	all before this is well-formed; >= @used
 * @scan:	of the request that begins at @checked
 * @continued:	100 Continue was sent for the request at @used
 * @turn:	waiting: who has the lowest is next
 * @asked:	waiting: bytes of the request at @used
 * @out:	bytes that the client has not taken; the first @sent are sent
 * @deadline_ns:	of the present phase; 0 none
 * @idle_ns:	since when the client is idle
 */
struct client {
	struct loop_source src;
	struct server *server;
	enum client_phase phase;
	struct buf in;
	size_t used;
	size_t checked;
	struct http_scan scan;
	bool continued;
	uint64_t turn;
	size_t asked;
	struct buf out;
	size_t sent;
	uint64_t deadline_ns;
	uint64_t idle_ns;
};

/**
 * struct server - the listener and its clients
 * @busy:	a request is in progress
 * @asking:	whose it is
 * @turns:	how many requests have been queued
 * @full:	no place, and a request is in progress: the listener has to wait
 * @starved:	accept() failed for lack of something; @timer tries again
 */
struct server {
	struct loop_source src;
	struct loop *loop;
	const struct server_ops *ops;
	void *ctx;
	uint64_t body_max;
	struct timer timer;
	bool busy;
	struct client *asking;
	uint64_t turns;
	bool full;
	bool starved;
	struct client clients[CLIENTS_MAX];
};

/* Arm the timer for the earliest deadline, disarm it without one. */
void server_set_timer(struct server *server);

/* @client has a whole request, and waits from here on. */
void server_queue(struct server *server, struct client *client);

static inline void server_note(const struct server *server,
			       enum server_note note, int rc, const char *text)
{
	server->ops->note(server->ctx, note, rc, text);
}

/* A connection takes the free place @client. */
void client_open(struct client *client, struct server *server, int fd);

/* Harmless on a free place. */
void client_close(struct client *client);

/* Its end has closed, but the loop has not come to tell yet. */
bool client_has_hung_up(const struct client *client);

/* The answer to the request at @used. */
void client_answer(struct client *client, const struct server_answer *answer);
