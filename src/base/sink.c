// SPDX-License-Identifier: Apache-2.0
/*
 * sink.c - where log, metrics and console go (theory of operation: sink.h)
 */
#include "base/sink.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* poll() promises room for some bytes of a pipe, for one of a terminal. */
#define SHARED_PIPE_MAX 512u
#define SHARED_TTY_MAX  1u

/* How long the end of the process may wait: without progress, and in all. */
#define STALL_MS 1000
#define LAST_MS  5000

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif

#define OPEN_FLAGS (O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

/* ---- opening ---- */

int sink_open(struct sink *sink, const char *path)
{
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | OPEN_FLAGS, 0644);

	if (fd < 0)
		return -errno;
	*sink = (struct sink){.fd = fd, .kind = SINK_OWN, .owned = true};
	return 0;
}

/* Another user's terminal, but the one that this session runs on. */
static int open_own_tty(int fd)
{
	int tty = open("/dev/tty", O_WRONLY | OPEN_FLAGS);
	unsigned int ours, theirs;

	if (tty >= 0 && (ioctl(fd, TIOCGDEV, &theirs) < 0 ||
			 ioctl(tty, TIOCGDEV, &ours) < 0 || ours != theirs))
		fd_close(&tty);
	return tty;
}

static int reopen(int fd)
{
	char path[32];
	int own;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | OPEN_FLAGS);
	return own < 0 && isatty(fd) ? open_own_tty(fd) : own;
}

void sink_borrow(struct sink *sink, int fd)
{
	struct stat st;

	*sink = SINK_CLOSED;
	if (fstat(fd, &st) < 0)
		return;
	sink->fd = fd;
	if (S_ISREG(st.st_mode)) {
		sink->kind = SINK_OWN;
	} else if (S_ISSOCK(st.st_mode)) {
		sink->kind = SINK_SOCKET;
	} else {
		int own = reopen(fd);

		sink->kind = own >= 0 ? SINK_OWN : SINK_SHARED;
		sink->owned = own >= 0;
		sink->fd = own >= 0 ? own : fd;
		sink->is_tty = isatty(sink->fd);
	}
}

void sink_close(struct sink *sink)
{
	if (sink->owned)
		fd_close(&sink->fd);
	*sink = SINK_CLOSED;
}

/* ---- writing ---- */

static ssize_t write_shared(const struct sink *sink, const void *data,
			    size_t len)
{
	int fd = sink->fd;
	union {
		const void *from;
		void *to;
	} cast = {.from = data}; /* struct iovec knows no const */
	struct iovec iov = {cast.to, len};
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	size_t max = sink->is_tty ? SHARED_TTY_MAX : SHARED_PIPE_MAX;
	long n = syscall(SYS_pwritev2, fd, &iov, 1, -1L, -1L, RWF_NOWAIT);

	if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
		return n;
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, data, len < max ? len : max);
}

ssize_t sink_write(const struct sink *sink, const void *data, size_t len)
{
	ssize_t n = -1;

	do {
		switch (sink->kind) {
		case SINK_NONE:
			return (ssize_t)len;
		case SINK_OWN:
			n = write(sink->fd, data, len);
			break;
		case SINK_SOCKET:
			n = send(sink->fd, data, len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case SINK_SHARED:
			n = write_shared(sink, data, len);
			break;
		}
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool sink_last_room(const struct sink *sink, int64_t *end_ms)
{
	struct pollfd p = {.fd = sink->fd, .events = POLLOUT};

	if (*end_ms == 0)
		*end_ms = now_ms() + LAST_MS;
	return now_ms() < *end_ms && poll(&p, 1, STALL_MS) == 1;
}

void sink_write_last(const struct sink *sink, const void *data, size_t len)
{
	const char *p = data;
	int64_t end_ms = 0;

	while (len > 0) {
		ssize_t n = sink_write(sink, p, len);

		if (n == -EAGAIN && sink_last_room(sink, &end_ms))
			continue;
		if (n < 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}
