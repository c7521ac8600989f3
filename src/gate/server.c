// SPDX-License-Identifier: Apache-2.0
/*
 * server.c - the API's socket (theory of operation: server.h)
 */
#include "gate/server_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_NS  5000000000ull /* after this a place may be given away */
#define RETRY_NS 100000000ull  /* accept() again after a lack of something */

void server_set_timer(struct server *server)
{
	uint64_t now = now_ns();
	uint64_t first = server->starved ? now + RETRY_NS : 0;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		uint64_t t = server->clients[i].deadline_ns;

		if (t && (!first || t < first))
			first = t;
	}
	if (first)
		timer_set(&server->timer, first > now ? first - now : 0, 0);
	else
		timer_stop(&server->timer);
}

/* A free place; one that was idle for long is made free. NULL: none. */
static struct client *find_place(struct server *server)
{
	struct client *oldest = NULL;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (client_has_hung_up(client))
			client_close(client);
		if (client->phase == CLIENT_FREE)
			return client;
		if (client->phase == CLIENT_IDLE &&
		    (!oldest || client->idle_ns < oldest->idle_ns))
			oldest = client;
	}
	if (!oldest || now_ns() - oldest->idle_ns < IDLE_NS)
		return NULL;
	server_note(server, SERVER_IDLE, 0, NULL);
	client_close(oldest);
	return oldest;
}

static void client_new(struct server *server, int fd)
{
	struct client *client = find_place(server);

	if (!client) {
		/* A new socket's buffer is empty: this never blocks. */
		(void)fd_send(fd, http_too_many, strlen(http_too_many),
			      MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)close(fd);
		server_note(server, SERVER_FULL, 0, NULL);
		return;
	}
	client_open(client, server, fd);
}

static void listener_watch(struct server *server, uint32_t events)
{
	if (loop_mod(server->loop, &server->src, events) < 0)
		server_note(server, SERVER_NO_WATCH, 0, NULL);
}

/* One at a time: between two, the loop looks at the clients that are there. */
static void on_connection(struct loop_source *src, uint32_t events)
{
	struct server *server = container_of(src, struct server, src);
	int fd;

	(void)events;
	if (server->busy && !find_place(server)) {
		server->full = true;
		listener_watch(server, 0);
		return;
	}
	fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		client_new(server, fd);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/* The connection stays in the queue: do not spin. */
	server_note(server, SERVER_NO_ACCEPT, -errno, NULL);
	server->starved = true;
	listener_watch(server, 0);
	server_set_timer(server);
}

static void server_on_timer(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, timer);
	uint64_t now = now_ns();

	if (server->starved) {
		server->starved = false;
		listener_watch(server, EPOLLIN);
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (client->deadline_ns && client->deadline_ns <= now) {
			server_note(server, SERVER_SLOW, 0, NULL);
			client_close(client);
		}
	}
	server_set_timer(server);
}

/* ---- requests ---- */

/* Ask for what has waited longest. */
static void ask_next(struct server *server)
{
	struct client *next = NULL;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (client->phase == CLIENT_WAITING &&
		    (!next || client->turn < next->turn))
			next = client;
	}
	server->busy = next != NULL;
	server->asking = next;
	if (next)
		server->ops->ask(server->ctx, next->in.data + next->used,
				 next->asked);
}

void server_queue(struct server *server, struct client *client)
{
	client->turn = server->turns++;
	if (!server->busy)
		ask_next(server);
}

void server_answer(struct server *server, const struct server_answer *answer)
{
	client_answer(server->asking, answer);
	ask_next(server);
	if (server->full && !server->starved)
		listener_watch(server, EPOLLIN);
	server->full = false;
}

/* ---- life ---- */

int server_new(struct server **out, struct loop *loop, int fd,
	       uint64_t body_max, const struct server_ops *ops, void *ctx)
{
	struct server *server = calloc(1, sizeof(*server));
	int r;

	if (!server) {
		fd_close(&fd);
		return -ENOMEM;
	}
	server->loop = loop;
	server->ops = ops;
	server->ctx = ctx;
	server->body_max = body_max;
	server->src = (struct loop_source){
		.fd = fd,
		.events = EPOLLIN,
		.cb = on_connection,
	};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		server->clients[i].src.fd = -1;
	timer_init(&server->timer, server->loop, server_on_timer);
	r = loop_add(server->loop, &server->src);
	if (r < 0) {
		server_free(server);
		return r;
	}
	*out = server;
	return 0;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		client_close(&server->clients[i]);
	loop_del(server->loop, &server->src);
	fd_close(&server->src.fd);
	timer_stop(&server->timer);
	free(server);
}
