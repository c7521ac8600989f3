// SPDX-License-Identifier: Apache-2.0
/*
 * test_console.c - the host's end of the serial port: bounded rounds
 */
#include "unit.h"

#include "dev/console.h"
#include "host/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REG_THR 0
#define REG_RBR 0
#define REG_LSR 5
#define LSR_DR  0x01

/**
 * struct fixture - a console whose guest never rests
 * @writes:	so much again as soon as room is made
 * @pieces:	that the sink was given
 */
struct fixture {
	struct loop loop;
	struct serial serial;
	struct console con;
	size_t writes;
	unsigned int pieces;
};

static void guest_writes(struct fixture *f, size_t len)
{
	const uint8_t c = 'x';

	for (size_t i = 0; i < len; i++)
		(void)serial_bus_ops.write(&f->serial, REG_THR, &c, 1);
}

static size_t guest_reads(struct fixture *f)
{
	uint8_t c;
	size_t n = 0;

	for (;; n++) {
		(void)serial_bus_ops.read(&f->serial, REG_LSR, &c, 1);
		if (!(c & LSR_DR))
			return n;
		(void)serial_bus_ops.read(&f->serial, REG_RBR, &c, 1);
	}
}

/* As on another CPU: while the console is at it. */
static void on_output(void *ctx)
{
	struct fixture *f = ctx;

	f->pieces++;
	guest_writes(f, f->writes);
}

static void on_line(void *ctx, unsigned int gsi, bool level)
{
	(void)ctx;
	(void)gsi;
	(void)level;
}

static void open_console(struct fixture *f, const char *path, bool input)
{
	const struct irq_line irq = {.set = on_line, .ctx = f};
	struct console_params params = {
		.use_stdin = input,
		.callbacks = {.output = on_output, .ctx = f},
	};
	struct err err = {0};

	memset(f, 0, sizeof(*f));
	assert_int_equal(loop_init(&f->loop), 0);
	serial_init(&f->serial, &irq);
	assert_int_equal(
		stream_open(&path_direct, PATH_SERIAL, path, &params.out, &err),
		0);
	assert_int_equal(
		console_init(&f->con, &f->loop, &f->serial, &params, &err), 0);
	assert_int_equal(console_start_input(&f->con, &err), 0);
}

static void close_console(struct fixture *f)
{
	f->writes = 0;
	console_fini(&f->con);
	serial_fini(&f->serial);
	loop_fini(&f->loop);
}

static uint64_t taken(const struct fixture *f)
{
	return f->serial.out_tail;
}

/* A guest that writes as fast as the console does keeps the loop from
 * nothing: a round has an end, and the next one follows. */
static void output_goes_in_rounds(void **state)
{
	static struct fixture f;

	(void)state;
	open_console(&f, "/dev/null", false);
	guest_writes(&f, 1);
	for (unsigned int i = 0; i < 20; i++) {
		uint64_t before = taken(&f);

		f.writes = i < 10 ? SERIAL_OUT_BYTES : 1;
		f.pieces = 0;
		(void)alarm(60); /* without an end there is none */
		assert_int_equal(loop_step(&f.loop, 0), 0);
		(void)alarm(0);
		assert_true(taken(&f) > before);
		assert_true(taken(&f) - before <= CONSOLE_ROUND_BYTES);
		assert_true(f.pieces <= CONSOLE_ROUND_WRITES);
	}
	f.writes = 0;
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(loop_step(&f.loop, 0), 0);
	assert_int_equal(f.serial.out_head, f.serial.out_tail);
	close_console(&f);
}

/* A pipe without a reader: nothing is lost that fits, and it goes on. */
static void output_waits_for_its_reader(void **state)
{
	static struct fixture f;
	static char text[4096];
	char path[32];
	size_t got = 0;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
	open_console(&f, path, false);
	guest_writes(&f, 20000);
	while (got < 20000) {
		ssize_t n = read(ends[0], text, sizeof(text));

		got += n > 0 ? (size_t)n : 0;
		assert_int_equal(loop_step(&f.loop, 0), 0);
	}
	assert_int_equal(got, 20000);
	assert_false(f.con.out.added);
	close_console(&f);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* A file as stdin: one chunk a round, all of it in the end. */
static void input_goes_in_rounds(void **state)
{
	enum { BYTES = 10 * CONSOLE_CHUNK + 5 };
	static const char zeros[BYTES];
	static struct fixture f;
	int saved = dup(STDIN_FILENO);
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t got;

	(void)state;
	assert_int_equal(write(fd, zeros, BYTES), BYTES);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	open_console(&f, "/dev/null", true);
	got = guest_reads(&f);
	assert_true(got <= CONSOLE_CHUNK);
	while (f.con.in_open) {
		size_t n;

		assert_int_equal(loop_step(&f.loop, 0), 0);
		n = guest_reads(&f);
		assert_true(n <= CONSOLE_CHUNK);
		got += n;
	}
	assert_int_equal(got, BYTES);
	close_console(&f);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	(void)close(saved);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_goes_in_rounds),
		cmocka_unit_test(output_waits_for_its_reader),
		cmocka_unit_test(input_goes_in_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
