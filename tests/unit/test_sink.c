// SPDX-License-Identifier: Apache-2.0
/*
 * test_sink.c - targets that do not read: a write never waits for them
 *
 * A write that blocks is ended by alarm() and with it the test.
 */
#include "unit.h"

#include "base/fd.h"
#include "host/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_S 60
#define NOBODY     65534

/* Write until it takes no more. Return: bytes taken. */
static size_t fill(const struct sink *sink)
{
	static const char block[1000];
	size_t total = 0;
	ssize_t n;

	(void)alarm(DEADLINE_S);
	while ((n = sink_write(sink, block, sizeof(block))) > 0)
		total += (size_t)n;
	(void)alarm(0);
	assert_int_equal(n, -EAGAIN);
	return total;
}

static bool may_block(int fd)
{
	return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void files_and_fifos(void **state)
{
	char path[] = "/tmp/volt-sink-XXXXXX";
	struct sink sink = SINK_CLOSED;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	for (int i = 0; i < 2; i++) { /* the second appends */
		assert_int_equal(
			stream_open(&path_direct, PATH_LOG, "new", &sink, NULL),
			0);
		assert_int_equal(sink_write(&sink, "a", 1), 1);
		sink_close(&sink);
	}
	assert_int_equal(stat("new", &st), 0);
	assert_int_equal(st.st_size, 2);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(
		stream_open(&path_direct, PATH_LOG, "fifo", &sink, NULL),
		0); /* without a reader */
	assert_true(fill(&sink) >= 4096);
	sink_close(&sink);
	assert_int_equal(stream_open(&path_direct, PATH_LOG, path, &sink, NULL),
			 -EISDIR);
	assert_int_equal(
		stream_open(&path_direct, PATH_LOG, "no/such", &sink, NULL),
		-ENOENT);
	assert_int_equal(sink.kind, SINK_NONE);
	assert_int_equal(
		stream_open(&path_direct, PATH_LOG, "/dev/full", &sink, NULL),
		0);
	assert_int_equal(sink_write(&sink, "a", 1), -ENOSPC);
	sink_close(&sink);
	sink_close(&sink);
	assert_int_equal(sink_write(&sink, "gone", 4), 4);
	(void)unlink("new");
	(void)unlink("fifo");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(path), 0);
}

/* As stderr mostly is: the other processes that share it may still block. */
static void shared_pipe(void **state)
{
	struct sink sink;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	stream_borrow(&path_direct, ends[1], &sink);
	assert_int_equal(sink.kind, SINK_OWN);
	assert_int_not_equal(sink.fd, ends[1]);
	assert_true(fill(&sink) >= 4096);
	assert_true(may_block(ends[1]));
	sink_close(&sink);
	assert_true(fcntl(ends[1], F_GETFD) >= 0);
	/* Its reader is gone: an error, not a hang. */
	(void)close(ends[0]);
	(void)signal(SIGPIPE, SIG_IGN);
	stream_borrow(&path_direct, ends[1], &sink);
	assert_int_equal(sink_write(&sink, "a", 1), -EPIPE);
	sink_close(&sink);
	(void)close(ends[1]);
}

static void shared_socket(void **state)
{
	struct sink sink;
	int ends[2];

	(void)state;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	stream_borrow(&path_direct, ends[1], &sink);
	assert_int_equal(sink.kind, SINK_SOCKET);
	assert_true(fill(&sink) > 0);
	assert_true(may_block(ends[1]));
	sink_close(&sink);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void shared_terminal(void **state)
{
	struct sink sink;
	int master, slave;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	stream_borrow(&path_direct, slave, &sink);
	assert_int_equal(sink.kind, SINK_OWN);
	assert_true(fill(&sink) > 0);
	assert_true(may_block(slave));
	sink_close(&sink);
	(void)close(master);
	(void)close(slave);
}

/* A descriptor that this user may not open anew, as after su. */
static void fill_as_nobody(int fd)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct sink sink;
		ssize_t n;

		(void)alarm(DEADLINE_S);
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(1);
		stream_borrow(&path_direct, fd, &sink);
		if (sink.kind != SINK_SHARED)
			_exit(2);
		do
			n = sink_write(&sink, "0123456789abcde\n", 16);
		while (n > 0);
		_exit(n == -EAGAIN ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(may_block(fd));
}

static void not_ours_to_open(void **state)
{
	int ends[2], master, slave;

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can become somebody else */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fill_as_nobody(ends[1]);
	(void)close(ends[0]);
	(void)close(ends[1]);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(fchmod(slave, 0600), 0);
	fill_as_nobody(slave);
	(void)close(master);
	(void)close(slave);
}

/* The end of a process waits for a reader, but not for ever. */
static void the_last_words(void **state)
{
	static char text[3 * 4096 + 1];
	struct sink sink;
	size_t got = 0;
	int ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
	stream_borrow(&path_direct, ends[1], &sink);
	pid = fork();
	if (pid == 0) {
		memset(text, 'x', sizeof(text));
		sink_write_last(&sink, text, sizeof(text));
		_exit(0);
	}
	sink_close(&sink);
	(void)close(ends[1]);
	for (ssize_t n; (n = read(ends[0], text, 100)) > 0;)
		got += (size_t)n;
	assert_int_equal(got, sizeof(text));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(ends[0]);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	stream_borrow(&path_direct, ends[1], &sink);
	(void)fill(&sink);
	(void)alarm(DEADLINE_S);
	sink_write_last(&sink, text, sizeof(text));
	(void)alarm(0);
	sink_close(&sink);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void closed_from_the_start(void **state)
{
	struct sink sink;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	stream_borrow(&path_direct, fd, &sink);
	assert_int_equal(sink.kind, SINK_NONE);
	assert_int_equal(sink_write(&sink, "a", 1), 1);
	sink_close(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_fifos),
		cmocka_unit_test(shared_pipe),
		cmocka_unit_test(shared_socket),
		cmocka_unit_test(shared_terminal),
		cmocka_unit_test(not_ours_to_open),
		cmocka_unit_test(the_last_words),
		cmocka_unit_test(closed_from_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
