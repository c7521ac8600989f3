// SPDX-License-Identifier: Apache-2.0
/*
 * fd.c - file descriptors and memory that clean up after themselves
 */
#include "base/fd.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

/* Not every C library has the two functions. */
ssize_t fd_preadv(int fd, const struct iovec *iov, int nr, off_t off)
{
	return syscall(SYS_preadv2, fd, iov, (long)nr, off, 0L, 0);
}

ssize_t fd_preadv_now(int fd, const struct iovec *iov, int nr, off_t off)
{
	return syscall(SYS_preadv2, fd, iov, (long)nr, off, 0L, RWF_NOWAIT);
}

ssize_t fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
		   int flags)
{
	return syscall(SYS_pwritev2, fd, iov, (long)nr, off, 0L, flags);
}

/* struct iovec knows no const. */
static struct iovec iov_of(const void *data, size_t len)
{
	union {
		const void *from;
		void *to;
	} cast = {.from = data};

	return (struct iovec){cast.to, len};
}

ssize_t fd_pwrite(int fd, const void *data, size_t len, off_t off)
{
	const struct iovec iov = iov_of(data, len);

	return fd_pwritev(fd, &iov, 1, off, 0);
}

ssize_t fd_send(int sock, const void *data, size_t len, int flags)
{
	struct iovec iov = iov_of(data, len);
	const struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(sock, &msg, flags);
}

ssize_t fd_recv(int sock, void *to, size_t len, int flags)
{
	struct iovec iov = {to, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return recvmsg(sock, &msg, flags);
}

int fd_stat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st);
}

bool fd_same_file(int a, int b)
{
	struct stat x, y;

	return a >= 0 && b >= 0 && fd_stat(a, &x) == 0 && fd_stat(b, &y) == 0 &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int fd_read_full(int fd, void *buf, size_t len, off_t off)
{
	char *p = buf;

	while (len > 0) {
		const struct iovec iov = {p, len};
		ssize_t n = fd_preadv(fd, &iov, 1, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_write_full(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

void fd_close_from(int first)
{
	long max;

	if (syscall(SYS_close_range, (unsigned int)first, ~0u, 0u) == 0)
		return;
	/* Before Linux 5.9. */
	max = sysconf(_SC_OPEN_MAX);
	for (int fd = first; fd < max; fd++)
		(void)close(fd);
}

struct file_id file_id_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return (struct file_id){0};
	return (struct file_id){st.st_dev, st.st_ino};
}

void file_unlink_own(const char *path, struct file_id id)
{
	struct file_id now;

	if (id.ino == 0)
		return;
	now = file_id_of(path);
	if (now.dev == id.dev && now.ino == id.ino)
		(void)unlink(path);
}
