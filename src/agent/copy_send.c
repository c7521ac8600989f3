// SPDX-License-Identifier: Apache-2.0
/*
 * copy_send.c - a tree of files as a stream (copy.h)
 */
#include "agent/copy.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define COPYOUT_PIECE (64u << 10)

/**
 * struct copy_sending - @dirs: the folders that are open, the first @depth;
 * @bytes: of files
 */
struct copy_sending {
	const struct copy_source *source;
	struct err *err;
	int out;
	unsigned int left_out;
	uint64_t bytes;
	unsigned int depth;
	DIR *dirs[COPY_DEPTH_MAX];
	char piece[COPYOUT_PIECE];
};

static int copyout_fail(struct copy_sending *s, const char *name)
{
	int r = -errno;

	return err_set(s->err, r, "cannot read %.300s: %s", name, err_name(r));
}

static int copyout_bytes(struct copy_sending *s, const void *data, size_t len)
{
	int r = fd_write_full(s->out, data, len);

	return r < 0 ? err_set(s->err, r, "cannot send it: %s", err_name(r))
		     : 0;
}

/* An entry of @st; of the first one no name. */
static int copyout_entry(struct copy_sending *s, enum agent_entry_kind kind,
			 const struct stat *st, const char *name, uint64_t size)
{
	const size_t len = s->depth > 0 ? strlen(name) : 0;
	const struct agent_entry entry = {
		.kind = kind,
		.mode = st->st_mode & 07777,
		.uid = s->source->owners ? st->st_uid : 0,
		.gid = s->source->owners ? st->st_gid : 0,
		.mtime_s = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.name_len = (uint32_t)len,
		.size = size,
	};
	int r = copyout_bytes(s, &entry, sizeof(entry));

	return r == 0 && len > 0 ? copyout_bytes(s, name, len) : r;
}

static int copyout_mark(struct copy_sending *s, enum agent_entry_kind kind)
{
	const struct agent_entry entry = {.kind = kind};

	return copyout_bytes(s, &entry, sizeof(entry));
}

/* As much as there is, up to @len. Return: its length or -errno. */
static ssize_t copyout_read(int fd, char *to, size_t len)
{
	size_t at = 0;
	ssize_t n = 1;

	while (at < len && n > 0) {
		n = read(fd, to + at, len - at);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			at += (size_t)n;
	}
	return n < 0 ? -1 : (ssize_t)at;
}

/* The kernel's files say that they are empty, and are not. */
static int copyout_unsized(struct copy_sending *s, int fd,
			   const struct stat *st, const char *name)
{
	const ssize_t n = copyout_read(fd, s->piece, sizeof(s->piece));
	int r;

	if (n < 0)
		return copyout_fail(s, name);
	if (n == (ssize_t)sizeof(s->piece))
		return err_set(s->err, -EFBIG,
			       "%.300s does not say how long it is", name);
	r = copyout_entry(s, AGENT_ENTRY_FILE, st, name, (uint64_t)n);
	return r == 0 && n > 0 ? copyout_bytes(s, s->piece, (size_t)n) : r;
}

static int copyout_file(struct copy_sending *s, int at, const char *name)
{
	cleanup_fd int fd = openat(
		at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	uint64_t left;
	int r;

	if (fd < 0 || fd_stat(fd, &st) < 0)
		return copyout_fail(s, name);
	if (!S_ISREG(st.st_mode))
		return err_set(s->err, -EBUSY,
			       "%.300s became another while it was copied",
			       name);
	left = (uint64_t)st.st_size;
	if (left == 0)
		return copyout_unsized(s, fd, &st, name);
	r = copyout_entry(s, AGENT_ENTRY_FILE, &st, name, left);
	while (r == 0 && left > 0) {
		const size_t most =
			left < sizeof(s->piece) ? left : sizeof(s->piece);
		const ssize_t n = copyout_read(fd, s->piece, most);

		if (n < 0)
			return copyout_fail(s, name);
		if (n != (ssize_t)most)
			return err_set(s->err, -EBUSY,
				       "%.300s became shorter while it was "
				       "copied",
				       name);
		r = copyout_bytes(s, s->piece, most);
		left -= most;
		s->bytes += most;
		if (s->source->progress)
			s->source->progress(s->bytes);
	}
	return r;
}

static int copyout_link(struct copy_sending *s, int at, const char *name,
			const struct stat *st)
{
	const ssize_t n = readlinkat(at, name, s->piece, AGENT_LINK_MAX + 1);
	int r;

	if (n < 0)
		return copyout_fail(s, name);
	if (n < 1 || n > (ssize_t)AGENT_LINK_MAX)
		return err_set(s->err, -ENAMETOOLONG,
			       "the link %.300s is too long", name);
	r = copyout_entry(s, AGENT_ENTRY_LINK, st, name, (uint64_t)n);
	return r == 0 ? copyout_bytes(s, s->piece, (size_t)n) : r;
}

static int copyout_enter(struct copy_sending *s, int at, const char *name,
			 const struct stat *st, int flags)
{
	cleanup_fd int fd = -1;
	int r;

	if (s->depth == COPY_DEPTH_MAX)
		return err_set(s->err, -ELOOP,
			       "more than %d folders in each other, at %.300s",
			       COPY_DEPTH_MAX, name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	if (fd < 0)
		return copyout_fail(s, name);
	r = copyout_entry(s, AGENT_ENTRY_FOLDER, st, name, 0);
	if (r < 0)
		return r;
	s->dirs[s->depth] = fdopendir(fd);
	if (!s->dirs[s->depth])
		return copyout_fail(s, name);
	(void)fd_steal(&fd);
	s->depth++;
	return 0;
}

static int copyout_one(struct copy_sending *s, int at, const char *name,
		       bool last)
{
	const bool follow = last && s->source->follow;
	struct stat st;

	if (fstatat(at, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return copyout_fail(s, name);
	if (S_ISDIR(st.st_mode))
		return copyout_enter(s, at, name, &st, follow ? 0 : O_NOFOLLOW);
	if (S_ISREG(st.st_mode))
		return copyout_file(s, at, name);
	if (S_ISLNK(st.st_mode))
		return copyout_link(s, at, name, &st);
	if (s->depth == 0)
		return err_set(s->err, -EINVAL,
			       "%.300s is neither file, folder nor link", name);
	s->left_out++;
	return 0;
}

/* The next of the folder that is open. */
static int copyout_next(struct copy_sending *s)
{
	DIR *dir = s->dirs[s->depth - 1];
	const struct dirent *e;

	errno = 0;
	e = readdir(dir);
	if (!e && errno != 0)
		return copyout_fail(s, "a folder");
	if (!e) {
		(void)closedir(dir);
		s->depth--;
		return copyout_mark(s, AGENT_ENTRY_UP);
	}
	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return 0;
	return copyout_one(s, dirfd(dir), e->d_name, false);
}

int copy_send(const struct copy_source *source, int out, unsigned int *left_out,
	      struct err *err)
{
	struct copy_sending *s = calloc(1, sizeof(*s));
	cleanup_free char *real = NULL;
	const char *path = source->path;
	int r = 0;

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->source = source;
	s->err = err;
	s->out = out;
	if (source->follow) { /* what is opened is no link then */
		real = realpath(path, NULL);
		if (real)
			path = real;
		else
			r = copyout_fail(s, path);
	}
	if (r == 0)
		r = copyout_one(s, AT_FDCWD, path, true);
	while (r == 0 && s->depth > 0)
		r = copyout_next(s);
	if (r == 0)
		r = copyout_mark(s, AGENT_ENTRY_END);
	while (s->depth > 0)
		(void)closedir(s->dirs[--s->depth]);
	*left_out = s->left_out;
	free(s);
	return r;
}
