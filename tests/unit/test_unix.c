// SPDX-License-Identifier: Apache-2.0
/*
 * test_unix.c - sockets in the file system, and descriptors that pass through
 * them, also from somebody who means ill
 */
#include "unit.h"

#include "base/fd.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_S 60
#define MANY       (UNIX_FDS_MAX + 8)

static int set_up(void **state)
{
	static char dir[] = "/tmp/volt-unix-XXXXXX";

	*state = dir;
	(void)memcpy(strrchr(dir, '-'), "-XXXXXX", sizeof("-XXXXXX"));
	(void)alarm(DEADLINE_S);
	return !mkdtemp(dir) || chdir(dir) < 0;
}

static int tear_down(void **state)
{
	(void)alarm(0);
	(void)unlink("s");
	return chdir("/") < 0 || rmdir(*state) < 0;
}

/* Descriptors of this process. */
static unsigned int count_open(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 1024; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void listen_and_connect(void **state)
{
	int listener = unix_listen("s", 1);
	int near, far;
	char byte;

	(void)state;
	assert_true(listener >= 0);
	assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(unix_listen("s", 1), -EADDRINUSE);
	near = unix_connect("s", UNIX_WAIT);
	assert_true(near >= 0);
	assert_false(fcntl(near, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(near, F_GETFD) & FD_CLOEXEC);
	far = accept(listener, NULL, NULL);
	assert_int_equal(write(near, "x", 1), 1);
	assert_int_equal(read(far, &byte, 1), 1);
	fd_close(&near);
	fd_close(&far);
	near = unix_connect("s", UNIX_NOWAIT);
	assert_true(near >= 0);
	assert_true(fcntl(near, F_GETFL) & O_NONBLOCK);
	fd_close(&near);
	fd_close(&listener);
	assert_int_equal(unix_connect("s", UNIX_WAIT), -ECONNREFUSED);
	assert_int_equal(unix_connect("s", 10), -ECONNREFUSED);
	assert_int_equal(unix_connect("s", UNIX_NOWAIT), -ECONNREFUSED);
	assert_int_equal(unix_connect("none", UNIX_NOWAIT), -ENOENT);
}

static void full_backlog(void **state)
{
	unsigned int before = count_open();
	int listener = unix_listen("s", 0);
	int one = unix_connect("s", UNIX_NOWAIT);

	(void)state;
	assert_true(one >= 0);
	assert_int_equal(unix_connect("s", UNIX_NOWAIT), -EAGAIN);
	assert_int_equal(unix_connect("s", 10), -ETIMEDOUT);
	/* Room, and it does not matter how long that took. */
	fd_close(&one);
	one = accept(listener, NULL, NULL);
	fd_close(&one);
	one = unix_connect("s", 10000);
	assert_true(one >= 0);
	fd_close(&one);
	fd_close(&listener);
	assert_int_equal(count_open(), before);
}

static void lengths(void **state)
{
	char path[UNIX_PATH_MAX + 2];
	int fd;

	(void)state;
	assert_int_equal(unix_listen("", 1), -EINVAL);
	assert_int_equal(unix_connect("", UNIX_WAIT), -EINVAL);
	memset(path, '/', sizeof(path));
	path[0] = '.';
	path[UNIX_PATH_MAX - 1] = 's';
	path[UNIX_PATH_MAX] = '\0';
	fd = unix_listen(path, 1);
	assert_true(fd >= 0);
	fd_close(&fd);
	path[UNIX_PATH_MAX] = 's';
	path[UNIX_PATH_MAX + 1] = '\0';
	assert_int_equal(unix_listen(path, 1), -ENAMETOOLONG);
	assert_int_equal(unix_connect(path, 1), -ENAMETOOLONG);
}

/* ---- descriptors ---- */

struct pipe_pair {
	int pair[2];
	unsigned int open; /* before */
};

static void pair_open(struct pipe_pair *p, int type)
{
	p->open = count_open();
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, p->pair),
			 0);
}

/* Nothing that came is left. */
static void pair_close(struct pipe_pair *p)
{
	fd_close(&p->pair[0]);
	fd_close(&p->pair[1]);
	assert_int_equal(count_open(), p->open);
}

static void pass(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
	int fds[UNIX_FDS_MAX], got[UNIX_FDS_MAX];
	struct pipe_pair p;
	struct stat a, b;
	char text[8];
	size_t nr;

	(void)state;
	for (size_t i = 0; i < UNIX_FDS_MAX; i++)
		fds[i] = STDERR_FILENO;
	assert_int_equal(fstat(STDERR_FILENO, &a), 0);
	for (size_t i = 0; i < 2; i++) {
		pair_open(&p, types[i]);
		for (size_t k = 0; k <= UNIX_FDS_MAX; k += UNIX_FDS_MAX / 2) {
			assert_int_equal(
				unix_send_fds(p.pair[0], "ab", 2, fds, k, 0),
				2);
			assert_int_equal(unix_recv_fds(p.pair[1], text,
						       sizeof(text), got,
						       UNIX_FDS_MAX, &nr, 0),
					 2);
			assert_int_equal(nr, k);
			for (size_t n = 0; n < nr; n++) {
				assert_int_equal(fstat(got[n], &b), 0);
				assert_int_equal(a.st_ino, b.st_ino);
				assert_true(fcntl(got[n], F_GETFD) &
					    FD_CLOEXEC);
				fd_close(&got[n]);
			}
			for (size_t n = nr; n < UNIX_FDS_MAX; n++)
				assert_int_equal(got[n], -1);
		}
		assert_int_equal(unix_recv_fds(p.pair[1], text, sizeof(text),
					       got, 1, &nr, MSG_DONTWAIT),
				 -EAGAIN);
		fd_close(&p.pair[0]);
		assert_int_equal(unix_recv_fds(p.pair[1], text, sizeof(text),
					       NULL, 0, &nr, 0),
				 0);
		pair_close(&p);
	}
}

static void what_cannot_be_sent(void **state)
{
	int fds[MANY] = {0};
	int bad = 999;
	struct pipe_pair p;

	(void)state;
	pair_open(&p, SOCK_SEQPACKET);
	assert_int_equal(
		unix_send_fds(p.pair[0], "a", 1, fds, UNIX_FDS_MAX + 1, 0),
		-EINVAL);
	assert_int_equal(unix_send_fds(p.pair[0], "", 0, fds, 1, 0), -EINVAL);
	assert_int_equal(unix_send_fds(p.pair[0], "a", 1, &bad, 1, 0), -EBADF);
	fd_close(&p.pair[1]);
	/* No SIGPIPE. */
	assert_int_equal(unix_send_fds(p.pair[0], "a", 1, NULL, 0, 0), -EPIPE);
	pair_close(&p);
}

/* As many as the kernel takes, whatever the other side asked for. */
static void send_raw(int sock, size_t len, size_t nr)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(MANY * sizeof(int))];
	} control = {0};
	char text[64] = "";
	struct iovec iov = {text, len};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};

	control.head.cmsg_len = CMSG_LEN(nr * sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	for (size_t i = 0; i < nr; i++)
		memcpy(CMSG_DATA(&control.head) + i * sizeof(int),
		       &(int){STDERR_FILENO}, sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, 0), len);
}

/* All or none: what is refused is closed. */
static void too_many(void **state)
{
	static const struct {
		size_t len, nr; /* what comes */
		size_t max;     /* what is asked for */
		int rc;
	} rows[] = {
		{1, 1, 0, -EPROTO},
		{1, 2, 1, -EPROTO},
		{1, UNIX_FDS_MAX, UNIX_FDS_MAX - 1, -EPROTO},
		{1, UNIX_FDS_MAX + 1, UNIX_FDS_MAX, -EPROTO},
		{1, MANY, UNIX_FDS_MAX, -EPROTO},
		{1, MANY, 0, -EPROTO},
		{9, 0, 1, -EMSGSIZE},
		{9, 1, 1, -EMSGSIZE},
		{9, 2, 1, -EPROTO},
		{8, 1, 1, 8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got[UNIX_FDS_MAX];
		struct pipe_pair p;
		char text[8];
		size_t nr = 99;

		pair_open(&p, SOCK_SEQPACKET);
		send_raw(p.pair[0], rows[i].len, rows[i].nr);
		assert_int_equal(unix_recv_fds(p.pair[1], text, sizeof(text),
					       got, rows[i].max, &nr, 0),
				 rows[i].rc);
		assert_int_equal(nr, rows[i].rc < 0 ? 0 : rows[i].nr);
		for (size_t k = 0; k < rows[i].max; k++)
			if (k < nr)
				fd_close(&got[k]);
			else
				assert_int_equal(got[k], -1);
		pair_close(&p);
	}
}

/* The kernel then gives as many as there is room for, and cuts the list. */
static void out_of_numbers(void **state)
{
	struct rlimit old, tight;
	struct pipe_pair p;
	int got[4], first;
	char text[8];
	size_t nr;

	(void)state;
	pair_open(&p, SOCK_SEQPACKET);
	send_raw(p.pair[0], 1, 4);
	first = dup(STDERR_FILENO);
	fd_close(&first);
	first = dup(STDERR_FILENO);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)first + 3; /* two are free */
	fd_close(&first);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(
		unix_recv_fds(p.pair[1], text, sizeof(text), got, 4, &nr, 0),
		-EPROTO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(nr, 0);
	pair_close(&p);
}

/* What was left to us is a connected stream socket, or is not taken. */
static void what_was_left(void **state)
{
	static const char *const names[] = {
		"/dev/fd/",  "/dev/fd/-1", "/dev/fd/0",
		"/dev/fd/x", "/dev/fd/99", "/dev/fd/9/9",
	};
	struct pipe_pair p;
	char name[32];
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(unix_take_left(names[i]), -EINVAL);
	pair_open(&p, SOCK_SEQPACKET);
	(void)snprintf(name, sizeof(name), "/dev/fd/%d", p.pair[0]);
	assert_int_equal(unix_take_left(name), -EINVAL);
	pair_close(&p);
	fd = unix_listen("left", 1);
	assert_true(fd >= 0);
	(void)snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	assert_int_equal(unix_take_left(name), -EINVAL);
	fd_close(&fd);
	(void)unlink("left");
	pair_open(&p, SOCK_STREAM);
	(void)snprintf(name, sizeof(name), "/dev/fd/%d", p.pair[0]);
	fd = unix_take_left(name);
	assert_true(fd >= 0 && fd != p.pair[0]);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	fd_close(&fd);
	pair_close(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(listen_and_connect),
		TEST(full_backlog),
		TEST(lengths),
		TEST(pass),
		TEST(what_cannot_be_sent),
		TEST(too_many),
		TEST(out_of_numbers),
		TEST(what_was_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
