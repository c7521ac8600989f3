/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix.h - sockets in the file system: listen, connect, pass descriptors
 *
 * All AF_UNIX addresses, bind() and connect() of volt-vmm are here. Paths come
 * in by role (path.h); the descriptors that go out are close-on-exec.
 *
 * An empty path would be an abstract socket, which has no owner and no mode, so
 * that everybody in the network namespace reaches it: it is refused. Only the
 * service manager may have one, for it says so itself.
 *
 * Descriptors arrive from processes that may be hostile. What came with a
 * message is either all delivered or all closed: more of them than were asked
 * for, a cut list (MSG_CTRUNC: too many, or this process has no numbers left),
 * or a cut message close every one.
 *
 * unix(7), cmsg(3).
 */
#pragma once

#include "base/bits.h"

#include <sys/types.h>
#include <sys/un.h>

/* The longest path, without its final zero. */
#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/* How long unix_connect() waits for room in the listener's backlog. */
#define UNIX_NOWAIT 0    /* not at all; the descriptor stays non-blocking */
#define UNIX_WAIT   (-1) /* as long as it takes */

/* What one message may carry. */
#define UNIX_FDS_MAX 16u

/**
 * unix_listen() - a stream socket that listens at @path
 *
 * Non-blocking. Return: a descriptor; -EINVAL for an empty path, -ENAMETOOLONG
 * for one of more than UNIX_PATH_MAX bytes, -EADDRINUSE when the name is taken,
 * or -errno.
 */
int unix_listen(const char *path, int backlog) __must_check;

/* The same of type SOCK_SEQPACKET: messages keep their ends. Return: as
 * unix_listen(). */
int unix_listen_packets(const char *path, int backlog) __must_check;

/**
 * unix_connect() - a stream socket that is connected to @path
 * @limit_ms:	or UNIX_NOWAIT, UNIX_WAIT
 *
 * With a limit the same limit holds for each send() afterwards.
 *
 * Return: a descriptor; -EAGAIN (UNIX_NOWAIT) or -ETIMEDOUT when the backlog is
 * full, -EINVAL and -ENAMETOOLONG as above, or -errno.
 */
int unix_connect(const char *path, int limit_ms) __must_check;

/**
 * unix_take_left() - a connected stream socket that this process was left
 * @name:	"/dev/fd/N"
 *
 * Return: a new descriptor of it, which is non-blocking; -EINVAL: it is no such
 * socket; or -errno.
 */
int unix_take_left(const char *name) __must_check;

/* The same with UNIX_WAIT, of type SOCK_SEQPACKET. Return: as above;
 * -EPROTOTYPE when what listens is of another type. */
int unix_connect_packets(const char *path) __must_check;

/**
 * unix_connect_datagrams() - a datagram socket that sends to @name
 * @name:	an absolute path, or '@' and the name of an abstract socket
 *
 * Non-blocking. What is connected keeps its right to send: a Landlock domain
 * that this process enters later does not take it away.
 *
 * Return: a descriptor; -EINVAL for a name of any other form, -ENAMETOOLONG
 * for one of more than UNIX_PATH_MAX bytes, or -errno.
 */
int unix_connect_datagrams(const char *name) __must_check;

/**
 * unix_send_fds() - send bytes and, with them, descriptors
 * @len:	at least one byte
 * @fds, @nr:	stay the caller's; at most UNIX_FDS_MAX
 * @flags:	of sendmsg(), beside MSG_NOSIGNAL
 *
 * Return: bytes sent, as of sendmsg(); -EINVAL, or -errno.
 */
ssize_t unix_send_fds(int sock, const void *data, size_t len, const int *fds,
		      size_t nr, int flags) __must_check;

/**
 * unix_recv_fds() - receive bytes and the descriptors that came with them
 * @fds:	room for @max of them, at most UNIX_FDS_MAX; filled with -1
 * @nr:		how many came
 * @flags:	of recvmsg(), beside MSG_CMSG_CLOEXEC
 *
 * Return: bytes received, 0 at the end of the stream (or for an empty message);
 * -EMSGSIZE for a message longer than @len, -EPROTO for more descriptors than
 * @max or a list that was cut, or -errno. On failure none is left open.
 */
ssize_t unix_recv_fds(int sock, void *data, size_t len, int *fds, size_t max,
		      size_t *nr, int flags) __must_check;
