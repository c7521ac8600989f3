// SPDX-License-Identifier: Apache-2.0
/*
 * console.c - the host's end of the serial port (theory of operation:
 * console.h)
 */
#include "dev/console.h"

#include "base/fd.h"
#include "base/log.h"
#include "host/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE           0x01 /* Ctrl-A */
#define SHARED_WRITE_MAX 512u
#define LAST_STALL_MS    1000 /* a sink that takes nothing for so long */
#define LAST_FLUSH_NS    5000000000ull

/* For signal handlers, which have no argument of ours. */
static struct termios saved_tty;
static _Atomic bool tty_is_raw;

static const char help_text[] =
	"\r\nCtrl-A x  end the microVM\r\nCtrl-A Ctrl-A  send Ctrl-A\r\n";

/* ---- output ---- */

static ssize_t sink_write(struct console *con, const uint8_t *data, size_t len)
{
	struct pollfd p = {.fd = con->out.fd, .events = POLLOUT};

	switch (con->sink) {
	case CONSOLE_SINK_SOCKET:
		return send(con->out.fd, data, len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	case CONSOLE_SINK_SHARED:
		if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		return write(con->out.fd, data,
			     len < SHARED_WRITE_MAX ? len : SHARED_WRITE_MAX);
	default:
		return write(con->out.fd, data, len);
	}
}

static void give_up_sink(struct console *con, int error)
{
	if (error != 0)
		log_warn("The serial output's reader is gone (%s): output is "
			 "discarded from here",
			 err_name(error));
	loop_del(con->loop, &con->out);
	if (con->out.fd > STDERR_FILENO)
		fd_close(&con->out.fd);
	con->sink = CONSOLE_SINK_NONE;
}

/* Return: true when the ring is empty, false when the sink is full. */
static bool drain(struct console *con)
{
	const uint8_t *data;
	size_t len;

	while ((len = serial_peek_output(con->serial, &data)) > 0) {
		ssize_t n = (ssize_t)len;

		if (con->sink != CONSOLE_SINK_NONE)
			n = sink_write(con, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			give_up_sink(con, errno);
			continue;
		}
		serial_take_output(con->serial, (size_t)n);
		if (con->callbacks.output)
			con->callbacks.output(con->callbacks.ctx);
	}
	return true;
}

/* Watch the sink only while it is full: an idle pipe must not be polled. */
static void pump_output(struct console *con)
{
	if (drain(con)) {
		loop_del(con->loop, &con->out);
		return;
	}
	if (con->out.added)
		return;
	if (loop_add(con->loop, &con->out) < 0)
		give_up_sink(con, EPERM);
}

static void on_out(struct loop_source *src, uint32_t events)
{
	struct console *con = container_of(src, struct console, out);

	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLOUT))
		give_up_sink(con, EPIPE);
	pump_output(con);
}

/* ---- input ---- */

static void stop_input(struct console *con)
{
	con->in_open = false;
	loop_del(con->loop, &con->in);
}

/* Return: bytes left in @data after escapes were taken out. */
static size_t take_escapes(struct console *con, uint8_t *data, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		if (!con->escaped && data[i] == ESCAPE) {
			con->escaped = true;
			continue;
		}
		if (con->escaped) {
			con->escaped = false;
			if (data[i] == 'x' || data[i] == 'X') {
				con->callbacks.escape(con->callbacks.ctx);
				return kept;
			}
			if (data[i] != ESCAPE) {
				(void)fwrite(help_text, 1,
					     sizeof(help_text) - 1, stderr);
				continue;
			}
		}
		data[kept++] = data[i];
	}
	return kept;
}

/* Return: true when the serial port took everything. */
static bool offer_held(struct console *con)
{
	size_t n = serial_put_input(con->serial, con->held, con->held_len);

	con->held_len -= n;
	memmove(con->held, con->held + n, con->held_len);
	return con->held_len == 0;
}

static void watch_input(struct console *con, bool on)
{
	if (!con->in_pollable || on == con->in.added)
		return;
	if (!on)
		loop_del(con->loop, &con->in);
	else if (loop_add(con->loop, &con->in) < 0)
		stop_input(con);
}

static void pump_input(struct console *con)
{
	while (con->in_open && offer_held(con)) {
		ssize_t n = read(con->in.fd, con->held, sizeof(con->held));

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			break;
		if (n <= 0) {
			stop_input(con);
			return;
		}
		con->held_len = (size_t)n;
		if (con->raw)
			con->held_len = take_escapes(con, con->held, (size_t)n);
		if (con->in_pollable) {
			(void)offer_held(con);
			break; /* a second read might block */
		}
	}
	watch_input(con, con->in_open && con->held_len == 0);
}

static void on_in(struct loop_source *src, uint32_t events)
{
	(void)events;
	pump_input(container_of(src, struct console, in));
}

static void on_kick(struct loop_source *src, uint32_t events)
{
	struct console *con = container_of(src, struct console, kick);
	uint64_t n;

	(void)events;
	if (read(src->fd, &n, sizeof(n)) < 0)
		return;
	pump_output(con);
	if (!con->in_open || con->held_len == 0)
		return;
	if (con->in_pollable) {
		if (offer_held(con))
			watch_input(con, true);
	} else {
		pump_input(con);
	}
}

/* The serial port calls this on a vCPU thread, with its lock held. */
static void kick(void *ctx)
{
	static const uint64_t one = 1;
	struct console *con = ctx;

	/* A full counter is as good as a write: the loop will look. */
	if (write(con->kick.fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- set-up ---- */

static int open_sink_path(struct console *con, const char *path,
			  struct err *err)
{
	struct stat st;

	con->out.fd = open(path,
			   O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK |
				   O_NOCTTY | O_CLOEXEC,
			   0600);
	if (con->out.fd < 0 &&
	    errno == ENXIO) /* a FIFO that nobody reads yet */
		con->out.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (con->out.fd < 0 || fstat(con->out.fd, &st) < 0)
		return err_set(err, -errno,
			       "Cannot open the serial output %s: %s", path,
			       err_name(errno));
	con->sink =
		S_ISREG(st.st_mode) ? CONSOLE_SINK_FILE : CONSOLE_SINK_STREAM;
	return 0;
}

static void open_sink_stdout(struct console *con)
{
	struct stat st;
	char path[32];

	con->out.fd = STDOUT_FILENO;
	if (fstat(STDOUT_FILENO, &st) < 0)
		return; /* closed: CONSOLE_SINK_NONE */
	if (S_ISREG(st.st_mode)) {
		con->sink = CONSOLE_SINK_FILE;
		return;
	}
	if (S_ISSOCK(st.st_mode)) {
		con->sink = CONSOLE_SINK_SOCKET;
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", STDOUT_FILENO);
	con->out.fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	con->sink = CONSOLE_SINK_STREAM;
	if (con->out.fd >= 0)
		return;
	con->out.fd = STDOUT_FILENO;
	con->sink = errno == ENXIO ? CONSOLE_SINK_NONE : CONSOLE_SINK_SHARED;
}

int console_new(struct console *con, struct loop *loop, struct serial *serial,
		const char *out_path, bool use_stdin,
		const struct console_callbacks *callbacks, struct err *err)
{
	int r = 0;

	con->loop = loop;
	con->serial = serial;
	con->callbacks = *callbacks;
	con->out = (struct loop_source){.fd = -1,
					.events = EPOLLOUT,
					.kind = LOOP_CONSOLE_OUT,
					.cb = on_out};
	con->in = (struct loop_source){.fd = use_stdin ? STDIN_FILENO : -1,
				       .events = EPOLLIN,
				       .kind = LOOP_CONSOLE_IN,
				       .cb = on_in};
	con->kick = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.kind = LOOP_CONSOLE_KICK,
		.cb = on_kick,
	};
	if (con->kick.fd < 0)
		return err_set(err, -errno, "eventfd failed: %s",
			       err_name(errno));
	if (out_path)
		r = open_sink_path(con, out_path, err);
	else
		open_sink_stdout(con);
	if (r == 0)
		r = loop_add(loop, &con->kick);
	if (r < 0)
		return r;
	serial_set_kick(serial, kick, con);
	return 0;
}

/* A background job must neither stop (SIGTTOU) nor change the terminal. */
static void make_raw(struct console *con)
{
	struct termios raw;

	if (tcgetattr(con->in.fd, &saved_tty) < 0 ||
	    tcgetpgrp(con->in.fd) != getpgrp())
		return;
	raw = saved_tty;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; /* log lines on this terminal keep their shape */
	if (tcsetattr(con->in.fd, TCSANOW, &raw) < 0)
		return;
	atomic_store(&tty_is_raw, true);
	con->raw = true;
}

int console_start_input(struct console *con, struct err *err)
{
	int r;

	if (con->in.fd < 0 || fcntl(con->in.fd, F_GETFL) < 0)
		return 0;
	if (isatty(con->in.fd)) {
		make_raw(con);
		if (!con->raw)
			return 0; /* in the background: not ours to read */
	}
	con->in_open = true;
	r = loop_add(con->loop, &con->in);
	if (r == -EPERM) { /* a regular file or /dev/null: always readable */
		pump_input(con);
		return 0;
	}
	if (r < 0)
		return err_set(err, r, "Cannot watch stdin: %s", err_name(r));
	con->in_pollable = true;
	return 0;
}

/* ---- the end ---- */

static void flush_last(struct console *con)
{
	struct pollfd p = {.fd = con->out.fd, .events = POLLOUT};
	uint64_t start = now_ns();

	while (!drain(con) && now_ns() - start < LAST_FLUSH_NS)
		if (poll(&p, 1, LAST_STALL_MS) != 1)
			return;
}

void console_free(struct console *con)
{
	if (!con->loop)
		return;
	serial_set_kick(con->serial, NULL, NULL);
	if (con->out.fd >= 0)
		flush_last(con);
	stop_input(con);
	loop_del(con->loop, &con->out);
	loop_del(con->loop, &con->kick);
	if (con->out.fd > STDERR_FILENO)
		fd_close(&con->out.fd);
	fd_close(&con->kick.fd);
	console_restore_tty();
	con->loop = NULL;
}

void console_restore_tty(void)
{
	if (atomic_exchange(&tty_is_raw, false))
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved_tty);
}
