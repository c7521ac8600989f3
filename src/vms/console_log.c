// SPDX-License-Identifier: Apache-2.0
/*
 * console_log.c - a console's log, which is replaced when it is full
 * (console_log.h)
 */
#include "vms/console_log.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FLAGS \
	(O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

static int console_log_cannot(const char *path, int rc, struct err *err)
{
	return err_set(err, rc, "Cannot write the console's log %s: %s", path,
		       err_name(rc));
}

static int open_folder(struct console_log *log, const char *path,
		       struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	cleanup_free char *folder =
		slash ? strndup(path,
				slash == path ? 1 : (size_t)(slash - path))
		      : strdup(".");

	if (!folder)
		return err_set(err, -ENOMEM, "Out of memory");
	if (!*name || strlen(name) + strlen(".1") > NAME_MAX)
		return console_log_cannot(path, *name ? -ENAMETOOLONG : -EISDIR,
					  err);
	(void)snprintf(log->name, sizeof(log->name), "%s", name);
	(void)snprintf(log->old, sizeof(log->old), "%.*s.1", NAME_MAX - 2,
		       name);
	log->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return log->folder < 0 ? console_log_cannot(path, -errno, err) : 0;
}

int console_log_open(struct console_log *log, const char *path, uint64_t max,
		     struct err *err)
{
	struct stat st;
	int r;

	*log = (struct console_log){.folder = -1, .fd = -1, .max = max};
	r = open_folder(log, path, err);
	if (r < 0)
		return r;
	log->fd = openat(log->folder, log->name, OPEN_FLAGS, 0600);
	if (log->fd < 0 || fstat(log->fd, &st) < 0)
		return console_log_cannot(path, -errno, err);
	if (!S_ISREG(st.st_mode))
		return err_set(
			err, -EINVAL,
			"The console's log %s is no plain file: it could "
			"not be replaced when it is full",
			path);
	log->size = (uint64_t)st.st_size;
	return 0;
}

/* Where no new one can be had the old one is emptied: it must not grow. */
static int begin_anew(struct console_log *log)
{
	int r = renameat(log->folder, log->name, log->folder, log->old) < 0
			? -errno
			: 0;
	int fd = r < 0 ? -1
		       : openat(log->folder, log->name, OPEN_FLAGS | O_EXCL,
				0600);

	if (fd >= 0) {
		fd_close(&log->fd);
		log->fd = fd;
	} else if (ftruncate(log->fd, 0) < 0) {
		return -errno;
	}
	log->size = 0;
	return 0;
}

int console_log_write(struct console_log *log, const char *data, size_t len)
{
	while (len > 0) {
		int r = log->size >= log->max ? begin_anew(log) : 0;
		size_t part = len;
		ssize_t n;

		if (r < 0)
			return r;
		if (part > log->max - log->size)
			part = (size_t)(log->max - log->size);
		n = write(log->fd, data, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		log->size += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int console_log_add(struct console_log *log, const char *data, size_t len)
{
	int r = log->size > 0 && log->size + len > log->max ? begin_anew(log)
							    : 0;

	return r < 0 ? r : console_log_write(log, data, len);
}

void console_log_remove(const struct console_log *log)
{
	if (log->folder < 0)
		return;
	(void)unlinkat(log->folder, log->name, 0);
	(void)unlinkat(log->folder, log->old, 0);
}

void console_log_close(struct console_log *log)
{
	fd_close(&log->fd);
	fd_close(&log->folder);
}
