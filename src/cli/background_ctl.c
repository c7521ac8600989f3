// SPDX-License-Identifier: Apache-2.0
/*
 * background_ctl.c - the control socket of a VM in the background
 * (background_ctl.h)
 */
#include "cli/background_ctl.h"

#include "cli/background_attach.h"

#include "base/fd.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CTL_SIGNALS 64
/* A piece of each stream, and answers. */
#define CTL_QUEUE_MAX (3 * (size_t)AGENT_DATA_MAX)

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
	background_attach_free(conn);
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

bool background_ctl_flush(struct background_conn *conn)
{
	ssize_t n;

	if (conn->out.failed || conn->out.len == 0)
		return !conn->out.failed;
	n = send(conn->fd, conn->out.data, conn->out.len,
		 MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return (errno == EAGAIN || errno == EINTR) &&
		       conn->out.len <= CTL_QUEUE_MAX;
	conn->out.len -= (size_t)n;
	memmove(conn->out.data, conn->out.data + n, conn->out.len);
	if (n > 0)
		conn->moved_ms = vms_now_ms();
	return conn->out.len <= CTL_QUEUE_MAX;
}

static bool ctl_greet(struct background_conn *conn,
		      const struct agent_frame *frame)
{
	struct agent_hello hello;

	uint16_t version;

	memcpy(&hello, frame->data, sizeof(hello));
	version = agent_hello_version(&hello);
	if (version == 0)
		return false;
	hello.lowest = hello.highest = version;
	agent_put(&conn->out, AGENT_HELLO, &hello, sizeof(hello), NULL, 0);
	return background_ctl_flush(conn);
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
	if (conn->attached)
		return true;
	agent_put(&conn->out, AGENT_DONE, NULL, 0, NULL, 0);
	return background_ctl_flush(conn);
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
		return background_attach_take(b, conn, frame);
	}
}

/* What came on it. Return: whether the connection goes on. */
static bool ctl_read(struct background *b, struct background_conn *conn)
{
	struct agent_frame frame;
	int r, filled = agent_reader_fill(&conn->in, conn->fd);

	while ((r = agent_reader_next(&conn->in, &frame)) > 0)
		if (!ctl_take(b, conn, &frame))
			return false;
	return r == 0 && (filled > 0 || filled == -EAGAIN);
}

void background_ctl_serve(struct background *b, int fd)
{
	struct background_conn *conn = NULL;

	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++)
		if (b->conn[i].fd == fd)
			conn = &b->conn[i];
	if (!conn)
		return;
	if (!ctl_read(b, conn) || !background_attach_send(b, conn))
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
		(void)background_ctl_flush(&b->conn[i]);
	}
}
