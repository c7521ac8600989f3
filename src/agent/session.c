// SPDX-License-Identifier: Apache-2.0
/*
 * session.c - one connection of a host (theory of operation: session.h)
 */
#include "agent/session.h"

#include "agent/command.h"
#include "agent/copy.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SESSION_SIGNAL_MAX 64
#define SESSION_TTY_MS     500 /* a terminal that does not end */

/* What one turn of a stream gave. */
enum session_turn {
	SESSION_MORE,  /* no credit, or there may be more */
	SESSION_EMPTY, /* nothing for now */
	SESSION_OVER,  /* its end */
};

/**
 * struct session - the connection's errand
 * @input:	of the command, not written yet; at most AGENT_WINDOW
 * @written:	of @input
 * @input_end:	no more comes
 * @output, @errors: what the host has room for
 * @version:	that is spoken
 */
struct session {
	int sock;
	const struct agent_place *place;
	struct agent_reader in;
	struct buf out;
	struct command command;
	struct buf input;
	size_t written;
	bool input_end;
	bool may_input;
	uint16_t version;
	uint32_t output;
	uint32_t errors;
	uint64_t oom_before;
	char piece[AGENT_DATA_MAX];
};

static int session_flush(struct session *s)
{
	size_t at = 0;
	int r = s->out.failed ? -ENOMEM : 0;

	while (r == 0 && at < s->out.len) {
		ssize_t n = send(s->sock, s->out.data + at, s->out.len - at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			r = -errno;
		else if (n > 0)
			at += (size_t)n;
	}
	buf_clear(&s->out);
	return r;
}

static int session_send(struct session *s, enum agent_type type,
			const void *data, size_t len)
{
	agent_put(&s->out, type, data, len, NULL, 0);
	return session_flush(s);
}

/* Tell why an errand fails. Return: 0, for the connection is sound. */
static int session_fail(struct session *s, int rc, const char *fmt, ...)
	__printf_like(3, 4);

static int session_fail(struct session *s, int rc, const char *fmt, ...)
{
	const struct agent_failed failed = {.rc = rc};
	char text[AGENT_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	agent_put(&s->out, AGENT_FAILED, &failed, sizeof(failed), text,
		  strlen(text));
	return session_flush(s);
}

/* The next frame, waiting for it. Return: 1; 0 at the end; -errno. */
static int session_frame(struct session *s, struct agent_frame *frame)
{
	int r;

	while ((r = agent_reader_next(&s->in, frame)) == 0) {
		r = agent_reader_fill(&s->in, s->sock);
		if (r <= 0)
			return r;
	}
	return r;
}

static int session_greet(struct session *s)
{
	struct agent_hello hello;
	struct agent_frame frame;
	int r = session_frame(s, &frame);

	if (r <= 0)
		return r;
	if (frame.type != AGENT_HELLO)
		return -EPROTO;
	memcpy(&hello, frame.data, sizeof(hello));
	if (hello.magic != AGENT_MAGIC)
		return -EPROTO;
	if (agent_hello_version(&hello) == 0)
		return session_fail(s, -EPROTONOSUPPORT,
				    "the agent speaks versions %u to %u, the "
				    "host %u to %u",
				    AGENT_VERSION_LOWEST, AGENT_VERSION,
				    hello.lowest, hello.highest);
	s->version = agent_hello_version(&hello);
	hello.lowest = hello.highest = s->version;
	r = session_send(s, AGENT_HELLO, &hello, sizeof(hello));
	return r < 0 ? r : 1;
}

/* How many processes the kernel has killed for want of memory. */
static uint64_t session_oom(const struct session *s)
{
	FILE *file = fopen(s->place->vmstat, "re");
	unsigned long long n, found = 0;
	char line[128], *end;

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "oom_kill ", 9) != 0)
			continue;
		n = strtoull(line + 9, &end, 10);
		found = *end == '\n' ? n : 0;
	}
	if (file)
		(void)fclose(file);
	return found;
}

/* ---- a command ---- */

/* What waits for the command goes to it; one that reads no more loses it. */
static int session_push(struct session *s)
{
	struct agent_credit credit = {.stream = AGENT_INPUT};
	size_t left = s->input.len - s->written;
	ssize_t n = (ssize_t)left;

	if (left > 0 && s->command.in >= 0)
		n = write(s->command.in, s->input.data + s->written, left);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0) {
		fd_close(&s->command.in);
		n = (ssize_t)left;
	}
	s->written += (size_t)n;
	if (s->written == s->input.len) {
		buf_clear(&s->input);
		s->written = 0;
		if (s->input_end && !s->command.tty)
			fd_close(&s->command.in);
	}
	credit.bytes = (uint32_t)n;
	return n > 0 ? session_send(s, AGENT_CREDIT, &credit, sizeof(credit))
		     : 0;
}

static int session_input(struct session *s, const struct agent_frame *frame)
{
	size_t waits = s->input.len - s->written;

	if (!s->may_input || s->input_end || frame->len > AGENT_WINDOW - waits)
		return -EPROTO;
	if (s->written > 0) {
		memmove(s->input.data, s->input.data + s->written, waits);
		s->input.len = waits;
		s->written = 0;
	}
	buf_add(&s->input, frame->data, frame->len);
	return s->input.failed ? -ENOMEM : session_push(s);
}

static int session_credit(struct session *s, const struct agent_frame *frame)
{
	struct agent_credit credit;
	uint32_t *room;

	memcpy(&credit, frame->data, sizeof(credit));
	if (credit.stream != AGENT_OUTPUT && credit.stream != AGENT_ERRORS)
		return -EPROTO;
	room = credit.stream == AGENT_OUTPUT ? &s->output : &s->errors;
	if (credit.bytes > AGENT_WINDOW - *room)
		return -EPROTO;
	*room += credit.bytes;
	return 0;
}

static int session_close(struct session *s, uint32_t stream)
{
	if (stream != AGENT_OUTPUT && stream != AGENT_ERRORS)
		return -EPROTO;
	/* A terminal is one thing: its reader is gone, and it hangs up. */
	if (s->command.tty)
		command_signal(&s->command, SIGHUP);
	else if (stream == AGENT_OUTPUT)
		fd_close(&s->command.out);
	else
		fd_close(&s->command.err);
	return 0;
}

static int session_resize(struct session *s, const struct agent_frame *frame)
{
	struct agent_size size;
	struct winsize w = {0};

	memcpy(&size, frame->data, sizeof(size));
	w.ws_row = size.rows;
	w.ws_col = size.columns;
	if (s->command.tty && s->command.out >= 0)
		(void)ioctl(s->command.out, TIOCSWINSZ, &w);
	return 0;
}

/* A frame for a command that runs. */
static int session_take(struct session *s, const struct agent_frame *frame)
{
	uint32_t number = 0;

	if (frame->len == sizeof(number))
		memcpy(&number, frame->data, sizeof(number));
	switch (frame->type) {
	case AGENT_INPUT:
		return session_input(s, frame);
	case AGENT_INPUT_END:
		s->input_end = true;
		return session_push(s);
	case AGENT_CREDIT:
		return session_credit(s, frame);
	case AGENT_CLOSE:
		return session_close(s, number);
	case AGENT_RESIZE:
		return session_resize(s, frame);
	case AGENT_SIGNAL:
		if (number < 1 || number > SESSION_SIGNAL_MAX)
			return -EPROTO;
		command_signal(&s->command, (int)number);
		return 0;
	default:
		return -EPROTO;
	}
}

/* Frames that are there already. Return: 0 or -errno. */
static int session_take_held(struct session *s)
{
	struct agent_frame frame;
	int r;

	while ((r = agent_reader_next(&s->in, &frame)) > 0) {
		r = session_take(s, &frame);
		if (r < 0)
			return r;
	}
	return r;
}

/* Send a piece of what a stream has. Return: enum session_turn, or -errno. */
static int session_pull(struct session *s, int *fd, enum agent_type type,
			uint32_t *room)
{
	ssize_t n;
	int r;

	if (*fd < 0)
		return SESSION_OVER;
	if (*room == 0)
		return SESSION_MORE;
	n = read(*fd, s->piece,
		 *room < sizeof(s->piece) ? *room : sizeof(s->piece));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR ? SESSION_MORE : SESSION_EMPTY;
	if (n <= 0) { /* EIO: a terminal that nobody has open */
		fd_close(fd);
		return SESSION_OVER;
	}
	*room -= (uint32_t)n;
	r = session_send(s, type, s->piece, (size_t)n);
	return r < 0 ? r : SESSION_MORE;
}

/**
 * struct session_wait - one wait of a command's errand
 * @ms:		how long at most; -1: until something comes
 * @host_only:	the command's streams wait
 * @ended:	out: the command has
 * @idle:	out: nothing came
 */
struct session_wait {
	int ms;
	bool host_only;
	bool ended;
	bool idle;
};

/* Wait, and serve what came. Return: 0; -ECONNRESET, -EPROTO, -errno. */
static int session_poll(struct session *s, struct session_wait *wait)
{
	struct command *c = &s->command;
	bool out = s->output > 0 && !wait->host_only;
	bool err = s->errors > 0 && !wait->host_only;
	bool in = s->input.len > s->written && !wait->host_only;
	struct pollfd p[] = {
		{.fd = s->sock, .events = POLLIN},
		{.fd = c->pid > 0 ? c->end : -1, .events = POLLIN},
		{.fd = out ? c->out : -1, .events = POLLIN},
		{.fd = err ? c->err : -1, .events = POLLIN},
		{.fd = in ? c->in : -1, .events = POLLOUT},
	};
	int r = poll(p, ARRAY_SIZE(p), wait->ms);

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	wait->idle = r == 0;
	if (p[0].revents) {
		r = agent_reader_fill(&s->in, s->sock);
		if (r > 0)
			r = session_take_held(s);
		else if (r == 0)
			r = -ECONNRESET;
		if (r < 0)
			return r;
	}
	r = 0;
	if (p[2].revents)
		r = session_pull(s, &c->out, AGENT_OUTPUT, &s->output);
	if (r >= 0 && p[3].revents)
		r = session_pull(s, &c->err, AGENT_ERRORS, &s->errors);
	if (r >= 0 && p[4].revents)
		r = session_push(s);
	wait->ended = p[1].revents != 0;
	return r < 0 ? r : 0;
}

/* What a pipe holds now: more that others write to it is not waited for. */
static uint32_t session_held(int fd)
{
	int n = 0;

	return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (uint32_t)n
								: 0;
}

/* The last of a stream: what is there now. Return: 0; -errno. */
static int session_drain_pipe(struct session *s, int *fd, enum agent_type type,
			      uint32_t *room)
{
	struct session_wait wait = {.ms = -1, .host_only = true};
	uint32_t left = session_held(*fd);
	int r = 0;

	while (r >= 0 && left > 0 && *fd >= 0) {
		uint32_t had = *room, may = had < left ? had : left;

		if (may == 0) {
			r = session_poll(s, &wait);
			continue;
		}
		*room = may;
		r = session_pull(s, fd, type, room);
		left -= may - *room;
		*room += had - may;
		if (r == SESSION_EMPTY)
			break;
	}
	return r < 0 ? r : 0;
}

/* A terminal ends by itself when its leader has gone. */
static int session_drain_tty(struct session *s)
{
	struct session_wait wait = {.ms = SESSION_TTY_MS};
	int r = 0;

	while (r == 0 && s->command.out >= 0 && !(wait.idle && s->output > 0)) {
		wait.ms = s->output ? SESSION_TTY_MS : -1;
		r = session_poll(s, &wait);
	}
	return r;
}

static int session_drain(struct session *s)
{
	int r;

	if (s->command.tty)
		return session_drain_tty(s);
	r = session_drain_pipe(s, &s->command.out, AGENT_OUTPUT, &s->output);
	return r < 0 ? r
		     : session_drain_pipe(s, &s->command.err, AGENT_ERRORS,
					  &s->errors);
}

static int session_run(struct session *s)
{
	struct session_wait wait = {.ms = -1};
	struct agent_exit how;
	int r = session_send(s, AGENT_STARTED, NULL, 0);

	if (r == 0)
		r = session_take_held(s);
	while (r == 0 && !wait.ended)
		r = session_poll(s, &wait);
	if (r < 0)
		return r;
	how = command_wait(&s->command);
	how.oom = how.how == AGENT_KILLED && how.value == SIGKILL &&
		  session_oom(s) > s->oom_before;
	r = session_drain(s);
	return r < 0 ? r : session_send(s, AGENT_EXIT, &how, sizeof(how));
}

static int session_exec(struct session *s, const struct agent_frame *frame)
{
	struct agent_exec exec;
	struct agent_exit how;
	struct user user;
	int r = agent_exec_parse(frame->data, frame->len, &exec);

	if (r == 0) {
		r = user_find(&user, exec.user, s->place->passwd,
			      s->place->group);
		if (r < 0) {
			r = session_fail(s, r, "there is no user %.100s",
					 exec.user);
			agent_exec_free(&exec);
			return r;
		}
		s->may_input = exec.flags & (AGENT_EXEC_INPUT | AGENT_EXEC_TTY);
		s->oom_before = session_oom(s);
		r = command_start(&s->command, &exec, &user, &how);
		if (r == 0)
			r = session_run(s);
		else if (how.how)
			r = session_send(s, AGENT_EXIT, &how, sizeof(how));
		else
			r = session_fail(s, r, "cannot start it in %.200s: %s",
					 exec.folder[0] ? exec.folder
							: user.home,
					 err_name(r));
	}
	agent_exec_free(&exec);
	return r;
}

/* ---- a tree ---- */

/* In a process of its own, with the streams of a command. */
static int session_copy_deed(const void *ctx)
{
	const struct agent_copy *copy = ctx;
	struct err err = {0};
	unsigned int left_out = 0;
	int r;

	if (copy->flags & AGENT_COPY_OUT) {
		const struct copy_source from = {
			.path = copy->path,
			.follow = copy->flags & AGENT_COPY_FOLLOW,
			.owners = true,
		};

		r = copy_send(&from, STDOUT_FILENO, &left_out, &err);
	} else {
		const struct copy_target to = {
			.path = copy->path,
			.name = copy->name,
			.modes = 07777,
			.owners = getuid() == 0,
		};

		r = copy_take(&to, STDIN_FILENO, &err);
	}
	if (r < 0)
		(void)!fd_write_full(STDERR_FILENO, err.text, strlen(err.text));
	else if (left_out > 0)
		(void)dprintf(STDERR_FILENO, COPY_LEFT_OUT, left_out);
	return r < 0;
}

static int session_copy(struct session *s, const struct agent_frame *frame)
{
	struct agent_copy copy;
	int r = s->version < AGENT_VERSION_COPY
			? -EPROTO
			: agent_copy_parse(frame->data, frame->len, &copy);

	if (r < 0)
		return r;
	s->may_input = copy.flags & AGENT_COPY_IN;
	r = command_start_deed(&s->command, session_copy_deed, &copy,
			       s->may_input);
	return r == 0 ? session_run(s)
		      : session_fail(s, r, "cannot copy: %s", err_name(r));
}

/* ---- the machine ---- */

static int session_setup(struct session *s, const struct agent_frame *frame)
{
	struct agent_setup setup;
	struct err err;
	int r = agent_setup_parse(frame->data, frame->len, &setup);

	if (r < 0)
		return r;
	r = s->place->setup(&setup);
	if (r < 0)
		return session_fail(s, r, "cannot set up the guest: %s",
				    err_name(r));
	if (setup.flags & AGENT_SETUP_RESUMED)
		r = s->place->hooks(true, &err);
	return r < 0 ? session_fail(s, r, "%s", err.text)
		     : session_send(s, AGENT_DONE, NULL, 0);
}

/* The file systems thaw, then the hooks run: what they say goes to the console,
 * for the host may have gone. */
static void session_go_on(struct session *s)
{
	struct err err;

	(void)s->place->freeze(false);
	if (s->place->hooks(true, &err) < 0)
		(void)fprintf(stderr, "volt-agent: %s\n", err.text);
}

/* Until RESUME, the host's end or @ms are over. Return: 1: RESUME; 0: the end;
 * -ETIMEDOUT; -EPROTO. */
static int session_wait_resume(struct session *s, uint32_t ms)
{
	const int64_t end = clock_now_ms() + ms;
	struct pollfd p = {.fd = s->sock, .events = POLLIN};
	struct agent_frame frame;
	int r;

	while ((r = agent_reader_next(&s->in, &frame)) == 0) {
		int64_t left = end - clock_now_ms();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
		if (r == 0)
			return -ETIMEDOUT;
		if (r > 0)
			r = agent_reader_fill(&s->in, s->sock);
		if (r == 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return r;
	}
	return r > 0 && frame.type != AGENT_RESUME ? -EPROTO : r;
}

static int session_quiesce(struct session *s, const struct agent_frame *frame)
{
	struct err err;
	uint32_t ms;
	int r;

	memcpy(&ms, frame->data, sizeof(ms));
	if (ms == 0 || ms > AGENT_FREEZE_MAX)
		return -EPROTO;
	r = s->place->hooks(false, &err);
	if (r < 0) { /* those before it did their part */
		session_go_on(s);
		return session_fail(s, r, "%s", err.text);
	}
	r = s->place->freeze(true);
	if (r < 0) {
		session_go_on(s);
		return session_fail(s, r, "cannot freeze the file systems: %s",
				    err_name(r));
	}
	r = session_send(s, AGENT_DONE, NULL, 0);
	if (r == 0)
		r = session_wait_resume(s, ms);
	session_go_on(s);
	if (r == -ETIMEDOUT)
		return session_fail(s, r, "thawed: nobody resumed it in %u ms",
				    ms);
	return r > 0 ? session_send(s, AGENT_DONE, NULL, 0) : r;
}

/* SETUP and RESUME may be followed by another request. Return: 1; 0; -errno. */
static int session_request(struct session *s)
{
	struct agent_frame frame;
	int r = session_frame(s, &frame);

	if (r <= 0)
		return r;
	switch (frame.type) {
	case AGENT_SETUP:
		r = session_setup(s, &frame);
		return r < 0 ? r : 1;
	case AGENT_QUIESCE:
		r = session_quiesce(s, &frame);
		return r < 0 ? r : 1;
	case AGENT_EXEC:
		return session_exec(s, &frame);
	case AGENT_COPY:
		return session_copy(s, &frame);
	case AGENT_SHUTDOWN:
		r = session_send(s, AGENT_DONE, NULL, 0);
		s->place->shut_down();
		return r;
	default:
		return -EPROTO;
	}
}

int agent_serve(int sock, const struct agent_place *place)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->sock = sock;
	s->place = place;
	s->in.side = AGENT_FROM_HOST;
	s->output = s->errors = AGENT_WINDOW;
	s->command = COMMAND_NONE;
	r = session_greet(s);
	while (r > 0)
		r = session_request(s);
	command_close(&s->command);
	agent_reader_free(&s->in);
	buf_free(&s->out);
	buf_free(&s->input);
	free(s);
	return r;
}
