// SPDX-License-Identifier: Apache-2.0
/*
 * sink.c - where log, metrics and console go (theory of operation: sink.h)
 */
#include "base/sink.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
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
	ssize_t n = fd_pwritev(fd, &iov, 1, -1, RWF_NOWAIT);

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
			n = fd_send(sink->fd, data, len,
				    MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case SINK_SHARED:
			n = write_shared(sink, data, len);
			break;
		}
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

bool sink_last_room(const struct sink *sink, int64_t *end_ms)
{
	struct pollfd p = {.fd = sink->fd, .events = POLLOUT};

	if (*end_ms == 0)
		*end_ms = clock_now_ms() + LAST_MS;
	return clock_now_ms() < *end_ms && poll(&p, 1, STALL_MS) == 1;
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
