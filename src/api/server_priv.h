/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_priv.h - what the listener and a connection share (theory: server.c)
 */
#pragma once

#include "api/resource.h"
#include "gate/http.h"

#define CLIENTS_MAX 10

struct api_server;

enum client_phase {
	CLIENT_FREE,
	CLIENT_IDLE,
	CLIENT_HEAD,
	CLIENT_BODY,
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
 * @out:	bytes that the client has not taken; the first @sent are sent
 * @deadline_ns:	of the present phase; 0 none
 * @idle_ns:	since when the client is idle
 */
struct client {
	struct loop_source src;
	struct api_server *server;
	enum client_phase phase;
	struct buf in;
	size_t used;
	size_t checked;
	struct http_scan scan;
	bool continued;
	struct buf out;
	size_t sent;
	uint64_t deadline_ns;
	uint64_t idle_ns;
};

/**
 * struct api_server - the listener and its clients
 * @path:	of the socket; ours to remove while it names @file
 * @starved:	accept() failed for lack of something; @timer tries again
 */
struct api_server {
	struct loop_source src;
	struct api *api;
	struct loop *loop;
	struct timer timer;
	char *path;
	struct file_id file;
	bool starved;
	struct client clients[CLIENTS_MAX];
};

/* Arm the timer for the earliest deadline, disarm it without one. */
void server_set_timer(struct api_server *server);

/* A connection takes the free place @client. */
void client_open(struct client *client, struct api_server *server, int fd);

/* Harmless on a free place. */
void client_close(struct client *client);

/* Its end has closed, but the loop has not come to tell yet. */
bool client_has_hung_up(const struct client *client);
