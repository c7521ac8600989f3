// SPDX-License-Identifier: Apache-2.0
/*
 * unix.c - sockets in the file system (theory of operation: unix.h)
 */
#include "host/unix.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LEFT "/dev/fd/"

/* Return: 0, -EINVAL or -ENAMETOOLONG. */
static int address(struct sockaddr_un *addr, const char *path)
{
	size_t len = strnlen(path, UNIX_PATH_MAX + 1);

	if (len == 0)
		return -EINVAL;
	if (len > UNIX_PATH_MAX)
		return -ENAMETOOLONG;
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(addr->sun_path, path, len);
	return 0;
}

static int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int unix_listen_as(int type, const char *path, int backlog)
{
	struct sockaddr_un addr;
	cleanup_fd int fd = -1;
	int r = address(&addr, path);

	if (r < 0)
		return r;
	fd = new_socket(type | SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (listen(fd, backlog) == 0)
		return fd_steal(&fd);
	r = -errno;
	(void)unlink(path);
	return r;
}

int unix_listen(const char *path, int backlog)
{
	return unix_listen_as(SOCK_STREAM, path, backlog);
}

int unix_listen_packets(const char *path, int backlog)
{
	return unix_listen_as(SOCK_SEQPACKET, path, backlog);
}

static int set_limit(int fd, int limit_ms)
{
	const struct timeval limit = {
		.tv_sec = limit_ms / 1000,
		.tv_usec = limit_ms % 1000 * 1000L,
	};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) <
			       0
		       ? -errno
		       : 0;
}

int unix_connect(const char *path, int limit_ms)
{
	struct sockaddr_un addr;
	cleanup_fd int fd = -1;
	int r = address(&addr, path);

	if (r < 0)
		return r;
	fd = new_socket(limit_ms == UNIX_NOWAIT ? SOCK_STREAM | SOCK_NONBLOCK
						: SOCK_STREAM);
	if (fd < 0)
		return fd;
	if (limit_ms > 0)
		r = set_limit(fd, limit_ms);
	if (r < 0)
		return r;
	/* Interrupted, it has done nothing: AF_UNIX connects whole or not. */
	do
		r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	while (r < 0 && errno == EINTR && limit_ms != UNIX_NOWAIT);
	if (r == 0)
		return fd_steal(&fd);
	if (limit_ms == UNIX_NOWAIT)
		return errno == EINTR ? -EAGAIN : -errno;
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

int unix_take_left(const char *name)
{
	struct sockaddr_un peer = {0};
	socklen_t size = sizeof(peer), len = sizeof(int);
	unsigned long number;
	int type, fd;
	char *end;

	if (strncmp(name, LEFT, strlen(LEFT)) != 0 ||
	    name[strlen(LEFT)] < '0' || name[strlen(LEFT)] > '9')
		return -EINVAL;
	number = strtoul(name + strlen(LEFT), &end, 10);
	if (*end || number <= STDERR_FILENO || number > INT_MAX)
		return -EINVAL;
	fd = (int)number;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_STREAM ||
	    getpeername(fd, (struct sockaddr *)&peer, &size) < 0 ||
	    peer.sun_family != AF_UNIX)
		return -EINVAL;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int unix_connect_packets(const char *path)
{
	struct sockaddr_un addr;
	cleanup_fd int fd = -1;
	int r = address(&addr, path);

	if (r < 0)
		return r;
	fd = new_socket(SOCK_SEQPACKET);
	if (fd < 0)
		return fd;
	do
		r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : fd_steal(&fd);
}

int unix_connect_datagrams(const char *name)
{
	size_t len = strnlen(name, UNIX_PATH_MAX + 1);
	struct sockaddr_un addr;
	cleanup_fd int fd = -1;
	int r = address(&addr, name);

	if (r < 0)
		return r;
	if (name[0] == '@' && name[1])
		addr.sun_path[0] = '\0';
	else if (name[0] != '/')
		return -EINVAL;
	fd = new_socket(SOCK_DGRAM | SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	/* An abstract name ends where the address does, not at a zero. */
	len += offsetof(struct sockaddr_un, sun_path);
	if (connect(fd, (const struct sockaddr *)&addr, (socklen_t)len) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* ---- descriptors ---- */

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(UNIX_FDS_MAX * sizeof(int))];
};

ssize_t unix_send_fds(int sock, const void *data, size_t len, const int *fds,
		      size_t nr, int flags)
{
	union {
		const void *from;
		void *to;
	} cast = {.from = data}; /* struct iovec knows no const */
	struct iovec iov = {cast.to, len};
	union control control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nr > UNIX_FDS_MAX || len == 0)
		return -EINVAL;
	if (nr > 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		control.head.cmsg_len = CMSG_LEN(nr * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.head), fds, nr * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Those of one list: into @fds while there is room, the others are closed. */
static void unix_take(const struct cmsghdr *c, int *fds, size_t max, size_t *nr)
{
	size_t bytes = c->cmsg_len - CMSG_LEN(0);

	for (size_t i = 0; i < bytes / sizeof(int); i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (*nr < max)
			fds[*nr] = fd;
		else
			fd_close(&fd);
		++*nr;
	}
}

/* Return: how many there were, of which @max at most are kept. */
static size_t unix_take_all(struct msghdr *msg, int *fds, size_t max)
{
	size_t nr = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			unix_take(c, fds, max, &nr);
	return nr;
}

ssize_t unix_recv_fds(int sock, void *data, size_t len, int *fds, size_t max,
		      size_t *nr, int flags)
{
	struct iovec iov = {data, len};
	union control control = {0};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	size_t came;
	ssize_t n;

	for (size_t i = 0; i < max; i++)
		fds[i] = -1;
	*nr = 0;
	do
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	came = unix_take_all(&msg, fds, max);
	if (came <= max && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		*nr = came;
		return n;
	}
	for (size_t i = 0; i < max; i++)
		fd_close(&fds[i]);
	return came > max || (msg.msg_flags & MSG_CTRUNC) ? -EPROTO : -EMSGSIZE;
}
