// SPDX-License-Identifier: Apache-2.0
/*
 * tail.c - read lines of a file that is replaced when it is full (tail.h)
 */
#include "vms/tail.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_CHUNK 65536u

static int tail_open(int folder, const char *name)
{
	return openat(folder, name,
		      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

void tail_begin(struct tail *tail, int folder, const char *name,
		const char *old, size_t max)
{
	*tail = (struct tail){
		.folder = folder,
		.name = name,
		.max = max,
		.old = true,
		.fd = tail_open(folder, old),
	};
}

void tail_end(struct tail *tail)
{
	fd_close(&tail->fd);
	buf_free(&tail->in);
}

/* The file has no more. Is there another one now? Return: 1, 0, -errno. */
static int tail_turn(struct tail *tail)
{
	struct stat mine, now;
	cleanup_fd int next = -1;

	if (fstatat(tail->folder, tail->name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (tail->fd >= 0 && !tail->old) {
		if (fd_stat(tail->fd, &mine) < 0)
			return -errno;
		if (mine.st_ino == now.st_ino)
			return 0;
	}
	next = tail_open(tail->folder, tail->name);
	if (next < 0)
		return errno == ENOENT ? 0 : -errno;
	fd_close(&tail->fd);
	tail->fd = fd_steal(&next);
	tail->old = false;
	tail->at = 0;
	buf_clear(&tail->in); /* a line that was cut off */
	return 1;
}

/* Return: 1; 0 at the end for now; -errno. */
static int tail_fill(struct tail *tail)
{
	struct buf *in = &tail->in;
	ssize_t n;
	int r;

	if (tail->at > 0) {
		memmove(in->data, in->data + tail->at, in->len - tail->at);
		in->len -= tail->at;
		tail->at = 0;
	}
	if (!buf_reserve(in, in->len + TAIL_CHUNK))
		return -ENOMEM;
	for (;;) {
		n = tail->fd < 0
			    ? 0
			    : read(tail->fd, in->data + in->len, TAIL_CHUNK);
		if (n != 0)
			break;
		r = tail_turn(tail);
		if (r <= 0)
			return r;
	}
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	in->len += (size_t)n;
	return 1;
}

int tail_next(struct tail *tail, const char **text, size_t *len)
{
	for (;;) {
		const size_t left = tail->in.len - tail->at;
		const char *from = left ? tail->in.data + tail->at : NULL;
		const char *feed = left ? memchr(from, '\n', left) : NULL;
		int r;

		if (feed) {
			tail->at += (size_t)(feed - from) + 1;
			*text = from;
			*len = (size_t)(feed - from);
			if (*len <= tail->max)
				return 1;
			continue;
		}
		if (left > tail->max)
			tail->at = tail->in.len;
		r = tail_fill(tail);
		if (r <= 0)
			return r;
	}
}
