// SPDX-License-Identifier: Apache-2.0
/*
 * stream.c - opening what log, metrics and console go to (stream.h)
 */
#include "host/stream.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int stream_open(const struct path_opener *opener, enum path_role role,
		const char *path, struct sink *sink, struct err *err)
{
	int fd = path_open(opener, role, path, err);

	if (fd < 0)
		return fd;
	*sink = (struct sink){.fd = fd, .kind = SINK_OWN, .owned = true};
	return 0;
}

/* Another user's terminal, but the one that this session runs on. */
static int open_own_tty(const struct path_opener *opener, int fd)
{
	int tty = path_open(opener, PATH_TTY, NULL, NULL);
	unsigned int ours, theirs;

	if (tty >= 0 && (ioctl(fd, TIOCGDEV, &theirs) < 0 ||
			 ioctl(tty, TIOCGDEV, &ours) < 0 || ours != theirs))
		fd_close(&tty);
	return tty;
}

static int open_again(const struct path_opener *opener, int fd)
{
	char path[32];
	int own;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = path_open(opener, PATH_OUR_STREAM, path, NULL);
	return own < 0 && isatty(fd) ? open_own_tty(opener, fd) : own;
}

void stream_borrow(const struct path_opener *opener, int fd, struct sink *sink)
{
	struct stat st;

	*sink = SINK_CLOSED;
	if (fd_stat(fd, &st) < 0)
		return;
	sink->fd = fd;
	if (S_ISREG(st.st_mode)) {
		sink->kind = SINK_OWN;
	} else if (S_ISSOCK(st.st_mode)) {
		sink->kind = SINK_SOCKET;
	} else {
		int own = open_again(opener, fd);

		sink->kind = own >= 0 ? SINK_OWN : SINK_SHARED;
		sink->owned = own >= 0;
		sink->fd = own >= 0 ? own : fd;
		sink->is_tty = isatty(sink->fd);
	}
}

/* It takes the first number that is free; programs that we start have it, too.
 */
static int open_null(void)
{
	int fd = path_open(&path_direct, PATH_NULL, NULL, NULL);

	if (fd < 0)
		return fd;
	return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

int stream_fill_standard(void)
{
	/* A jail has no /dev/null, and as a rule all three are open. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int r = fcntl(fd, F_GETFD) < 0 ? open_null() : 0;

		if (r < 0)
			return r;
	}
	return 0;
}
