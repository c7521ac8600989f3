// SPDX-License-Identifier: Apache-2.0
/*
 * copy_take.c - a stream as a tree of files (copy.h)
 */
#include "agent/copy.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define COPYIN_PIECE  (64u << 10)
#define COPYIN_HOLE   4096u
#define COPYIN_TRIES  100u
#define COPYIN_BESIDE 32u
#define COPYIN_MIB    (1u << 20)

/**
 * struct copy_folder - one that is open
 * @fresh:	it was made here, and gets what @entry says when it is complete
 */
struct copy_folder {
	int fd;
	bool fresh;
	struct agent_entry entry;
};

/**
 * struct copy_taking - @at: the folders that are open, the first @depth
 * @used:	of the limit
 * @bytes:	of files
 * @name:	of the entry that is being made
 * @beside:	what it is called until it is whole
 */
struct copy_taking {
	const struct copy_target *target;
	struct err *err;
	int in;
	uint64_t used;
	uint64_t bytes;
	unsigned int depth;
	struct copy_folder at[COPY_DEPTH_MAX];
	char name[AGENT_NAME_MAX + 1];
	char beside[COPYIN_BESIDE];
	char piece[COPYIN_PIECE];
};

static int copyin_fail(struct copy_taking *t, int r, const char *what)
{
	return err_set(t->err, r, "cannot %s %.255s: %s", what, t->name,
		       err_name(r));
}

static int copyin_nonsense(struct copy_taking *t)
{
	return err_set(t->err, -EPROTO, "what came is no tree of files");
}

/* Exactly @len bytes. */
static int copyin_bytes(struct copy_taking *t, void *to, size_t len)
{
	char *at = to;

	while (len > 0) {
		const ssize_t n = read(t->in, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(t->err, -errno, "cannot read it: %s",
				       err_name(errno));
		if (n == 0)
			return err_set(t->err, -ENODATA,
				       "what came ended too early");
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copyin_count(struct copy_taking *t, uint64_t size)
{
	const uint64_t limit = t->target->limit;

	if (limit == 0)
		return 0;
	if (limit - t->used < COPY_ENTRY_BYTES ||
	    limit - t->used - COPY_ENTRY_BYTES < size)
		return err_set(t->err, -EFBIG, "it is more than %llu MiB",
			       (unsigned long long)(limit / COPYIN_MIB));
	t->used += COPY_ENTRY_BYTES + size;
	return 0;
}

/* Mode, owner and time of what is open. The owner first: a change of it takes
 * bits of the mode away. */
static int copyin_finish(struct copy_taking *t, int fd,
			 const struct agent_entry *entry)
{
	const struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = entry->mtime_s, .tv_nsec = entry->mtime_ns},
	};

	if (t->target->owners && fchown(fd, entry->uid, entry->gid) < 0)
		return copyin_fail(t, -errno, "set the owner of");
	if (fchmod(fd, entry->mode & t->target->modes) < 0)
		return copyin_fail(t, -errno, "set the mode of");
	(void)futimens(fd, times); /* not every time is one of this place */
	return 0;
}

static_assert(COPYIN_PIECE > AGENT_LINK_MAX, "a link fits a piece");

/* ---- where it goes ---- */

/* What has the name must be a file or a link, or nothing. */
static int copyin_check_place(struct copy_taking *t, int folder)
{
	struct stat st;

	if (fstatat(folder, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : copyin_fail(t, -errno, "look at");
	if (S_ISDIR(st.st_mode))
		return err_set(t->err, -EISDIR, "%.255s is a folder there",
			       t->name);
	if (S_ISLNK(st.st_mode) && t->depth == 0)
		return err_set(t->err, -ELOOP,
			       "%.255s is a link there: name what it leads to",
			       t->name);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(t->err, -EEXIST, "%.255s is no file there",
			       t->name);
	return 0;
}

/* It is whole, and gets its name. */
static int copyin_place(struct copy_taking *t, int folder)
{
	int r = copyin_check_place(t, folder);

	if (r == 0 && renameat(folder, t->beside, folder, t->name) < 0)
		r = copyin_fail(t, -errno, "make");
	if (r < 0)
		(void)unlinkat(folder, t->beside, 0);
	return r;
}

static bool copyin_is_taken(struct copy_taking *t, unsigned int i)
{
	(void)snprintf(t->beside, sizeof(t->beside), ".volt-cp.%d.%u",
		       (int)getpid(), i);
	return errno == EEXIST && i < COPYIN_TRIES;
}

/* ---- files and links ---- */

static size_t copyin_block(size_t left)
{
	return left < COPYIN_HOLE ? left : COPYIN_HOLE;
}

static bool copyin_is_zero(const char *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static int copyin_write(struct copy_taking *t, int fd, size_t len)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < len) {
		const bool hole =
			copyin_is_zero(t->piece + at, copyin_block(len - at));
		size_t end = at;

		/* As many blocks as are alike, at once. */
		do
			end += copyin_block(len - end);
		while (end < len &&
		       copyin_is_zero(t->piece + end,
				      copyin_block(len - end)) == hole);
		if (!hole)
			r = fd_write_full(fd, t->piece + at, end - at);
		else if (lseek(fd, (off_t)(end - at), SEEK_CUR) < 0)
			r = -errno;
		at = end;
	}
	return r;
}

static int copyin_content(struct copy_taking *t, int fd, uint64_t size)
{
	int r = 0;

	for (uint64_t left = size; r == 0 && left > 0;) {
		const size_t n =
			left < sizeof(t->piece) ? left : sizeof(t->piece);

		r = copyin_bytes(t, t->piece, n);
		if (r == 0) {
			r = copyin_write(t, fd, n);
			if (r < 0)
				r = copyin_fail(t, r, "write");
		}
		left -= n;
		t->bytes += n;
		if (t->target->progress)
			t->target->progress(t->bytes);
	}
	if (r == 0 && ftruncate(fd, (off_t)size) < 0)
		r = copyin_fail(t, -errno, "write");
	return r;
}

static int copyin_file(struct copy_taking *t, int folder,
		       const struct agent_entry *entry)
{
	cleanup_fd int fd = -1;
	int r = copyin_check_place(t, folder);

	if (r < 0)
		return r;
	errno = EEXIST;
	for (unsigned int i = 0; fd < 0 && copyin_is_taken(t, i); i++)
		fd = openat(folder, t->beside,
			    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
				    O_CLOEXEC,
			    0600);
	if (fd < 0)
		return copyin_fail(t, -errno, "make");
	r = copyin_content(t, fd, entry->size);
	if (r == 0)
		r = copyin_finish(t, fd, entry);
	if (r < 0) {
		(void)unlinkat(folder, t->beside, 0);
		return r;
	}
	return copyin_place(t, folder);
}

static int copyin_link(struct copy_taking *t, int folder,
		       const struct agent_entry *entry)
{
	char *says = t->piece;
	int made = -1, r = copyin_check_place(t, folder);

	if (r == 0)
		r = copyin_bytes(t, says, entry->size);
	if (r < 0)
		return r;
	says[entry->size] = '\0';
	if (strlen(says) != entry->size)
		return copyin_nonsense(t);
	errno = EEXIST;
	for (unsigned int i = 0; made < 0 && copyin_is_taken(t, i); i++)
		made = symlinkat(says, folder, t->beside);
	if (made < 0)
		return copyin_fail(t, -errno, "make");
	if (t->target->owners &&
	    fchownat(folder, t->beside, entry->uid, entry->gid,
		     AT_SYMLINK_NOFOLLOW) < 0) {
		r = copyin_fail(t, -errno, "set the owner of");
		(void)unlinkat(folder, t->beside, 0);
		return r;
	}
	return copyin_place(t, folder);
}

/* ---- folders ---- */

static int copyin_push(struct copy_taking *t, int fd, bool fresh,
		       const struct agent_entry *entry)
{
	t->at[t->depth++] = (struct copy_folder){fd, fresh, *entry};
	return 0;
}

static int copyin_folder(struct copy_taking *t, int folder,
			 const struct agent_entry *entry)
{
	bool fresh;
	int fd;

	if (t->depth == COPY_DEPTH_MAX)
		return err_set(t->err, -ELOOP,
			       "more than %d folders in each other",
			       COPY_DEPTH_MAX);
	fresh = mkdirat(folder, t->name, 0700) == 0;
	if (!fresh && errno != EEXIST)
		return copyin_fail(t, -errno, "make");
	fd = openat(folder, t->name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP
			       ? err_set(t->err, -ENOTDIR,
					 "%.255s is no folder there", t->name)
			       : copyin_fail(t, -errno, "enter");
	return copyin_push(t, fd, fresh, entry);
}

static int copyin_up(struct copy_taking *t)
{
	struct copy_folder *folder = &t->at[t->depth - 1];
	int r = 0;

	(void)snprintf(t->name, sizeof(t->name), "a folder");
	if (folder->fresh)
		r = copyin_finish(t, folder->fd, &folder->entry);
	fd_close(&folder->fd);
	t->depth--;
	return r;
}

/* ---- the tree ---- */

static int copyin_make(struct copy_taking *t, int folder,
		       const struct agent_entry *entry)
{
	switch (entry->kind) {
	case AGENT_ENTRY_FILE:
		return copyin_file(t, folder, entry);
	case AGENT_ENTRY_LINK:
		return copyin_link(t, folder, entry);
	default:
		return copyin_folder(t, folder, entry);
	}
}

/* The next entry, judged. */
static int copyin_entry(struct copy_taking *t, struct agent_entry *entry,
			bool first)
{
	int r = copyin_bytes(t, entry, sizeof(*entry));

	if (r < 0)
		return r;
	if (!agent_entry_fits(entry, first))
		return copyin_nonsense(t);
	r = copyin_bytes(t, t->name, entry->name_len);
	if (r < 0)
		return r;
	t->name[entry->name_len] = '\0';
	if (entry->name_len > 0 && !agent_name_fits(t->name, entry->name_len))
		return err_set(t->err, -EPROTO, "a name that is none: %.255s",
			       t->name);
	return copyin_count(t, entry->size);
}

/* The last part of @path becomes the name, the rest is its folder. */
static int copyin_split(struct copy_taking *t, const char *path, char *folder,
			size_t size)
{
	size_t len = strlen(path), at;

	while (len > 1 && path[len - 1] == '/')
		len--;
	for (at = len; at > 0 && path[at - 1] != '/'; at--)
		;
	if (len >= size || !agent_name_fits(path + at, len - at))
		return err_set(t->err, -EINVAL, "%.300s cannot be made", path);
	(void)snprintf(t->name, sizeof(t->name), "%.*s", (int)(len - at),
		       path + at);
	if (at == 0)
		(void)snprintf(folder, size, ".");
	else
		(void)snprintf(folder, size, "%.*s", (int)at, path);
	return 0;
}

static int copyin_open(struct copy_taking *t, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_set(t->err, -errno, "cannot open %.300s: %s", path,
				err_name(errno))
		      : fd;
}

/* Beside others, by the last part of the path. */
static int copyin_first_by_path(struct copy_taking *t,
				const struct agent_entry *entry)
{
	const char *path = t->target->path;
	cleanup_fd int folder = -1;
	char *where = t->piece;
	int r = copyin_split(t, path, where, sizeof(t->piece));

	if (r < 0)
		return r;
	if (entry->kind != AGENT_ENTRY_FOLDER && path[strlen(path) - 1] == '/')
		return err_set(t->err, -ENOTDIR, "there is no folder %.300s",
			       path);
	folder = copyin_open(t, where);
	return folder < 0 ? folder : copyin_make(t, folder, entry);
}

/* The first entry, which the target names. */
static int copyin_first(struct copy_taking *t, const struct agent_entry *entry)
{
	const struct copy_target *to = t->target;
	cleanup_fd int folder = -1;
	struct stat st;
	const int there = stat(to->path, &st);

	if (there < 0 && errno != ENOENT)
		return err_set(t->err, -errno, "cannot look at %.300s: %s",
			       to->path, err_name(errno));
	if (there < 0 || !S_ISDIR(st.st_mode))
		return copyin_first_by_path(t, entry);
	folder = copyin_open(t, to->path);
	if (folder < 0)
		return folder;
	if (!to->name[0])
		return entry->kind == AGENT_ENTRY_FOLDER
			       ? copyin_push(t, fd_steal(&folder), false, entry)
			       : err_set(t->err, -ENOTDIR,
					 "it is no folder, and has no contents "
					 "to copy");
	(void)snprintf(t->name, sizeof(t->name), "%s", to->name);
	return copyin_make(t, folder, entry);
}

static int copyin_tree(struct copy_taking *t)
{
	struct agent_entry entry;
	int r = copyin_entry(t, &entry, true);

	if (r == 0)
		r = copyin_first(t, &entry);
	while (r == 0 && t->depth > 0) {
		r = copyin_entry(t, &entry, false);
		if (r < 0)
			break;
		if (entry.kind == AGENT_ENTRY_END)
			r = copyin_nonsense(t);
		else if (entry.kind == AGENT_ENTRY_UP)
			r = copyin_up(t);
		else
			r = copyin_make(t, t->at[t->depth - 1].fd, &entry);
	}
	if (r == 0)
		r = copyin_entry(t, &entry, false);
	return r == 0 && entry.kind != AGENT_ENTRY_END ? copyin_nonsense(t) : r;
}

int copy_take(const struct copy_target *target, int in, struct err *err)
{
	struct copy_taking *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->target = target;
	t->err = err;
	t->in = in;
	r = copyin_tree(t);
	while (t->depth > 0)
		fd_close(&t->at[--t->depth].fd);
	free(t);
	return r;
}
