// SPDX-License-Identifier: Apache-2.0
/*
 * background_ctl.c - the control socket of a VM in the background
 * (background_ctl.h)
 */
#include "cli/background_ctl.h"

#include "base/fd.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CTL_SIGNALS 64

void background_ctl_listen(struct background *b)
{
	(void)unlink(b->ctl); /* of a VM of this name that is gone */
	b->listener = unix_listen(b->ctl, BACKGROUND_CONNS);
	if (b->listener < 0)
		b->listener = -1;
}

void background_ctl_close(struct background_conn *conn)
{
	fd_close(&conn->fd);
	agent_reader_free(&conn->in);
	buf_free(&conn->out);
}

int background_ctl_accept(struct background *b)
{
	cleanup_fd int fd =
		accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (unsigned int i = 0; fd >= 0 && i < BACKGROUND_CONNS; i++) {
		if (b->conn[i].fd >= 0)
			continue;
		b->conn[i] = (struct background_conn){
			.fd = fd,
			.in.side = AGENT_FROM_HOST,
		};
		return fd_steal(&fd);
	}
	return -1;
}

/* What goes out is less than a socket holds. Return: false: it is not read. */
static bool ctl_flush(struct background_conn *conn)
{
	const ssize_t n = send(conn->fd, conn->out.data, conn->out.len,
			       MSG_NOSIGNAL | MSG_DONTWAIT);
	const bool sent = !conn->out.failed && n == (ssize_t)conn->out.len;

	buf_clear(&conn->out);
	return sent;
}

static bool ctl_greet(struct background_conn *conn,
		      const struct agent_frame *frame)
{
	struct agent_hello hello;

	memcpy(&hello, frame->data, sizeof(hello));
	if (hello.magic != AGENT_MAGIC || hello.lowest > AGENT_VERSION ||
	    hello.highest < AGENT_VERSION)
		return false;
	hello.lowest = hello.highest = AGENT_VERSION;
	agent_put(&conn->out, AGENT_HELLO, &hello, sizeof(hello), NULL, 0);
	return ctl_flush(conn);
}

static bool ctl_signal(struct background *b, struct background_conn *conn,
		       const struct agent_frame *frame)
{
	uint32_t number;

	memcpy(&number, frame->data, sizeof(number));
	if (number < 1 || number > CTL_SIGNALS)
		return false;
	if (b->pass)
		b->pass(b->pass_ctx, (int)number);
	agent_put(&conn->out, AGENT_DONE, NULL, 0, NULL, 0);
	return ctl_flush(conn);
}

/* Return: whether the connection goes on. */
static bool ctl_take(struct background *b, struct background_conn *conn,
		     const struct agent_frame *frame)
{
	switch (frame->type) {
	case AGENT_HELLO:
		return ctl_greet(conn, frame);
	case AGENT_SIGNAL:
		return ctl_signal(b, conn, frame);
	default:
		return false;
	}
}

void background_ctl_serve(struct background *b, int fd)
{
	struct background_conn *conn = NULL;
	struct agent_frame frame;
	int r, filled;

	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++)
		if (b->conn[i].fd == fd)
			conn = &b->conn[i];
	if (!conn)
		return;
	filled = agent_reader_fill(&conn->in, fd);
	while ((r = agent_reader_next(&conn->in, &frame)) > 0) {
		if (!ctl_take(b, conn, &frame)) {
			r = -EPROTO;
			break;
		}
	}
	if (r < 0 || filled == 0 || (filled < 0 && filled != -EAGAIN))
		background_ctl_close(conn);
}

void background_ctl_tell_end(struct background *b, int code)
{
	const struct agent_exit how = {
		.how = AGENT_EXITED,
		.value = (uint32_t)code,
	};

	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++) {
		if (b->conn[i].fd < 0)
			continue;
		agent_put(&b->conn[i].out, AGENT_EXIT, &how, sizeof(how), NULL,
			  0);
		(void)ctl_flush(&b->conn[i]);
	}
}
