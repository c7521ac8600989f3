// SPDX-License-Identifier: Apache-2.0
/*
 * agent_client.c - the agent of a guest, as the host speaks to it
 * (theory of operation: agent_client.h)
 */
#include "client/agent_client.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/fd.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Beyond it no input is read, and no signal taken. */
#define QUEUE_MAX (64u << 10)
/* What a pipe that is writable takes without waiting. */
#define PIPE_PIECE 4096u

static int agent_lost(struct err *err, int r)
{
	if (r == -EPROTO)
		return err_set(err, r,
			       "The guest does not speak as the agent "
			       "does");
	if (r == -ETIMEDOUT)
		return err_set(err, r, "The guest's agent does not answer");
	if (r == 0 || r == -ECONNRESET || r == -EPIPE)
		return err_set(err, -ECONNRESET,
			       "The connection to the guest's agent ended");
	return err_set(err, r, "The connection to the guest's agent: %s",
		       err_name(r));
}

/* A FAILED of the guest's, in its words. */
static int agent_failed(const struct agent_frame *frame, struct err *err)
{
	struct agent_failed failed;
	char text[AGENT_TEXT_MAX];

	memcpy(&failed, frame->data, sizeof(failed));
	if (failed.rc >= 0 || failed.rc < -4095)
		failed.rc = -EREMOTEIO;
	(void)clean_text(text, sizeof(text), frame->data + sizeof(failed),
			 frame->len - sizeof(failed));
	return err_set(err, failed.rc, "In the guest: %s", text);
}

static size_t agent_queued(const struct agent_client *c)
{
	return c->out.len - c->sent;
}

/* Send what the socket takes. A guest that has gone may have said something
 * before: what was for it is dropped, and reading tells the rest. Return: 0 or
 * -errno. */
static int agent_flush(struct agent_client *c)
{
	ssize_t n;

	if (c->out.failed)
		return -ENOMEM;
	while (agent_queued(c) > 0) {
		n = send(c->fd, c->out.data + c->sent, agent_queued(c),
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			c->sent = c->out.len;
		else if (n < 0 && errno != EINTR)
			return -errno;
		c->sent += n > 0 ? (size_t)n : 0;
	}
	if (agent_queued(c) == 0) {
		buf_clear(&c->out);
		c->sent = 0;
	} else if (c->sent > QUEUE_MAX) {
		memmove(c->out.data, c->out.data + c->sent, agent_queued(c));
		c->out.len -= c->sent;
		c->sent = 0;
	}
	return 0;
}

/* Wait for the socket until @end. Return: 0; -ETIMEDOUT; -errno. */
static int agent_wait(struct agent_client *c, int64_t end)
{
	struct pollfd p = {
		.fd = c->fd,
		.events = (short)(agent_queued(c) ? POLLIN | POLLOUT : POLLIN),
	};
	int64_t left = end - clock_now_ms();
	int r;

	if (left <= 0)
		return -ETIMEDOUT;
	r = poll(&p, 1, (int)left);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r == 0 ? -ETIMEDOUT : agent_flush(c);
}

/* What is queued goes out, and a frame comes. Return: 1; 0: the end; -errno. */
static int agent_next(struct agent_client *c, struct agent_frame *frame)
{
	const int64_t end = clock_now_ms() + c->limit_ms;
	int r = agent_flush(c);

	while (r == 0 && (r = agent_reader_next(&c->in, frame)) == 0) {
		r = agent_wait(c, end);
		if (r == 0)
			r = agent_reader_fill(&c->in, c->fd);
		if (r == 0)
			return 0;
		if (r == 1 || r == -EAGAIN)
			r = 0;
	}
	return r;
}

static int agent_greet(struct agent_client *c, struct err *err)
{
	struct agent_hello hello = {
		.magic = AGENT_MAGIC,
		.lowest = AGENT_VERSION_LOWEST,
		.highest = AGENT_VERSION,
	};
	struct agent_frame frame = {0};
	int r;

	agent_put(&c->out, AGENT_HELLO, &hello, sizeof(hello), NULL, 0);
	r = agent_next(c, &frame);
	if (r > 0 && frame.type == AGENT_FAILED)
		return agent_failed(&frame, err);
	if (r > 0 && frame.type == AGENT_HELLO) {
		memcpy(&hello, frame.data, sizeof(hello));
		c->version = agent_hello_version(&hello);
		if (c->version != 0 && hello.lowest == hello.highest)
			return 0;
	}
	return agent_lost(err, r > 0 ? -EPROTO : r);
}

int agent_client_take(struct agent_client *client, int fd,
		      unsigned int limit_ms, struct err *err)
{
	int flags = fcntl(fd, F_GETFL);

	*client = (struct agent_client){
		.fd = fd,
		.limit_ms = limit_ms,
		.in.side = AGENT_FROM_GUEST,
	};
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return agent_lost(err, -errno);
	return agent_greet(client, err);
}

/* "CONNECT N\n" and "OK N\n", byte by byte: what follows is the agent's. */
static int agent_dial(int fd, unsigned int port, int64_t end)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "CONNECT %u\n", port);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		return -ECONNREFUSED;
	for (size_t at = 0; at < sizeof(text); at++) {
		int64_t left = end - clock_now_ms();
		int r = poll(&p, 1, left > 0 ? (int)left : 0);

		if (r <= 0)
			return r == 0 ? -ETIMEDOUT : -errno;
		if (recv(fd, text + at, 1, 0) != 1)
			return -ECONNREFUSED; /* nobody listens there */
		if (text[at] == '\n')
			return at >= 4 && memcmp(text, "OK ", 3) == 0 ? 0
								      : -EPROTO;
	}
	return -EPROTO;
}

int agent_client_open(struct agent_client *client, const char *path,
		      unsigned int port, unsigned int limit_ms, struct err *err)
{
	const int64_t end = clock_now_ms() + limit_ms;
	cleanup_fd int fd = unix_connect(path, (int)limit_ms);
	int r = fd < 0 ? fd : agent_dial(fd, port, end);

	*client = (struct agent_client){.fd = -1};
	if (r == -ECONNREFUSED || r == -ENOENT)
		return err_set(err, r, "No agent answers in the guest");
	if (r < 0)
		return agent_lost(err, r);
	return agent_client_take(client, fd_steal(&fd), limit_ms, err);
}

void agent_client_close(struct agent_client *client)
{
	fd_close(&client->fd);
	agent_reader_free(&client->in);
	buf_free(&client->out);
}

/* What is queued is a request whose answer is DONE. */
static int agent_call(struct agent_client *c, struct err *err)
{
	struct agent_frame frame = {0};
	int r = agent_next(c, &frame);

	if (r > 0 && frame.type == AGENT_DONE)
		return 0;
	if (r > 0 && frame.type == AGENT_FAILED)
		return agent_failed(&frame, err);
	return agent_lost(err, r > 0 ? -EPROTO : r);
}

int agent_client_setup(struct agent_client *client,
		       const struct agent_setup *setup, struct err *err)
{
	struct agent_setup known = *setup;
	int r;

	if (client->version < AGENT_VERSION_COPY)
		known.flags = 0;
	r = agent_put_setup(&client->out, &known);
	return r < 0 ? err_set(err, r, "The guest's setup: %s", err_name(r))
		     : agent_call(client, err);
}

int agent_client_shut_down(struct agent_client *client, struct err *err)
{
	agent_put(&client->out, AGENT_SHUTDOWN, NULL, 0, NULL, 0);
	return agent_call(client, err);
}

int agent_client_freeze(struct agent_client *client, unsigned int ms,
			struct err *err)
{
	const uint32_t limit = ms;

	agent_put(&client->out, AGENT_QUIESCE, &limit, sizeof(limit), NULL, 0);
	return agent_call(client, err);
}

int agent_client_thaw(struct agent_client *client, struct err *err)
{
	agent_put(&client->out, AGENT_RESUME, NULL, 0, NULL, 0);
	return agent_call(client, err);
}

int agent_client_kill(struct agent_client *client, int number, struct err *err)
{
	agent_client_signal(client, number);
	return agent_call(client, err);
}

int agent_client_await(struct agent_client *client, struct agent_exit *exit,
		       struct err *err)
{
	struct agent_frame frame = {0};
	int r;

	do
		r = agent_next(client, &frame);
	while (r == -ETIMEDOUT);
	if (r > 0 && frame.type == AGENT_EXIT)
		memcpy(exit, frame.data, sizeof(*exit));
	else
		return agent_lost(err, r > 0 ? -EPROTO : r);
	return exit->how == AGENT_EXITED && exit->value <= 255
		       ? 0
		       : agent_lost(err, -EPROTO);
}

/* ---- a command ---- */

/**
 * struct agent_stream - output on its way to a descriptor
 * @fd:		-1: nobody reads it any more
 * @room:	what the guest may still send
 * @owed:	what it may send again, and has not been told
 */
struct agent_stream {
	enum agent_type type;
	int fd;
	bool is_file;
	uint32_t room;
	uint32_t owed;
	struct buf waits;
	size_t at;
};

/**
 * struct agent_errand - a command that runs
 * @in_room:	what the guest takes of input
 */
struct agent_errand {
	struct agent_client *c;
	const struct agent_io *io;
	int in;
	uint32_t in_room;
	struct agent_stream out;
	struct agent_stream err;
	bool started;
	bool over;
	bool enough;
	struct agent_exit exit;
	char piece[AGENT_DATA_MAX];
};

static void agent_credit(struct agent_errand *e, struct agent_stream *s)
{
	const struct agent_credit credit = {s->type, s->owed};

	/* One that waits is enough: the rest goes with the next. */
	if (s->owed == 0 || agent_queued(e->c) > 0 ||
	    (e->io->full && e->io->full(e->io->ctx)))
		return;
	agent_put(&e->c->out, AGENT_CREDIT, &credit, sizeof(credit), NULL, 0);
	s->room += s->owed;
	s->owed = 0;
}

/* Nobody reads it: the command gets to know, and what comes is dropped. */
static void agent_hang_up(struct agent_errand *e, struct agent_stream *s)
{
	const uint32_t stream = s->type;

	s->fd = -1;
	s->owed += (uint32_t)(s->waits.len - s->at);
	buf_free(&s->waits);
	s->at = 0;
	agent_put(&e->c->out, AGENT_CLOSE, &stream, sizeof(stream), NULL, 0);
}

static void agent_write(struct agent_errand *e, struct agent_stream *s)
{
	size_t left = s->waits.len - s->at;
	ssize_t n;

	if (left > PIPE_PIECE && !s->is_file)
		left = PIPE_PIECE;
	n = write(s->fd, s->waits.data + s->at, left);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		agent_hang_up(e, s);
		return;
	}
	s->at += (size_t)n;
	s->owed += (uint32_t)n;
	if (s->at == s->waits.len) {
		buf_clear(&s->waits);
		s->at = 0;
	}
}

static int agent_output(const struct agent_io *io, struct agent_stream *s,
			const struct agent_frame *frame)
{
	size_t left = s->waits.len - s->at;

	if (frame->len > s->room)
		return -EPROTO;
	s->room -= frame->len;
	if (io->take)
		io->take(io->ctx, s->type, frame->data, frame->len);
	if (s->fd < 0) {
		s->owed += frame->len;
		return 0;
	}
	if (s->at > 0) {
		memmove(s->waits.data, s->waits.data + s->at, left);
		s->waits.len = left;
		s->at = 0;
	}
	buf_add(&s->waits, frame->data, frame->len);
	return s->waits.failed ? -ENOMEM : 0;
}

static int agent_take_credit(struct agent_errand *e,
			     const struct agent_frame *frame)
{
	struct agent_credit credit;

	memcpy(&credit, frame->data, sizeof(credit));
	if (credit.stream != AGENT_INPUT ||
	    credit.bytes > AGENT_WINDOW - e->in_room)
		return -EPROTO;
	e->in_room += credit.bytes;
	return 0;
}

static int agent_take_exit(struct agent_errand *e,
			   const struct agent_frame *frame)
{
	struct agent_exit *x = &e->exit;

	memcpy(x, frame->data, sizeof(*x));
	e->over = true;
	switch (x->how) {
	case AGENT_EXITED:
		return x->value <= 255 ? 0 : -EPROTO;
	case AGENT_KILLED:
		return x->value >= 1 && x->value <= 64 ? 0 : -EPROTO;
	case AGENT_NOT_FOUND:
	case AGENT_NO_EXEC:
		return x->value >= 1 && x->value <= 4095 ? 0 : -EPROTO;
	default:
		return -EPROTO;
	}
}

/* Return: 0; -EREMOTEIO with the guest's own sentence; -EPROTO; -ENOMEM. */
static int agent_take(struct agent_errand *e, const struct agent_frame *frame,
		      struct err *err)
{
	switch (frame->type) {
	case AGENT_STARTED:
		if (e->started)
			return -EPROTO;
		e->started = true;
		if (e->io->started)
			e->io->started(e->io->ctx);
		return 0;
	case AGENT_OUTPUT:
		return e->started ? agent_output(e->io, &e->out, frame)
				  : -EPROTO;
	case AGENT_ERRORS:
		return e->started ? agent_output(e->io, &e->err, frame)
				  : -EPROTO;
	case AGENT_CREDIT:
		return agent_take_credit(e, frame);
	case AGENT_EXIT:
		return agent_take_exit(e, frame);
	case AGENT_FAILED:
		(void)agent_failed(frame, err);
		return -EREMOTEIO;
	default:
		return -EPROTO;
	}
}

/* Frames that are there already. Return: as agent_take(). */
static int agent_take_held(struct agent_errand *e, struct err *err)
{
	struct agent_frame frame = {0};
	int r = 0;

	while (!e->over && (r = agent_reader_next(&e->c->in, &frame)) > 0) {
		r = agent_take(e, &frame, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int agent_take_all(struct agent_errand *e, struct err *err)
{
	int filled = agent_reader_fill(&e->c->in, e->c->fd);
	/* What came before an end counts. */
	int r = agent_take_held(e, err);

	if (r < 0 || e->over || filled > 0 || filled == -EAGAIN)
		return r;
	return filled < 0 ? filled : -ECONNRESET;
}

static void agent_read_input(struct agent_errand *e)
{
	size_t most = e->in_room < sizeof(e->piece) - 1 ? e->in_room
							: sizeof(e->piece) - 1;
	ssize_t n = read(e->in, e->piece, most);
	size_t len = n > 0 ? (size_t)n : 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		agent_put(&e->c->out, AGENT_INPUT_END, NULL, 0, NULL, 0);
		e->in = -1;
		return;
	}
	e->in_room -= (uint32_t)n;
	if (e->io->typed)
		e->enough = !e->io->typed(e->io->ctx, e->piece, &len);
	if (len > 0)
		agent_put(&e->c->out, AGENT_INPUT, e->piece, len, NULL, 0);
}

static bool agent_has(const struct agent_stream *s)
{
	return s->fd >= 0 && s->waits.len > s->at;
}

/* One wait, and what it brings. Return: 0, or as agent_take_all(). */
static int agent_turn(struct agent_errand *e, struct err *err)
{
	struct agent_client *c = e->c;
	bool in = e->started && e->in_room > 0 && agent_queued(c) < QUEUE_MAX;
	struct pollfd p[] = {
		{.fd = c->fd,
		 .events =
			 (short)(agent_queued(c) ? POLLIN | POLLOUT : POLLIN)},
		{.fd = in ? e->in : -1, .events = POLLIN},
		{.fd = agent_has(&e->out) ? e->out.fd : -1, .events = POLLOUT},
		{.fd = agent_has(&e->err) ? e->err.fd : -1, .events = POLLOUT},
		{.fd = e->started ? e->io->wake : -1, .events = POLLIN},
	};
	int r = poll(p, ARRAY_SIZE(p), -1);

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[0].revents & (POLLIN | POLLHUP | POLLERR)) {
		r = agent_take_all(e, err);
		if (r < 0)
			return r;
	}
	if (p[1].revents)
		agent_read_input(e);
	if (p[2].revents)
		agent_write(e, &e->out);
	if (p[3].revents)
		agent_write(e, &e->err);
	if (p[4].revents)
		e->io->woken(e->io->ctx, c);
	agent_credit(e, &e->out);
	agent_credit(e, &e->err);
	return e->over ? 0 : agent_flush(c);
}

/* What came before the end is still to be written. */
static void agent_finish(struct agent_errand *e, struct agent_stream *s)
{
	while (agent_has(s)) {
		struct pollfd p = {.fd = s->fd, .events = POLLOUT};

		if (poll(&p, 1, -1) > 0)
			agent_write(e, s);
	}
}

static void agent_stream_init(struct agent_stream *s, enum agent_type type,
			      int fd)
{
	struct stat st;

	*s = (struct agent_stream){
		.type = type, .fd = fd, .room = AGENT_WINDOW};
	s->is_file = fd_stat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The request is queued. Return: as agent_client_exec(). */
static int agent_run(struct agent_client *client, const struct agent_io *io,
		     bool started, struct agent_exit *exit, struct err *err)
{
	cleanup_free struct agent_errand *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return err_set(err, -ENOMEM, "The command: %s",
			       err_name(ENOMEM));
	e->c = client;
	e->io = io;
	e->in = io->in;
	e->in_room = AGENT_WINDOW;
	e->started = started;
	agent_stream_init(&e->out, AGENT_OUTPUT, io->out);
	agent_stream_init(&e->err, AGENT_ERRORS, io->err);
	r = agent_flush(client);
	if (r == 0 && started)
		r = agent_take_held(e, err);
	while (r == 0 && !e->over && !e->enough)
		r = agent_turn(e, err);
	agent_finish(e, &e->out);
	agent_finish(e, &e->err);
	buf_free(&e->out.waits);
	buf_free(&e->err.waits);
	if (r == 0 && !e->over)
		return err_set(err, -ECANCELED, "Detached");
	if (r == 0)
		*exit = e->exit;
	return r == 0 || r == -EREMOTEIO ? r : agent_lost(err, r);
}

int agent_client_exec(struct agent_client *client,
		      const struct agent_exec *exec, const struct agent_io *io,
		      struct agent_exit *exit, struct err *err)
{
	int r = agent_put_exec(&client->out, exec);

	return r < 0 ? err_set(err, r, "The command: %s", err_name(r))
		     : agent_run(client, io, false, exit, err);
}

static int agent_need_version(const struct agent_client *client,
			      struct err *err)
{
	return client->version >= AGENT_VERSION_COPY
		       ? 0
		       : err_set(err, -EPROTONOSUPPORT,
				 "The guest's agent is an older Volt's, which "
				 "cannot do this: end the VM and start it "
				 "again");
}

int agent_client_copy(struct agent_client *client,
		      const struct agent_copy *copy, const struct agent_io *io,
		      struct agent_exit *exit, struct err *err)
{
	int r = agent_need_version(client, err);

	if (r < 0)
		return r;
	r = agent_put_copy(&client->out, copy);
	return r < 0 ? err_set(err, r, "The path: %s", err_name(r))
		     : agent_run(client, io, false, exit, err);
}

int agent_client_attach(struct agent_client *client,
			const struct agent_attach *attach, uint32_t *flags,
			struct err *err)
{
	struct agent_frame frame = {0};
	int r = agent_need_version(client, err);

	if (r < 0)
		return r;
	agent_put(&client->out, AGENT_ATTACH, attach, sizeof(*attach), NULL, 0);
	r = agent_next(client, &frame);
	if (r > 0 && frame.type == AGENT_FAILED)
		return agent_failed(&frame, err);
	if (r <= 0 || frame.type != AGENT_ATTACHED)
		return agent_lost(err, r > 0 ? -EPROTO : r);
	memcpy(flags, frame.data, sizeof(*flags));
	return 0;
}

int agent_client_follow(struct agent_client *client, const struct agent_io *io,
			struct agent_exit *exit, struct err *err)
{
	return agent_run(client, io, true, exit, err);
}

void agent_client_signal(struct agent_client *client, int number)
{
	const uint32_t signal = (uint32_t)number;

	if (agent_queued(client) < QUEUE_MAX)
		agent_put(&client->out, AGENT_SIGNAL, &signal, sizeof(signal),
			  NULL, 0);
}

void agent_client_resize(struct agent_client *client,
			 const struct agent_size *size)
{
	if (agent_queued(client) < QUEUE_MAX)
		agent_put(&client->out, AGENT_RESIZE, size, sizeof(*size), NULL,
			  0);
}
