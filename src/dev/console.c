// SPDX-License-Identifier: Apache-2.0
/*
 * console.c - the host's end of the serial port (theory of operation:
 * console.h)
 */
#include "dev/console.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x01 /* Ctrl-A */

/* For signal handlers, which have no argument of ours. */
static struct termios saved_tty;
static _Atomic bool tty_is_raw;

static const char help_text[] =
	"\r\nCtrl-A x  end the microVM\r\nCtrl-A Ctrl-A  send Ctrl-A\r\n";

/* Have the loop look. The serial port calls this on a vCPU thread. */
static void console_wake(void *ctx)
{
	static const uint64_t one = 1;
	struct console *con = ctx;

	/* A full counter is as good as a write: the loop will look. */
	if (write(con->wake.fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- output ---- */

static void give_up_sink(struct console *con, int error)
{
	log_warn("The serial output's reader is gone (%s): output is discarded "
		 "from here",
		 err_name(error));
	loop_del(con->loop, &con->out);
	sink_close(&con->sink);
}

enum drained {
	DRAINED_ALL,
	DRAINED_PART, /* a round's worth; there may be more */
	DRAINED_FULL, /* the sink is full */
};

static enum drained console_drain(struct console *con)
{
	size_t left = CONSOLE_ROUND_BYTES;
	unsigned int writes = 0;
	const uint8_t *data;
	size_t len;

	while ((len = serial_peek_output(con->serial, &data)) > 0) {
		ssize_t n;

		if (left == 0 || writes++ == CONSOLE_ROUND_WRITES)
			return DRAINED_PART;
		n = sink_write(&con->sink, data, len < left ? len : left);
		if (n == -EAGAIN)
			return DRAINED_FULL;
		if (n < 0) {
			give_up_sink(con, (int)n);
			continue;
		}
		left -= (size_t)n;
		serial_take_output(con->serial, (size_t)n);
		if (con->callbacks.output)
			con->callbacks.output(con->callbacks.ctx);
	}
	return DRAINED_ALL;
}

/* Watch the sink only while it is full: an idle pipe must not be polled. */
static void pump_output(struct console *con)
{
	enum drained drained = console_drain(con);

	if (drained == DRAINED_PART)
		console_wake(con);
	if (drained != DRAINED_FULL) {
		loop_del(con->loop, &con->out);
		return;
	}
	if (con->out.added)
		return;
	con->out.fd = con->sink.fd;
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

static void console_help(const struct console *con)
{
	if (con->terminal &&
	    sink_write(con->terminal, help_text, sizeof(help_text) - 1) < 0)
		log_info("The terminal took no help text");
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
				console_help(con);
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

	assert(n <= con->held_len && con->held_len <= sizeof(con->held));
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

/*
 * One read a round: a second one might block, and a guest that takes as fast as
 * a file gives would never let us go.
 */
static void pump_input(struct console *con)
{
	ssize_t n;

	if (con->in_open && offer_held(con)) {
		n = read(con->in.fd, con->held, sizeof(con->held));
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
			stop_input(con);
			return;
		}
		con->held_len = n > 0 ? (size_t)n : 0;
		if (con->raw)
			con->held_len =
				take_escapes(con, con->held, con->held_len);
		if (offer_held(con) && !con->in_pollable)
			console_wake(con);
	}
	watch_input(con, con->in_open && con->held_len == 0);
}

static void on_in(struct loop_source *src, uint32_t events)
{
	(void)events;
	pump_input(container_of(src, struct console, in));
}

static void console_on_wake(struct loop_source *src, uint32_t events)
{
	struct console *con = container_of(src, struct console, wake);
	uint64_t n;

	(void)events;
	if (read(src->fd, &n, sizeof(n)) < 0)
		return;
	pump_output(con);
	if (!con->in_open)
		return;
	if (!con->in_pollable)
		pump_input(con);
	else if (con->held_len > 0 && offer_held(con))
		watch_input(con, true);
}

/* ---- set-up ---- */

int console_init(struct console *con, struct loop *loop, struct serial *serial,
		 struct console_params *params, struct err *err)
{
	int r;

	con->loop = loop;
	con->serial = serial;
	con->callbacks = params->callbacks;
	con->terminal = params->terminal;
	con->sink = params->out;
	params->out = SINK_CLOSED;
	con->out = (struct loop_source){
		.fd = -1, .events = EPOLLOUT, .cb = on_out};
	con->in = (struct loop_source){.fd = params->use_stdin ? STDIN_FILENO
							       : -1,
				       .events = EPOLLIN,
				       .cb = on_in};
	con->wake = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.cb = console_on_wake,
	};
	if (con->wake.fd < 0)
		return err_set(err, -errno, "eventfd failed: %s",
			       err_name(errno));
	r = loop_add(loop, &con->wake);
	if (r < 0)
		return r;
	serial_set_wake(serial, console_wake, con);
	return 0;
}

/* An assertion has failed, or somebody sent it: the end all the same. */
static void on_abort(int sig)
{
	console_restore_tty();
	(void)raise(sig); /* by default, once we return */
}

static void give_back_on_abort(void)
{
	struct sigaction action = {
		.sa_handler = on_abort,
		.sa_flags = (int)SA_RESETHAND,
	};

	(void)sigfillset(&action.sa_mask);
	(void)sigaction(SIGABRT, &action, NULL);
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
	give_back_on_abort();
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
	int64_t end_ms = 0;
	enum drained drained;

	do
		drained = console_drain(con);
	while (drained == DRAINED_PART ||
	       (drained == DRAINED_FULL &&
		sink_last_room(&con->sink, &end_ms)));
}

void console_fini(struct console *con)
{
	if (!con->loop)
		return;
	serial_set_wake(con->serial, NULL, NULL);
	if (con->sink.kind != SINK_NONE)
		flush_last(con);
	stop_input(con);
	loop_del(con->loop, &con->out);
	loop_del(con->loop, &con->wake);
	sink_close(&con->sink);
	fd_close(&con->wake.fd);
	console_restore_tty();
	con->loop = NULL;
}

void console_restore_tty(void)
{
	if (atomic_exchange(&tty_is_raw, false))
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved_tty);
}
