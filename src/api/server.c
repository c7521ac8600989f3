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
 * set only when a request or an answer does not go through at once, so normal
 * traffic costs no timer.
 *
 * Pipelined requests are answered in order, one after the other. As in
 * Firecracker, all that came in one piece is looked at first: if something in
 * it is malformed, none of it is carried out.
 */
#include "api/http.h"
#include "api/resource.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/unix_address.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 10
#define BACKLOG     4096 /* the kernel has its own limit */
#define HEAD_NS     5000000000ull
#define BODY_NS     10000000000ull
#define WRITE_NS    10000000000ull
#define LEAVE_NS    1000000000ull
#define IDLE_NS     5000000000ull /* after this a place may be given away */
#define RETRY_NS    100000000ull  /* accept() again after a lack of something */
#define NEVER_NS    (1ull << 60)
#define READ_MAX    16384u
#define KEEP_MAX    16384u /* what an idle client may keep allocated */
#define ANSWER_MIN  256u   /* an answer without a body is shorter */

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

static void client_close(struct client *client);

/* Arm the timer for the earliest deadline, disarm it without one. */
static void set_timer(struct api_server *server)
{
	uint64_t first = server->starved ? now_ns() + RETRY_NS : 0;
	uint64_t now;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		uint64_t t = server->clients[i].deadline_ns;

		if (t && (!first || t < first))
			first = t;
	}
	now = now_ns();
	if (first)
		first = first > now ? first - now : 1;
	if (timer_set(&server->timer, first, 0) < 0)
		log_error("The API cannot set its timer");
}

static void set_phase(struct client *client, enum client_phase phase,
		      uint64_t limit_ns)
{
	uint64_t deadline = limit_ns ? now_ns() + limit_ns : 0;
	bool timed = deadline || client->deadline_ns;

	if (client->phase == phase)
		return;
	client->phase = phase;
	client->deadline_ns = deadline;
	if (timed)
		set_timer(client->server);
}

static void client_close(struct client *client)
{
	if (client->phase == CLIENT_FREE)
		return;
	loop_del(client->server->loop, &client->src);
	fd_close(&client->src.fd);
	buf_free(&client->in);
	buf_free(&client->out);
	set_phase(client, CLIENT_FREE, 0);
}

static void client_watch(struct client *client, uint32_t events)
{
	if (loop_mod(client->server->loop, &client->src, events) < 0)
		client_close(client);
}

/* Send what the client takes. Return: false when the client is gone. */
static bool flush(struct client *client)
{
	struct buf *out = &client->out;

	if (out->failed) {
		client_close(client);
		return false;
	}
	while (client->sent < out->len) {
		ssize_t n = send(client->src.fd, out->data + client->sent,
				 out->len - client->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			client_close(client);
			return false;
		}
		client->sent += (size_t)n;
	}
	client->sent = 0;
	buf_clear(out);
	if (out->capacity > KEEP_MAX)
		buf_free(out);
	return true;
}

/* Malformed HTTP: answer it, then wait for the client to notice. */
static void refuse(struct client *client)
{
	log_error("Received malformed HTTP on the API socket: %s",
		  client->scan.error);
	http_put_error(&client->out, client->scan.error);
	buf_free(&client->in);
	set_phase(client, CLIENT_LEAVING, LEAVE_NS);
}

/*
 * The request at @used, which is whole and well-formed. Room for the answer to
 * what succeeds comes before the deed: a client that gets no answer may send
 * its request again, and nothing has happened yet.
 */
static void answer(struct client *client)
{
	struct api *api = client->server->api;
	const char *data = client->in.data + client->used;
	struct api_reply reply = {0};
	struct http_scan scan = {0};
	const struct http_request *request = &scan.request;

	if (!buf_reserve(&client->out, ANSWER_MIN))
		return;
	(void)http_scan(&scan, data, client->checked - client->used,
			api->settings.payload_max);
	api_handle(api, request->method, request->path, request->path_len,
		   request->body_len > 0 ? data + request->head_len : NULL,
		   request->body_len, &reply);
	http_put_response(&client->out, reply.status, reply.deprecated, false,
			  reply.body.data, reply.body.len);
	client->out.failed |= reply.body.failed;
	buf_free(&reply.body);
	client->used += request->head_len + request->body_len;
	client->continued = false;
}

/* Advance @checked over whole requests; the state of what follows them. */
static enum http_state look_ahead(struct client *client)
{
	struct buf *in = &client->in;
	enum http_state state = HTTP_WANT_HEAD;

	while (client->checked < in->len) {
		state = http_scan(&client->scan, in->data + client->checked,
				  in->len - client->checked,
				  client->server->api->settings.payload_max);
		if (state != HTTP_COMPLETE)
			return state;
		client->checked += client->scan.request.head_len +
				   client->scan.request.body_len;
		client->scan = (struct http_scan){0};
		state = HTTP_WANT_HEAD;
	}
	return state;
}

/* Drop the requests that are done with. */
static void compact(struct client *client)
{
	struct buf *in = &client->in;

	in->len -= client->used;
	if (in->len > 0)
		memmove(in->data, in->data + client->used, in->len);
	else if (in->capacity > KEEP_MAX)
		buf_free(in);
	client->checked -= client->used;
	client->used = 0;
}

/* Answer all whole requests. Return: false when the client is gone or slow. */
static bool answer_all(struct client *client)
{
	while (client->used < client->checked) {
		answer(client);
		if (!flush(client))
			return false;
		set_phase(client, CLIENT_IDLE, 0);
		if (client->out.len > 0) {
			set_phase(client, CLIENT_WRITING, WRITE_NS);
			client_watch(client, EPOLLOUT);
			return false;
		}
	}
	compact(client);
	return true;
}

/* Do what can be done with the bytes that are there. */
static void process(struct client *client)
{
	enum http_state state = look_ahead(client);

	if (state == HTTP_ERROR) {
		refuse(client);
		if (flush(client))
			client_watch(client, EPOLLIN | EPOLLOUT);
		return;
	}
	if (!answer_all(client))
		return;
	if (client->in.len == 0) {
		set_phase(client, CLIENT_IDLE, 0);
		client->idle_ns = now_ns();
	} else if (state == HTTP_WANT_HEAD) {
		set_phase(client, CLIENT_HEAD, HEAD_NS);
	} else {
		set_phase(client, CLIENT_BODY, BODY_NS);
		if (client->scan.request.expects && !client->continued) {
			client->continued = true;
			http_put_continue(&client->out);
			if (!flush(client))
				return;
		}
	}
	client_watch(client, EPOLLIN);
}

/* Return: false at the end of the input or when the client is gone. */
static bool receive(struct client *client)
{
	struct buf *in = &client->in;
	ssize_t n;

	if (!buf_reserve(in, in->len + READ_MAX))
		return false;
	do {
		n = recv(client->src.fd, in->data + in->len, READ_MAX,
			 MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN;
	in->len += (size_t)n;
	return n > 0;
}

/* Throw away what a client still sends behind malformed HTTP. */
static void leave(struct client *client)
{
	char waste[1024];
	ssize_t n;

	if (!flush(client))
		return;
	if (client->out.len == 0) {
		(void)shutdown(client->src.fd, SHUT_WR);
		client_watch(client, EPOLLIN);
	}
	n = recv(client->src.fd, waste, sizeof(waste), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		client_close(client);
}

static void on_client(struct loop_source *src, uint32_t events)
{
	struct client *client = container_of(src, struct client, src);

	(void)events; /* errors and hang-ups show in the calls below */
	if (client->phase == CLIENT_LEAVING) {
		leave(client);
	} else if (client->phase == CLIENT_WRITING) {
		if (flush(client) && client->out.len == 0)
			process(client);
	} else if (receive(client)) {
		process(client);
	} else {
		client_close(client);
	}
}

/* Its end has closed, but the loop has not come to tell yet. */
static bool has_hung_up(const struct client *client)
{
	char c;

	return (client->phase == CLIENT_IDLE || client->phase == CLIENT_HEAD ||
		client->phase == CLIENT_BODY) &&
	       recv(client->src.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* A free place; one that was idle for long is made free. NULL: none. */
static struct client *find_place(struct api_server *server)
{
	struct client *oldest = NULL;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &server->clients[i];

		if (has_hung_up(client))
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
	*client = (struct client){
		.src = {.fd = fd,
			.events = EPOLLIN,
			.kind = LOOP_API_CLIENT,
			.cb = on_client},
		.server = server,
		.phase = CLIENT_IDLE,
		.idle_ns = now_ns(),
	};
	if (loop_add(server->loop, &client->src) < 0)
		client_close(client);
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
	set_timer(server);
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
	set_timer(server);
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
	/* Made now: when descriptors are short it is too late to make it. */
	if (r == 0) {
		r = timer_set(&server->timer, NEVER_NS, 0);
		if (r == 0)
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
	timer_free(&server->timer);
	free(server);
}
