// SPDX-License-Identifier: Apache-2.0
/*
 * test_console_schedule.c - serial port and console: whatever happens in
 * whatever order, no byte is forgotten, and none is lost that is not counted
 *
 * The guest does no more than it has to: it looks at the port only when its
 * line rose. Whoever reads the output is slow, and takes it in parts.
 */
#include "unit.h"

#include "schedule.h"

#include "base/log.h"
#include "dev/console.h"
#include "host/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define PIPE_BYTES 4096
#define LARGE_PIPE (1 << 20)
#define MUCH       5000u /* more than a queue takes */

#define THR        0
#define RBR        0
#define IER        1
#define IIR        2
#define FCR        2
#define LSR        5
#define IER_ALL    3
#define IIR_NONE   1
#define IIR_RDA    4
#define FCR_CLEAR  3
#define LSR_DR     1

/* Numbered bytes on their way; free-running. */
struct stream {
	uint32_t sent;
	uint32_t got;
};

/**
 * struct world - the port, and who is at its ends
 * @out, @in:	pipes; the console has the other ends
 * @high, @rose: the line, and that the guest has not looked since
 * @spare:	what stdin was
 * @moved:	bytes that the sink took in this callback
 */
static struct world {
	struct loop loop;
	struct serial serial;
	struct console con;
	int out[2];
	int in[2];
	struct stream output;
	struct stream input;
	bool high;
	bool rose;
	int spare;
	size_t moved;
} w;

static uint8_t byte_of(uint32_t n)
{
	return (uint8_t)(n * 37 + n / 251);
}

/* ---- the host ---- */

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	static const int why[] = {EINTR, EAGAIN};
	ssize_t n;

	if (!w.con.loop || fd != w.con.sink.fd)
		return __real_write(fd, data, len);
	if (schedule_once_in(20)) {
		errno = why[schedule_below(ARRAY_SIZE(why))];
		return -1;
	}
	if (schedule_once_in(4))
		len = schedule_below(len) + 1;
	n = __real_write(fd, data, len);
	w.moved += n > 0 ? (size_t)n : 0;
	return n;
}

/* ---- the guest ---- */

static uint8_t reg(uint64_t off)
{
	uint8_t v;

	schedule_check(serial_bus_ops.read(&w.serial, off, &v, 1) == 0);
	return v;
}

static void set_reg(uint64_t off, uint8_t v)
{
	schedule_check(serial_bus_ops.write(&w.serial, off, &v, 1) == 0);
}

static void on_line(void *ctx, unsigned int gsi, bool high)
{
	(void)ctx;
	(void)gsi;
	w.rose |= high && !w.high;
	w.high = high;
}

static void guest_writes(uint64_t len)
{
	for (; len > 0; len--) {
		uint64_t taken = w.serial.metrics.write_count;

		set_reg(THR, byte_of(w.output.sent));
		w.output.sent += w.serial.metrics.write_count != taken;
	}
}

static void write_some(void)
{
	guest_writes(schedule_below(schedule_once_in(20) ? 80000 : 300));
}

static void take_byte(void)
{
	schedule_check(w.input.got != w.input.sent);
	schedule_check(reg(RBR) == byte_of(w.input.got));
	w.input.got++;
}

/* As an interrupt handler does, at most @max bytes of it. */
static void interrupt(uint64_t max)
{
	uint8_t cause;

	if (!w.rose)
		return;
	w.rose = false;
	while (((cause = reg(IIR)) & 0xf) != IIR_NONE)
		if ((cause & 0xf) == IIR_RDA)
			while (max > 0 && reg(LSR) & LSR_DR) {
				take_byte();
				if (--max == 0) {
					w.rose = true; /* looks again */
					return;
				}
			}
}

static void guest_looks(void)
{
	interrupt(schedule_below(3000) + 1);
}

/* What the guest could have seen goes, no more. */
static void clear_fifo(void)
{
	schedule_check(w.serial.in_fifo <= SERIAL_FIFO_BYTES);
	schedule_check(w.serial.in_fifo <= w.input.sent - w.input.got);
	w.input.got += w.serial.in_fifo;
	set_reg(FCR, FCR_CLEAR);
}

static void save_and_load(void)
{
	static struct serial_state state;
	struct err err;

	memset(&state, 0, sizeof(state));
	serial_save(&w.serial, &state);
	schedule_check(serial_load(&w.serial, &state, &err) == 0);
}

/* ---- who is at the other ends ---- */

static void read_output(size_t max)
{
	static uint8_t data[PIPE_BYTES];
	ssize_t n =
		read(w.out[0], data, max < sizeof(data) ? max : sizeof(data));

	for (ssize_t i = 0; i < n; i++) {
		schedule_check(data[i] == byte_of(w.output.got));
		w.output.got++;
	}
	schedule_note(w.output.got);
}

static void reader(void)
{
	read_output(schedule_below(PIPE_BYTES) + 1);
}

static void typist(void)
{
	static uint8_t data[MUCH];
	size_t len = schedule_below(schedule_once_in(4) ? MUCH : 40) + 1;
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		data[i] = byte_of(w.input.sent + (uint32_t)i);
	n = __real_write(w.in[1], data, len);
	w.input.sent += n > 0 ? (uint32_t)n : 0;
	schedule_note(w.input.sent);
}

/* ---- what happens ---- */

/* On another CPU, while the console is at it. */
static void on_output(void *ctx)
{
	(void)ctx;
	if (schedule_once_in(2))
		guest_writes(schedule_below(4000));
}

static void one_callback(void)
{
	unsigned int head = w.serial.in_head;

	w.moved = 0;
	schedule_check(loop_step(&w.loop, 0) == 0);
	/* The kick's source, and the sink's. */
	schedule_check(w.moved <= 2 * CONSOLE_ROUND_BYTES);
	schedule_check(w.serial.in_head - head <= 2 * CONSOLE_CHUNK);
}

static bool idle(void)
{
	struct pollfd p = {.fd = w.loop.epoll_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static void open_world(void)
{
	const struct irq_line irq = {.set = on_line};
	struct console_params params = {
		.use_stdin = true,
		.callbacks = {.output = on_output},
	};
	struct err err;
	char path[32];

	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	schedule_check(loop_init(&w.loop) == 0);
	schedule_check(pipe2(w.out, O_NONBLOCK | O_CLOEXEC) == 0);
	schedule_check(pipe2(w.in, O_NONBLOCK | O_CLOEXEC) == 0);
	/* One that is soon full, or one that takes a round and more. */
	schedule_check(fcntl(w.out[1], F_SETPIPE_SZ,
			     schedule_once_in(2) ? PIPE_BYTES : LARGE_PIPE) >
		       0);
	schedule_check(fcntl(w.in[1], F_SETPIPE_SZ, PIPE_BYTES) > 0);
	w.spare = dup(STDIN_FILENO);
	schedule_check(dup2(w.in[0], STDIN_FILENO) == STDIN_FILENO);
	serial_init(&w.serial, &irq);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", w.out[1]);
	schedule_check(stream_open(&path_direct, PATH_SERIAL, path, &params.out,
				   &err) == 0);
	schedule_check(
		console_init(&w.con, &w.loop, &w.serial, &params, &err) == 0);
	schedule_check(console_start_input(&w.con, &err) == 0);
	set_reg(IER, IER_ALL);
}

static void close_world(void)
{
	(void)close(w.out[0]); /* nobody reads what is left */
	console_fini(&w.con);
	serial_fini(&w.serial);
	(void)dup2(w.spare, STDIN_FILENO);
	(void)close(w.spare);
	(void)close(w.out[1]);
	(void)close(w.in[0]);
	(void)close(w.in[1]);
	loop_fini(&w.loop);
}

static void settle(void)
{
	unsigned int left = 10000;

	while (w.output.got != w.output.sent || w.input.got != w.input.sent ||
	       !idle()) {
		if (left-- == 0)
			schedule_failed("bytes are left behind", __FILE__,
					__LINE__);
		one_callback();
		read_output(PIPE_BYTES);
		interrupt(UINT64_MAX);
	}
}

static const struct schedule_step steps[] = {
	{"write", 20, write_some},
	{"callback", 25, one_callback},
	{"guest looks", 20, guest_looks},
	{"reader", 20, reader},
	{"typist", 15, typist},
	{"clear the FIFO", 2, clear_fifo},
	{"save and load", 2, save_and_load},
};

static const struct schedule_plan plan = {
	.name = "console",
	.steps = 20000,
	.step = steps,
	.nr = ARRAY_SIZE(steps),
	.open = open_world,
	.settle = settle,
	.close = close_world,
};

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return schedule_main(&plan);
}
