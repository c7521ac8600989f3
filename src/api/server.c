// SPDX-License-Identifier: Apache-2.0
/*
 * server.c - the API's Unix socket
 *
 * Theory of operation
 *
 * Ten places for connections; the eleventh connection is told so and closed,
 * unless one of the ten has been idle for so long that its place is given away.
 * Everything is non-blocking and happens on the VMM thread's loop.
 *
 * A connection is one of
 *
 *   idle      nothing of a request is there
 *   head      a request has begun; HEAD_NS for its head
 *   body      its head is there; BODY_NS for its body
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
#include "api/server_priv.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/unix_address.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG  4096          /* the kernel has its own limit */
#define IDLE_NS  5000000000ull /* after this a place may be given away */
#define RETRY_NS 100000000ull  /* accept() again after a lack of something */

void server_set_timer(struct api_server *server)
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
static struct client *find_place(struct api_server *server)
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
	log_info("An idle API connection is closed to make room");
	client_close(oldest);
	return oldest;
}

static void client_new(struct api_server *server, int fd)
{
	struct client *client = find_place(server);

	if (!client) {
		/* A new socket's buffer is empty: this never blocks. */
		(void)send(fd, http_too_many, strlen(http_too_many),
			   MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)close(fd);
		log_error("Too many open API connections");
		return;
	}
	client_open(client, server, fd);
}

static void listener_watch(struct api_server *server, uint32_t events)
{
	if (loop_mod(server->loop, &server->src, events) < 0)
		log_error("The API cannot watch its socket");
}

/* One at a time: between two, the loop looks at the clients that are there. */
static void on_connection(struct loop_source *src, uint32_t events)
{
	struct api_server *server = container_of(src, struct api_server, src);
	int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		client_new(server, fd);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/* The connection stays in the queue: do not spin. */
	log_guest(LOG_ERROR, "The API cannot accept a connection: %s",
		  err_name(errno));
	server->starved = true;
	listener_watch(server, 0);
	server_set_timer(server);
}

static void on_timer(struct timer *timer)
{
	struct api_server *server =
		container_of(timer, struct api_server, timer);
	uint64_t now = now_ns();

	if (server->starved) {
		server->starved = false;
		listener_watch(server, EPOLLIN);
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (client->deadline_ns && client->deadline_ns <= now) {
			log_info("A slow API connection is closed");
			client_close(client);
		}
	}
	server_set_timer(server);
}

static int bind_socket(struct api_server *server, const char *path,
		       struct err *err)
{
	struct sockaddr_un addr;
	int r = unix_address(&addr, path);

	if (r < 0)
		return err_set(err, r,
			       "Failed to open the API socket at: %s. A path "
			       "has 1 to %zu characters.",
			       path, UNIX_PATH_MAX);
	server->src.fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->src.fd < 0)
		return err_set(err, -errno, "Cannot create a socket: %s",
			       err_name(errno));
	if (bind(server->src.fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = -errno;
		if (r == -EADDRINUSE)
			return err_set(err, r,
				       "Failed to open the API socket at: %s. "
				       "Check that it is not already used.",
				       path);
		return err_set(err, r,
			       "Failed to open the API socket at: %s. %s", path,
			       err_name(r));
	}
	server->file = file_id_of(path);
	server->path = strdup(path);
	if (!server->path || listen(server->src.fd, BACKLOG) < 0) {
		r = server->path ? -errno : -ENOMEM;
		return err_set(err, r, "Cannot listen at %s: %s", path,
			       err_name(r));
	}
	return 0;
}

int api_server_new(struct api_server **out, struct api *api, const char *path,
		   struct err *err)
{
	struct api_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return err_set(err, -ENOMEM, "Out of memory");
	server->api = api;
	server->loop = api->vm->loop;
	server->src = (struct loop_source){
		.fd = -1,
		.events = EPOLLIN,
		.kind = LOOP_API_LISTENER,
		.cb = on_connection,
	};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		server->clients[i].src.fd = -1;
	timer_init(&server->timer, server->loop, on_timer);
	r = bind_socket(server, path, err);
	if (r == 0) {
		r = loop_add(server->loop, &server->src);
		if (r < 0)
			err_set(err, r, "Cannot watch the API socket: %s",
				err_name(r));
	}
	if (r < 0) {
		api_server_free(server);
		return r;
	}
	api_counters_started(api);
	*out = server;
	return 0;
}

void api_server_free(struct api_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		client_close(&server->clients[i]);
	loop_del(server->loop, &server->src);
	fd_close(&server->src.fd);
	if (server->path)
		file_unlink_own(server->path, server->file);
	free(server->path);
	timer_stop(&server->timer);
	free(server);
}
