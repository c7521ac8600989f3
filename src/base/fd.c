// SPDX-License-Identifier: Apache-2.0
/*
 * fd.c - file descriptors and memory that clean up after themselves
 */
#include "base/fd.h"

#include <errno.h>
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

int fd_read_full(int fd, void *buf, size_t len, off_t off)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, off);

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
	const struct file_id now = file_id_of(path);

	if (id.ino != 0 && now.dev == id.dev && now.ino == id.ino)
		(void)unlink(path);
}
