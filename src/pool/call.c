// SPDX-License-Identifier: Apache-2.0
/*
 * call.c - requests to a VM's API that nobody waits for (call.h)
 */
#include "pool/call.h"

#include "base/fd.h"
#include "base/http_parse.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define CALL_PIECE 512u
#define CALL_MS_NS 1000000u

static void call_tell(struct call *call, int status, const char *body,
		      size_t len)
{
	call->left = 0;
	timer_stop(&call->deadline);
	call->done(call, status, body, len);
}

static void call_fail(struct call *call, int error)
{
	call_close(call);
	call_tell(call, error, NULL, 0);
}

int call_answer(const char *data, size_t len, bool more, int *status,
		const char **body, size_t *body_len)
{
	const char *end = len > 0 ? memmem(data, len, "\r\n\r\n", 4) : NULL;
	size_t head = end ? (size_t)(end - data) + 4 : 0;
	uint64_t want = 0;
	int r;

	if (!end)
		return len < API_CLIENT_HEAD_MAX ? 0 : -EMSGSIZE;
	if (head > API_CLIENT_HEAD_MAX)
		return -EMSGSIZE;
	r = http_parse_answer(data, head, status, &want);
	if (r < 0)
		return r;
	if (want > API_CLIENT_BODY_MAX)
		return -EMSGSIZE;
	if (len - head > want && !more)
		return -EBADMSG;
	*body = data + head;
	*body_len = want;
	return len - head >= want;
}

/* Of answers that came in one piece all but the last are passed over, unless
 * one is to be told. Return: as call_answer(). */
static int call_take(struct call *call, int *status, const char **body,
		     size_t *len)
{
	const char *data = call->in.data, *end = data + call->in.len;
	int r = call_answer(data, call->in.len, call->left > 1, status, body,
			    len);

	while (r == 1 && call->left > 1 && call_is_success(*status)) {
		data = *body + *len;
		call->left--;
		r = call_answer(data, (size_t)(end - data), call->left > 1,
				status, body, len);
	}
	/* The rest is still to come. */
	if (r == 0 && data > call->in.data) {
		call->in.len = (size_t)(end - data);
		memmove(call->in.data, data, call->in.len);
	}
	return r;
}

static void call_receive(struct call *call)
{
	struct buf in;
	const char *body = NULL;
	size_t len = 0;
	int r, status = 0;
	ssize_t n;

	if (!buf_reserve(&call->in, call->in.len + CALL_PIECE)) {
		call_fail(call, -ENOMEM);
		return;
	}
	n = recv(call->src.fd, call->in.data + call->in.len,
		 call->in.capacity - call->in.len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || call->left == 0) {
		call_fail(call, n < 0 ? -errno : n ? -EBADMSG : -ECONNRESET);
		return;
	}
	call->in.len += (size_t)n;
	r = call_take(call, &status, &body, &len);
	if (r < 0)
		call_fail(call, r);
	if (r <= 0)
		return;
	/* The callback may start the next one, or end all this. */
	in = call->in;
	call->in = (struct buf){0};
	if (call->left > 1)
		call_close(call); /* others will be refused, too */
	call_tell(call, status, body, len);
	buf_free(&in);
}

/* Return: 0, or -errno. A server that closes has perhaps answered before. */
static int call_send(struct call *call)
{
	while (call->sent < call->out.len) {
		ssize_t n = send(call->src.fd, call->out.data + call->sent,
				 call->out.len - call->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return loop_mod(call->loop, &call->src,
					EPOLLIN | EPOLLOUT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EPIPE)
			return -errno;
		call->sent = n < 0 ? call->out.len : call->sent + (size_t)n;
	}
	buf_free(&call->out);
	call->sent = 0;
	return loop_mod(call->loop, &call->src, EPOLLIN);
}

static void call_ready(struct loop_source *src, uint32_t events)
{
	struct call *call = container_of(src, struct call, src);
	int r = events & EPOLLOUT ? call_send(call) : 0;

	if (r < 0)
		call_fail(call, r);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		call_receive(call);
}

static void call_late(struct timer *timer)
{
	call_fail(container_of(timer, struct call, deadline), -ETIMEDOUT);
}

void call_init(struct call *call, struct loop *loop,
	       void (*done)(struct call *call, int status, const char *body,
			    size_t len))
{
	*call = (struct call){
		.loop = loop,
		.src = {.fd = -1, .cb = call_ready, .events = EPOLLIN},
		.done = done,
	};
	timer_init(&call->deadline, loop, call_late);
}

int call_open(struct call *call, const char *path)
{
	int r, fd = unix_connect(path, UNIX_NOWAIT);

	if (fd < 0)
		return fd;
	call->src.fd = fd;
	call->src.events = EPOLLIN;
	r = loop_add(call->loop, &call->src);
	if (r < 0)
		fd_close(&call->src.fd);
	return r;
}

bool call_is_of(const struct call *call, pid_t pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(call->src.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) ==
		       0 &&
	       peer.pid == pid;
}

void call_close(struct call *call)
{
	loop_del(call->loop, &call->src);
	fd_close(&call->src.fd);
	timer_stop(&call->deadline);
	buf_free(&call->out);
	buf_free(&call->in);
	call->sent = 0;
	call->left = 0;
}

int call_steal(struct call *call)
{
	int fd;

	loop_del(call->loop, &call->src);
	fd = fd_steal(&call->src.fd);
	if (fd >= 0 && fcntl(fd, F_SETFL, 0) < 0)
		fd_close(&fd);
	call_close(call);
	return fd;
}

int call_add(struct call *call, const char *method, const struct buf *target,
	     const struct buf *body)
{
	int r = call->src.fd < 0 ? -ENOTCONN : 0;

	if (r == 0) {
		buf_addf(&call->out, "%s ", method);
		buf_add(&call->out, target->data, target->len);
		buf_addf(&call->out,
			 " HTTP/1.1\r\nHost: localhost\r\n"
			 "Content-Type: application/json\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 body->len);
		buf_add(&call->out, body->data, body->len);
		call->left++;
		if (call->out.failed || target->failed || body->failed)
			r = -ENOMEM;
	}
	if (r < 0)
		call_close(call);
	return r;
}

int call_go(struct call *call, unsigned int limit_ms)
{
	int r = call->src.fd < 0 ? -ENOTCONN : call_send(call);

	if (r < 0) {
		call_close(call);
		return r;
	}
	timer_set(&call->deadline, (uint64_t)limit_ms * CALL_MS_NS, 0);
	return 0;
}

int call_start(struct call *call, const char *method, const struct buf *target,
	       const struct buf *body, unsigned int limit_ms)
{
	int r = call_add(call, method, target, body);

	return r < 0 ? r : call_go(call, limit_ms);
}
