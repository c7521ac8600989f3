// SPDX-License-Identifier: Apache-2.0
/*
 * background_attach.c - who is attached to a VM in the background
 * (background_attach.h)
 *
 * Theory of operation
 *
 * Output goes to all who attached and to the log; each takes as much as it has
 * given credit for and its socket holds. When more than BACKGROUND_HELD waits
 * for one, the command's output stands still, as it would on a terminal that is
 * stopped: nothing is lost to a slow reader. One that takes nothing for
 * BACKGROUND_STILL_MS is let go, so that none holds a VM for good. What the
 * guest may still send then, AGENT_WINDOW of each stream, is the bound of what
 * is held.
 *
 * Input of all goes into one pipe, a piece at a time; what a piece waits for
 * is room there, and its sender gets credit for it after that.
 */
#include "cli/background_attach.h"
#include "cli/background_ctl.h"

#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ATTACH_LOOK_S    1
#define ATTACH_FINISH_MS 5000

static size_t attach_waits(const struct background_stream *s)
{
	return s->waits.len - s->at;
}

static struct background_stream *attach_stream(struct background_conn *conn,
					       uint32_t type)
{
	if (type != AGENT_OUTPUT && type != AGENT_ERRORS)
		return NULL;
	return &conn->stream[type == AGENT_ERRORS];
}

void background_attach_free(struct background_conn *conn)
{
	for (int i = 0; i < 2; i++)
		buf_free(&conn->stream[i].waits);
	buf_free(&conn->typed);
	conn->attached = false;
}

/* ---- output ---- */

static void attach_drop(struct background_stream *s)
{
	buf_free(&s->waits);
	s->at = 0;
}

/* A piece of it becomes a frame. Return: whether there was one. */
static bool attach_pump(struct background_conn *conn, enum agent_type type)
{
	struct background_stream *s = attach_stream(conn, type);
	size_t len = attach_waits(s);

	if (len > s->room)
		len = s->room;
	if (len > AGENT_DATA_MAX)
		len = AGENT_DATA_MAX;
	if (len == 0)
		return false;
	agent_put(&conn->out, type, s->waits.data + s->at, len, NULL, 0);
	s->room -= (uint32_t)len;
	s->at += len;
	if (s->at == s->waits.len) {
		buf_clear(&s->waits);
		s->at = 0;
	}
	return true;
}

/* Tell of it when its socket takes more. */
static void attach_watch(struct background *b, struct background_conn *conn)
{
	struct epoll_event event = {
		.events = conn->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN,
		.data.fd = conn->fd,
	};

	(void)epoll_ctl(b->wake, EPOLL_CTL_MOD, conn->fd, &event);
}

bool background_attach_send(struct background *b, struct background_conn *conn)
{
	bool more = true, good = background_ctl_flush(conn);

	while (good && more && conn->attached && conn->out.len == 0) {
		more = attach_pump(conn, AGENT_OUTPUT);
		more |= attach_pump(conn, AGENT_ERRORS);
		good = background_ctl_flush(conn);
	}
	if (good)
		attach_watch(b, conn);
	return good;
}

void background_attach_said(struct background *b, bool errors, const char *data,
			    size_t len)
{
	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++) {
		struct background_conn *conn = &b->conn[i];
		struct background_stream *s = &conn->stream[errors];

		if (conn->fd < 0 || !conn->attached || s->closed)
			continue;
		if (attach_waits(s) == 0)
			conn->moved_ms = vms_now_ms();
		if (s->at > 0) {
			s->waits.len -= s->at;
			memmove(s->waits.data, s->waits.data + s->at,
				s->waits.len);
			s->at = 0;
		}
		buf_add(&s->waits, data, len);
		if (s->waits.failed || !background_attach_send(b, conn))
			background_ctl_close(conn);
	}
}

static bool attach_is_full(const struct background_conn *conn)
{
	return conn->fd >= 0 && conn->attached &&
	       (attach_waits(&conn->stream[0]) > BACKGROUND_HELD ||
		attach_waits(&conn->stream[1]) > BACKGROUND_HELD);
}

bool background_full(struct background *b)
{
	const struct itimerspec often = {
		.it_value.tv_sec = ATTACH_LOOK_S,
		.it_interval.tv_sec = ATTACH_LOOK_S,
	};
	struct itimerspec now;
	bool full = false;

	for (unsigned int i = 0; !full && i < BACKGROUND_CONNS; i++)
		full = attach_is_full(&b->conn[i]);
	if (full && timerfd_gettime(b->still, &now) == 0 &&
	    now.it_interval.tv_sec == 0)
		(void)timerfd_settime(b->still, 0, &often, NULL);
	return full;
}

void background_attach_look(struct background *b)
{
	const struct itimerspec never = {0};
	const uint64_t now = vms_now_ms();
	uint64_t times;
	bool full = false;

	(void)!read(b->still, &times, sizeof(times));
	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++) {
		if (!attach_is_full(&b->conn[i]))
			continue;
		if (now - b->conn[i].moved_ms > BACKGROUND_STILL_MS)
			background_ctl_close(&b->conn[i]);
		else
			full = true;
	}
	if (!full)
		(void)timerfd_settime(b->still, 0, &never, NULL);
}

void background_attach_finish(struct background *b)
{
	const uint64_t end = vms_now_ms() + ATTACH_FINISH_MS;

	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++) {
		struct background_conn *conn = &b->conn[i];
		struct pollfd p = {.fd = conn->fd, .events = POLLIN};

		while (conn->fd >= 0 && conn->attached &&
		       (conn->out.len > 0 || attach_waits(&conn->stream[0]) ||
			attach_waits(&conn->stream[1]))) {
			const uint64_t now = vms_now_ms();

			p.events =
				conn->out.len > 0 ? POLLIN | POLLOUT : POLLIN;
			if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
				break;
			background_ctl_serve(b, conn->fd);
		}
	}
}

/* ---- input ---- */

/* As much of it as the pipe has room for. */
static void attach_type(struct background *b, struct background_conn *conn)
{
	struct agent_credit credit = {.stream = AGENT_INPUT};
	const size_t left = conn->typed.len - conn->typed_at;
	struct epoll_event event = {
		.events = EPOLLOUT | EPOLLONESHOT,
		.data.fd = b->typed[1],
	};
	ssize_t n;

	if (left == 0)
		return;
	n = write(b->typed[1], conn->typed.data + conn->typed_at, left);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		n = (ssize_t)left; /* nobody reads it any more */
	if (n > 0) {
		conn->typed_at += (size_t)n;
		credit.bytes = (uint32_t)n;
		agent_put(&conn->out, AGENT_CREDIT, &credit, sizeof(credit),
			  NULL, 0);
	}
	if (conn->typed_at == conn->typed.len) {
		buf_clear(&conn->typed);
		conn->typed_at = 0;
		return;
	}
	if (epoll_ctl(b->wake, EPOLL_CTL_MOD, b->typed[1], &event) < 0)
		(void)epoll_ctl(b->wake, EPOLL_CTL_ADD, b->typed[1], &event);
}

void background_attach_type(struct background *b)
{
	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++) {
		struct background_conn *conn = &b->conn[i];

		if (conn->fd < 0 || !conn->attached)
			continue;
		attach_type(b, conn);
		if (!background_attach_send(b, conn))
			background_ctl_close(conn);
	}
}

static bool attach_input(struct background *b, struct background_conn *conn,
			 const struct agent_frame *frame)
{
	const size_t left = conn->typed.len - conn->typed_at;

	if (!conn->types || frame->len > AGENT_WINDOW - left)
		return false;
	if (conn->typed_at > 0) {
		memmove(conn->typed.data, conn->typed.data + conn->typed_at,
			left);
		conn->typed.len = left;
		conn->typed_at = 0;
	}
	buf_add(&conn->typed, frame->data, frame->len);
	if (conn->typed.failed)
		return false;
	attach_type(b, conn);
	return true;
}

/* ---- frames ---- */

static bool attach_begin(struct background *b, struct background_conn *conn,
			 const struct agent_frame *frame)
{
	struct agent_attach attach;

	memcpy(&attach, frame->data, sizeof(attach));
	if (conn->attached || (attach.flags & ~AGENT_EXEC_INPUT))
		return false;
	conn->attached = true;
	conn->types =
		(attach.flags & b->has & AGENT_EXEC_INPUT) && b->typed[1] >= 0;
	conn->moved_ms = vms_now_ms();
	conn->stream[0].room = conn->stream[1].room = AGENT_WINDOW;
	agent_put(&conn->out, AGENT_ATTACHED, &b->has, sizeof(b->has), NULL, 0);
	if (b->resize && attach.size.rows > 0 && attach.size.columns > 0)
		b->resize(b->pass_ctx, &attach.size);
	return true;
}

static bool attach_credit(struct background_conn *conn,
			  const struct agent_frame *frame)
{
	struct background_stream *s;
	struct agent_credit credit;

	memcpy(&credit, frame->data, sizeof(credit));
	s = attach_stream(conn, credit.stream);
	if (!s || credit.bytes > AGENT_WINDOW - s->room)
		return false;
	s->room += credit.bytes;
	conn->moved_ms = vms_now_ms();
	return true;
}

static bool attach_close(struct background_conn *conn,
			 const struct agent_frame *frame)
{
	struct background_stream *s;
	uint32_t type;

	memcpy(&type, frame->data, sizeof(type));
	s = attach_stream(conn, type);
	if (!s)
		return false;
	s->closed = true;
	attach_drop(s);
	return true;
}

bool background_attach_take(struct background *b, struct background_conn *conn,
			    const struct agent_frame *frame)
{
	struct agent_size size;

	if (frame->type == AGENT_ATTACH)
		return attach_begin(b, conn, frame);
	if (!conn->attached)
		return false;
	switch (frame->type) {
	case AGENT_INPUT:
		return attach_input(b, conn, frame);
	case AGENT_INPUT_END: /* others may have more */
		return true;
	case AGENT_CREDIT:
		return attach_credit(conn, frame);
	case AGENT_CLOSE:
		return attach_close(conn, frame);
	case AGENT_RESIZE:
		memcpy(&size, frame->data, sizeof(size));
		if (b->resize)
			b->resize(b->pass_ctx, &size);
		return true;
	default:
		return false;
	}
}
