// SPDX-License-Identifier: Apache-2.0
/*
 * test_attach.c - who is attached to a VM in the background
 *
 * The holder's side without a VM: what it says is said by the test, and the
 * other end of the connection is the test's, frame by frame.
 */
#include "unit.h"

#include "cli/background_attach.h"
#include "cli/background_ctl.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

/**
 * struct rig - @mine: the other end; @in: frames that came
 */
struct rig {
	struct background b;
	struct agent_reader in;
	int mine;
	int signal;
	struct agent_size size;
};

static void note_signal(void *ctx, int number)
{
	((struct rig *)ctx)->signal = number;
}

static void note_size(void *ctx, const struct agent_size *size)
{
	((struct rig *)ctx)->size = *size;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct background *b = &rig->b;
	struct epoll_event event = {.events = EPOLLIN};
	int ends[2];

	if (!rig ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       ends) < 0)
		return -1;
	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++)
		b->conn[i].fd = -1;
	b->wake = epoll_create1(EPOLL_CLOEXEC);
	b->still = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	b->listener = -1;
	b->has = AGENT_EXEC_INPUT | AGENT_EXEC_TTY;
	b->pass = note_signal;
	b->resize = note_size;
	b->pass_ctx = rig;
	if (pipe2(b->typed, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	b->conn[3].fd = ends[0];
	b->conn[3].in.side = AGENT_FROM_HOST;
	event.data.fd = ends[0];
	(void)epoll_ctl(b->wake, EPOLL_CTL_ADD, ends[0], &event);
	rig->mine = ends[1];
	rig->in.side = AGENT_FROM_GUEST;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	background_ctl_close(&rig->b.conn[3]);
	fd_close(&rig->b.wake);
	fd_close(&rig->b.still);
	fd_close(&rig->b.typed[0]);
	fd_close(&rig->b.typed[1]);
	fd_close(&rig->mine);
	agent_reader_free(&rig->in);
	free(rig);
	return 0;
}

/* A frame to the holder, which serves it. */
static void say(struct rig *rig, enum agent_type type, const void *data,
		size_t len)
{
	struct buf out = {0};
	int left;

	agent_put(&out, type, data, len, NULL, 0);
	assert_int_equal(fd_write_full(rig->mine, out.data, out.len), 0);
	buf_free(&out);
	while (rig->b.conn[3].fd >= 0 &&
	       ioctl(rig->b.conn[3].fd, FIONREAD, &left) == 0 && left > 0)
		background_ctl_serve(&rig->b, rig->b.conn[3].fd);
}

/* The next frame of the holder's. */
static bool hear(struct rig *rig, struct agent_frame *frame)
{
	int r = agent_reader_next(&rig->in, frame);

	while (r == 0 && agent_reader_fill(&rig->in, rig->mine) > 0)
		r = agent_reader_next(&rig->in, frame);
	assert_true(r >= 0);
	return r > 0;
}

static void hears(struct rig *rig, enum agent_type type, const void *data,
		  size_t len)
{
	struct agent_frame frame;

	assert_true(hear(rig, &frame));
	assert_int_equal(frame.type, type);
	assert_int_equal(frame.len, len);
	assert_memory_equal(frame.data, data, len);
}

static void attach(struct rig *rig, uint32_t flags)
{
	const struct agent_attach request = {flags, {33, 77}};

	say(rig, AGENT_ATTACH, &request, sizeof(request));
	hears(rig, AGENT_ATTACHED, &rig->b.has, sizeof(rig->b.has));
}

static bool is_gone(const struct rig *rig)
{
	return rig->b.conn[3].fd < 0;
}

static void streams_are_apart(void **state)
{
	struct rig *rig = *state;
	struct agent_frame frame;

	background_attach_said(&rig->b, false, "before", 6);
	attach(rig, 0);
	assert_int_equal(rig->size.rows, 33);
	background_attach_said(&rig->b, false, "one", 3);
	background_attach_said(&rig->b, true, "two", 3);
	hears(rig, AGENT_OUTPUT, "one", 3);
	hears(rig, AGENT_ERRORS, "two", 3);
	assert_false(hear(rig, &frame));
	background_ctl_tell_end(&rig->b, 42);
	assert_true(hear(rig, &frame));
	assert_int_equal(frame.type, AGENT_EXIT);
}

static void credit(struct rig *rig, uint32_t stream, uint32_t bytes)
{
	const struct agent_credit given = {stream, bytes};

	say(rig, AGENT_CREDIT, &given, sizeof(given));
}

/* As much as was granted, and then the command waits; nothing is lost. */
static void a_slow_reader(void **state)
{
	static char piece[AGENT_DATA_MAX];
	struct rig *rig = *state;
	size_t said = 0, heard = 0;
	struct agent_frame frame;

	attach(rig, 0);
	while (!background_full(&rig->b)) {
		background_attach_said(&rig->b, false, piece, sizeof(piece));
		said += sizeof(piece);
		assert_true(said < MIB(4));
	}
	for (int i = 0; i < 1000 && heard < said; i++) {
		while (hear(rig, &frame)) {
			heard += frame.len;
			if (frame.len > 0)
				credit(rig, AGENT_OUTPUT, frame.len);
			if (is_gone(rig))
				break;
		}
		assert_false(is_gone(rig));
		background_ctl_serve(&rig->b, rig->b.conn[3].fd);
	}
	assert_int_equal(heard, said);
	assert_false(background_full(&rig->b));
}

static void a_reader_that_stands_still(void **state)
{
	static char piece[AGENT_DATA_MAX];
	struct rig *rig = *state;
	struct itimerspec timer;

	attach(rig, 0);
	while (!background_full(&rig->b))
		background_attach_said(&rig->b, true, piece, sizeof(piece));
	assert_int_equal(timerfd_gettime(rig->b.still, &timer), 0);
	assert_int_equal(timer.it_interval.tv_sec, 1);
	background_attach_look(&rig->b);
	assert_false(is_gone(rig));
	rig->b.conn[3].moved_ms -= BACKGROUND_STILL_MS + 1000;
	background_attach_look(&rig->b);
	assert_true(is_gone(rig));
	assert_false(background_full(&rig->b));
	assert_int_equal(timerfd_gettime(rig->b.still, &timer), 0);
	assert_int_equal(timer.it_interval.tv_sec, 0);
}

static void input(void **state)
{
	const struct agent_credit five = {AGENT_INPUT, 5};
	struct rig *rig = *state;
	char got[8] = "";

	attach(rig, AGENT_EXEC_INPUT);
	say(rig, AGENT_INPUT, "typed", 5);
	assert_int_equal(read(rig->b.typed[0], got, sizeof(got)), 5);
	assert_string_equal(got, "typed");
	hears(rig, AGENT_CREDIT, &five, sizeof(five));
	say(rig, AGENT_INPUT_END, NULL, 0);
	assert_int_equal(read(rig->b.typed[0], got, sizeof(got)), -1);
	assert_int_equal(errno, EAGAIN); /* others may have more */
	assert_false(is_gone(rig));
}

/* The command does not read: what waits is bounded, and goes when it does. */
static void input_that_waits(void **state)
{
	static char piece[AGENT_DATA_MAX], got[AGENT_DATA_MAX];
	struct rig *rig = *state;
	uint32_t room = AGENT_WINDOW;
	struct agent_frame frame;
	size_t sent = 0, read_ = 0;
	ssize_t n;

	attach(rig, AGENT_EXEC_INPUT);
	while (room > 0) {
		say(rig, AGENT_INPUT, piece, sizeof(piece));
		room -= (uint32_t)sizeof(piece);
		sent += sizeof(piece);
		while (hear(rig, &frame))
			room += ((const struct agent_credit *)(const void *)
					 frame.data)
					->bytes;
		assert_true(sent < MIB(2));
	}
	assert_false(is_gone(rig));
	while (read_ < sent) {
		n = read(rig->b.typed[0], got, sizeof(got));
		if (n > 0)
			read_ += (size_t)n;
		background_attach_type(&rig->b);
	}
	assert_int_equal(read_, sent);
}

static void input_that_is_too_much(void **state)
{
	static char piece[AGENT_DATA_MAX];
	struct rig *rig = *state;

	attach(rig, AGENT_EXEC_INPUT);
	for (int i = 0; i < 64 && !is_gone(rig); i++)
		say(rig, AGENT_INPUT, piece, sizeof(piece));
	assert_true(is_gone(rig));
}

static void signals_and_sizes(void **state)
{
	const struct agent_size size = {4, 5};
	const uint32_t number = 15;
	struct rig *rig = *state;
	struct agent_frame frame;

	say(rig, AGENT_SIGNAL, &number, sizeof(number));
	hears(rig, AGENT_DONE, "", 0);
	assert_int_equal(rig->signal, 15);
	attach(rig, 0);
	rig->signal = 0;
	say(rig, AGENT_SIGNAL, &number, sizeof(number));
	say(rig, AGENT_RESIZE, &size, sizeof(size));
	assert_false(hear(rig, &frame));
	assert_int_equal(rig->signal, 15);
	assert_int_equal(rig->size.columns, 5);
}

static void a_stream_that_nobody_reads(void **state)
{
	const uint32_t stream = AGENT_ERRORS;
	struct rig *rig = *state;
	struct agent_frame frame;

	attach(rig, 0);
	say(rig, AGENT_CLOSE, &stream, sizeof(stream));
	background_attach_said(&rig->b, true, "x", 1);
	assert_false(hear(rig, &frame));
	background_attach_said(&rig->b, false, "y", 1);
	hears(rig, AGENT_OUTPUT, "y", 1);
}

/* Each ends its own connection, and nothing else. */
static void what_does_not_fit(void **state)
{
	static const struct {
		enum agent_type type;
		uint32_t word[2];
		size_t len;
		bool attached;
	} bad[] = {
		{AGENT_INPUT, {0}, 4, false},
		{AGENT_CREDIT, {AGENT_OUTPUT, 1}, 8, false},
		{AGENT_CREDIT, {AGENT_OUTPUT, 1}, 8, true},
		{AGENT_CREDIT, {AGENT_INPUT, 0}, 8, true},
		{AGENT_CLOSE, {AGENT_INPUT}, 4, true},
		{AGENT_ATTACH, {0}, 8, true},
		{AGENT_ATTACH, {AGENT_EXEC_TTY}, 8, false},
		{AGENT_SIGNAL, {65}, 4, true},
		{AGENT_QUIESCE, {1}, 4, true},
		{AGENT_INPUT, {0}, 4, true}, /* it did not say that any comes */
	};

	(void)teardown(state);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *rig;

		assert_int_equal(setup(state), 0);
		rig = *state;
		if (bad[i].attached)
			attach(rig, 0);
		say(rig, bad[i].type, bad[i].word, bad[i].len);
		assert_true(is_gone(rig));
		if (i + 1 < ARRAY_SIZE(bad))
			(void)teardown(state);
	}
}

int main(void)
{
#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(streams_are_apart),
		TEST(a_slow_reader),
		TEST(a_reader_that_stands_still),
		TEST(input),
		TEST(input_that_waits),
		TEST(input_that_is_too_much),
		TEST(signals_and_sizes),
		TEST(a_stream_that_nobody_reads),
		TEST(what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
