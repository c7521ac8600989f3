/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the pool's socket and its connections
 *
 * Theory of operation
 *
 * Each connection has one message at a time read, so that none keeps the others
 * waiting. A message becomes a request (request.h) or is refused; what a
 * request does is pool_request()'s.
 *
 * Clients are not trusted:
 *
 *   who		the kernel says it when they connect. A daemon of a user
 *			serves him and root, one of root everybody; others hear
 *			one sentence and are hung up on
 *   number		SERVER_CONNS_MAX in all, half of them for one user other
 *			than the daemon's; more are told and hung up on
 *   requests		at SERVER_ASKS_MAX that have no answer yet a connection
 *			is read no further until one has
 *   answers		are sent or not, nothing waits for a client: one that
 *			does not read its answers is hung up on
 *   descriptors	in a request are closed, and it is refused
 *
 * Context: the loop's thread.
 */
#pragma once

#include "pool/pool.h"

#define SERVER_CONNS_MAX 1024u
#define SERVER_ASKS_MAX  256u

/**
 * struct server - a socket that listens
 * @message:	room for one that is read
 * @again:	when there was no descriptor for a connection: the next try
 */
struct server {
	struct pool_daemon *d;
	struct loop_source src;
	struct list conns;
	unsigned int nr_conns;
	char *message;
	struct timer again;
};

/**
 * server_open() - listen at @path
 *
 * A socket that is there and answers nobody is replaced: the lock of the
 * daemon's folder says that it is not another daemon's.
 *
 * Return: 0 or -errno with a sentence.
 */
int server_open(struct server *s, struct pool_daemon *d, const char *path,
		struct err *err) __must_check;

/* Hang up on all. The socket's name stays the caller's. */
void server_close(struct server *s);
