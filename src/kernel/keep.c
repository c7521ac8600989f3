// SPDX-License-Identifier: Apache-2.0
/*
 * keep.c - packages that were downloaded, for whoever wants them besides
 */
#include "kernel/keep.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int keep_copy(int from, int to)
{
	ssize_t n;

	do {
		n = sendfile(to, from, NULL, MIB(1));
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 || fsync(to) < 0 ? -errno : 0;
}

/* One file of the folder @from, into the folder @to. */
static int keep_one(int from, int to, const char *name)
{
	cleanup_fd int in = openat(from, name, O_RDONLY | O_CLOEXEC);
	cleanup_fd int out = -1;
	char part[NAME_MAX + 1];
	int n = snprintf(part, sizeof(part), ".%s.%d", name, getpid());
	int r;

	if (in < 0)
		return -errno;
	if (n < 0 || (size_t)n >= sizeof(part))
		return -ENAMETOOLONG;
	out = openat(to, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out < 0)
		return -errno;
	r = keep_copy(in, out);
	if (r == 0 && renameat(to, part, to, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(to, part, 0);
	return r;
}

static bool keep_is_package(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && name[0] != '.' && strcmp(name + len - 4, ".deb") == 0;
}

int keep_packages(const char *from, const char *to, struct err *err)
{
	DIR *dir = opendir(from);
	cleanup_fd int fd = -1;
	const struct dirent *e;
	int r = dir ? 0 : -errno;

	if (r == 0 && mkdir(to, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : 0;
	}
	while (r == 0 && dir && (e = readdir(dir)))
		if (keep_is_package(e->d_name))
			r = keep_one(dirfd(dir), fd, e->d_name);
	if (dir)
		(void)closedir(dir);
	return r < 0 ? err_set(err, r, "The packages cannot be kept in %s: %s",
			       to, err_name(r))
		     : 0;
}
