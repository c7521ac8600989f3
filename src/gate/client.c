// SPDX-License-Identifier: Apache-2.0
/*
 * client.c - one connection of the API (theory of operation: server.h)
 */
#include "gate/server_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/socket.h>

#define HEAD_NS    5000000000ull
#define BODY_NS    10000000000ull
#define WRITE_NS   10000000000ull
#define LEAVE_NS   1000000000ull
#define READ_MAX   16384u
#define KEEP_MAX   16384u /* what an idle client may keep allocated */
#define ANSWER_MIN 256u   /* an answer without a body is shorter */

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
		server_set_timer(client->server);
}

void client_close(struct client *client)
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
	struct loop *loop = client->server->loop;
	int r;

	if (client->src.added) {
		r = loop_mod(loop, &client->src, events);
	} else {
		client->src.events = events;
		r = loop_add(loop, &client->src);
	}
	if (r < 0)
		client_close(client);
}

/* Send what the client takes. Return: false when the client is gone. */
static bool client_flush(struct client *client)
{
	struct buf *out = &client->out;

	if (out->failed) {
		client_close(client);
		return false;
	}
	while (client->sent < out->len) {
		ssize_t n = fd_send(client->src.fd, out->data + client->sent,
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
static void client_refuse(struct client *client)
{
	server_note(client->server, SERVER_MALFORMED, 0, client->scan.error);
	http_put_error(&client->out, client->scan.error);
	buf_free(&client->in);
	set_phase(client, CLIENT_LEAVING, LEAVE_NS);
}

/* Advance @checked over whole requests; the state of what follows them. */
static enum http_state look_ahead(struct client *client)
{
	struct buf *in = &client->in;
	enum http_state state = HTTP_WANT_HEAD;

	while (client->checked < in->len) {
		state = http_scan(&client->scan, in->data + client->checked,
				  in->len - client->checked,
				  client->server->body_max);
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

/*
 * The request at @used, which is whole and well-formed. Room for the answer to
 * what succeeds comes before the deed: a client that gets no answer may send
 * its request again, and nothing has happened yet.
 */
static void client_ask(struct client *client)
{
	struct http_scan scan = {0};

	if (!buf_reserve(&client->out, ANSWER_MIN)) {
		client_close(client);
		return;
	}
	(void)http_scan(&scan, client->in.data + client->used,
			client->checked - client->used,
			client->server->body_max);
	client->asked = scan.request.head_len + scan.request.body_len;
	set_phase(client, CLIENT_WAITING, 0);
	server_queue(client->server, client);
}

/* Do what can be done with the bytes that are there. */
static void process(struct client *client)
{
	enum http_state state = look_ahead(client);

	if (state == HTTP_ERROR) {
		client_refuse(client);
		if (client_flush(client))
			client_watch(client, EPOLLIN | EPOLLOUT);
		return;
	}
	if (client->used < client->checked) {
		client_ask(client);
		return;
	}
	compact(client);
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
			if (!client_flush(client))
				return;
		}
	}
	client_watch(client, EPOLLIN);
}

void client_answer(struct client *client, const struct server_answer *answer)
{
	if (answer->status == 0) {
		client_close(client);
		return;
	}
	http_put_response(&client->out, answer->status, answer->deprecated,
			  false, answer->body, answer->len);
	client->used += client->asked;
	client->continued = false;
	if (!client_flush(client))
		return;
	set_phase(client, CLIENT_IDLE, 0);
	if (client->out.len > 0) {
		set_phase(client, CLIENT_WRITING, WRITE_NS);
		client_watch(client, EPOLLOUT);
		return;
	}
	process(client);
}

/* Return: false at the end of the input or when the client is gone. */
static bool client_receive(struct client *client)
{
	struct buf *in = &client->in;
	ssize_t n;

	if (!buf_reserve(in, in->len + READ_MAX))
		return false;
	do {
		n = fd_recv(client->src.fd, in->data + in->len, READ_MAX,
			    MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN;
	in->len += (size_t)n;
	return n > 0;
}

/* Throw away what a client still sends behind malformed HTTP. */
static void client_leave(struct client *client)
{
	char waste[1024];
	ssize_t n;

	if (!client_flush(client))
		return;
	if (client->out.len == 0) {
		(void)shutdown(client->src.fd, SHUT_WR);
		client_watch(client, EPOLLIN);
	}
	n = fd_recv(client->src.fd, waste, sizeof(waste), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		client_close(client);
}

/*
 * More of a request, or a hang-up, has time until the answer is there. Nothing
 * closes the connection before: its request is read from its buffer.
 */
static void look_away(struct client *client, uint32_t events)
{
	struct loop *loop = client->server->loop;

	if (events & (EPOLLHUP | EPOLLERR) ||
	    loop_mod(loop, &client->src, 0) < 0)
		loop_del(loop, &client->src);
}

static void on_client(struct loop_source *src, uint32_t events)
{
	struct client *client = container_of(src, struct client, src);

	/* Errors and hang-ups show in the calls of the other phases. */
	if (client->phase == CLIENT_WAITING) {
		look_away(client, events);
	} else if (client->phase == CLIENT_LEAVING) {
		client_leave(client);
	} else if (client->phase == CLIENT_WRITING) {
		if (client_flush(client) && client->out.len == 0)
			process(client);
	} else if (client_receive(client)) {
		process(client);
	} else {
		client_close(client);
	}
}

bool client_has_hung_up(const struct client *client)
{
	char c;

	return (client->phase == CLIENT_IDLE || client->phase == CLIENT_HEAD ||
		client->phase == CLIENT_BODY) &&
	       fd_recv(client->src.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void client_open(struct client *client, struct server *server, int fd)
{
	*client = (struct client){
		.src = {.fd = fd, .events = EPOLLIN, .cb = on_client},
		.server = server,
		.phase = CLIENT_IDLE,
		.idle_ns = now_ns(),
	};
	if (loop_add(server->loop, &client->src) < 0)
		client_close(client);
}
