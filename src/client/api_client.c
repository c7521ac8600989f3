// SPDX-License-Identifier: Apache-2.0
/*
 * api_client.c - requests to a VM's API (theory of operation: api_client.h)
 */
#include "client/api_client.h"

#include "base/fd.h"
#include "base/http_parse.h"
#include "host/clock.h"
#include "host/unix.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define PIECE  4096u /* what one recv() may bring */
#define MS_NS  1000000u
#define S_NS   1000000000u
#define NO_END SIZE_MAX

int api_client_open_fd(struct api_client *client, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	*client = API_CLIENT_NONE;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		int r = -errno;

		fd_close(&fd);
		return r;
	}
	client->fd = fd;
	client->pid = peer.pid;
	client->limit_ms = API_CLIENT_LIMIT_MS;
	return 0;
}

int api_client_open(struct api_client *client, const char *path)
{
	int fd = unix_connect(path, API_CLIENT_LIMIT_MS);

	*client = API_CLIENT_NONE;
	return fd < 0 ? fd : api_client_open_fd(client, fd);
}

void api_client_close(struct api_client *client)
{
	fd_close(&client->fd);
}

void api_answer_free(struct api_answer *answer)
{
	buf_free(&answer->raw);
}

/* ---- time ---- */

/* When the call has taken too long, or somebody is to be told. */
static uint64_t next_look(const struct api_client *client)
{
	return client->begin_ns +
	       (client->waiting ? (client->seconds + 1ull) * S_NS
				: (uint64_t)client->limit_ms * MS_NS);
}

/* Return: 0 when there is something to do for @events, or an error. */
static int api_client_wait_for(struct api_client *client, short events)
{
	struct pollfd p = {.fd = client->fd, .events = events};

	for (;;) {
		uint64_t now = now_ns(), next = next_look(client);
		int r;

		if (now >= next) {
			if (!client->waiting)
				return -ETIMEDOUT;
			client->waiting(client, ++client->seconds);
			continue;
		}
		r = poll(&p, 1, (int)((next - now + MS_NS - 1) / MS_NS));
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

/* ---- the request ---- */

/* Return: 0, -EPIPE when the other end reads no more, or -errno. */
static int send_all(struct api_client *client, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(client->fd, data, len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			r = api_client_wait_for(client, POLLOUT);
		} else if (errno != EINTR) {
			r = -errno;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Bytes that wait before a request are no answer to it. */
static bool something_waits(const struct api_client *client)
{
	char c;

	return recv(client->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static int api_client_send_request(struct api_client *client,
				   const char *method, const char *target,
				   const char *body, size_t len)
{
	cleanup_buf struct buf request = {0};

	buf_addf(&request,
		 "%s %s HTTP/1.1\r\nHost: localhost\r\n"
		 "Content-Type: application/json\r\n"
		 "Content-Length: %zu\r\n\r\n",
		 method, target, len);
	buf_add(&request, body, len);
	if (request.failed)
		return -ENOMEM;
	return send_all(client, request.data, request.len);
}

/* ---- the answer ---- */

/* What there is, behind what is there. Return: 0 or -errno. */
static int receive_some(struct api_client *client, struct buf *raw)
{
	for (;;) {
		ssize_t n;
		int r;

		if (!buf_reserve(raw, raw->len + PIECE))
			return -ENOMEM;
		n = recv(client->fd, raw->data + raw->len, PIECE, MSG_DONTWAIT);
		if (n > 0) {
			raw->len += (size_t)n;
			return 0;
		}
		if (n == 0)
			return -ECONNRESET;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = api_client_wait_for(client, POLLIN);
		if (r < 0)
			return r;
	}
}

/* The bytes of the head, or NO_END; the first @seen were looked at before. */
static size_t head_end(const struct buf *raw, size_t seen)
{
	size_t from = seen < 3 ? 0 : seen - 3;
	const char *end;

	if (raw->len == 0)
		return NO_END;
	end = memmem(raw->data + from, raw->len - from, "\r\n\r\n", 4);
	return end ? (size_t)(end - raw->data) + 4 : NO_END;
}

/* Return: 0 with the bytes of the head, or -errno. */
static int receive_head(struct api_client *client, struct buf *raw,
			size_t *head)
{
	size_t end = NO_END;

	while (end == NO_END) {
		size_t seen = raw->len;
		int r = seen < API_CLIENT_HEAD_MAX ? receive_some(client, raw)
						   : -EMSGSIZE;

		if (r < 0)
			return r;
		end = head_end(raw, seen);
	}
	*head = end;
	return end <= API_CLIENT_HEAD_MAX ? 0 : -EMSGSIZE;
}

static int api_client_receive(struct api_client *client,
			      struct api_answer *answer)
{
	struct buf *raw = &answer->raw;
	uint64_t body = 0;
	size_t head = 0;
	int r = receive_head(client, raw, &head);

	if (r == 0)
		r = http_parse_answer(raw->data, head, &answer->status, &body);
	if (r < 0)
		return r;
	if (body > API_CLIENT_BODY_MAX)
		return -EMSGSIZE;
	while (r == 0 && raw->len < head + body)
		r = receive_some(client, raw);
	if (r == 0 && raw->len > head + body)
		r = -EBADMSG;
	answer->body = raw->data + head;
	answer->len = body;
	return r;
}

int api_client_call(struct api_client *client, const char *method,
		    const char *target, const char *body, size_t len,
		    struct api_answer *answer)
{
	int r;

	*answer = (struct api_answer){0};
	if (client->fd < 0)
		return -ENOTCONN;
	client->begin_ns = now_ns();
	client->seconds = 0;
	r = client->used && something_waits(client)
		    ? -EBADMSG
		    : api_client_send_request(client, method, target, body,
					      len);
	client->used = true;
	if (r == 0 || r == -EPIPE)
		r = api_client_receive(client, answer);
	if (r < 0)
		api_client_close(client);
	return r;
}
