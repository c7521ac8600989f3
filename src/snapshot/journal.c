// SPDX-License-Identifier: Apache-2.0
/*
 * journal.c - the lock file of a snapshot's place (journal.h)
 */
#include "snapshot/journal.h"

#include "base/fd.h"
#include "host/below.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       "volt-sl1"
#define OPEN_TRIES  16
#define RECORDS_MAX 64
#define BLOCK_BYTES 512u

/**
 * struct record - a name
 * @dev, @dir:	the directory
 * @ino:	what has the name; 0: not known
 */
struct record {
	char magic[8];
	uint64_t dev;
	uint64_t dir;
	uint64_t ino;
	char name[NAME_MAX + 1];
};

/*
 * Empty (@empty), as of one who was killed at once, or with a record of ours.
 * What it says is obeyed: another user, who may have put a file of that name
 * into a directory like /tmp or may write to this one, is not.
 */
static bool journal_is_ours(int fd, bool empty)
{
	char magic[8];
	struct stat st;

	return fd_stat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_uid == geteuid() && (st.st_mode & 022) == 0 &&
	       ((empty && st.st_size == 0) ||
		(fd_read_full(fd, magic, sizeof(magic), 0) == 0 &&
		 memcmp(magic, MAGIC, sizeof(magic)) == 0));
}

/* The name is still that of the open file: nobody has removed it. */
static bool journal_has_name(int fd, int dir, const char *name)
{
	struct stat file, entry;

	return fd_stat(fd, &file) == 0 &&
	       fstatat(dir, name, &entry, AT_SYMLINK_NOFOLLOW) == 0 &&
	       file.st_ino == entry.st_ino && file.st_dev == entry.st_dev;
}

/* @made: it was not there. Return: a descriptor, or -errno; -EAGAIN: it has
 * just gone. */
static int open_or_make(int dir, const char *name, bool *made)
{
	int fd = below_open(dir, name, BELOW_NEW);

	*made = fd >= 0;
	if (fd != -EEXIST)
		return fd;
	fd = below_open(dir, name, BELOW_LOCK);
	if (fd == -ELOOP || fd == -EISDIR || fd == -ENXIO)
		return -EEXIST;
	return fd == -ENOENT ? -EAGAIN : fd;
}

int journal_open(int dir, const char *name)
{
	for (int i = 0; i < OPEN_TRIES; i++) {
		bool made;
		int fd = open_or_make(dir, name, &made);

		if (fd == -EAGAIN)
			continue;
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
			fd_close(&fd);
			return -EBUSY;
		}
		if (journal_has_name(fd, dir, name)) {
			/* Not all file systems know owners and modes. */
			if (made || journal_is_ours(fd, true))
				return fd;
			fd_close(&fd);
			return -EEXIST;
		}
		fd_close(&fd);
	}
	return -EBUSY;
}

int journal_note(int journal, int dir, const char *name, ino_t ino)
{
	struct record r = {.magic = MAGIC, .ino = ino};
	struct stat st;

	if (fd_stat(dir, &st) < 0)
		return -errno;
	r.dev = st.st_dev;
	r.dir = st.st_ino;
	(void)snprintf(r.name, sizeof(r.name), "%s", name);
	return fd_write_full(journal, &r, sizeof(r));
}

/* The one that @r speaks of; -1: none of them. */
static int dir_of(const struct record *r, const int *dirs, size_t nr)
{
	struct stat st;

	for (size_t i = 0; i < nr; i++)
		if (fd_stat(dirs[i], &st) == 0 && st.st_dev == r->dev &&
		    st.st_ino == r->dir)
			return dirs[i];
	return -1;
}

static bool journal_name_is_right(const struct record *r)
{
	size_t len = strnlen(r->name, sizeof(r->name));

	return len > 0 && len < sizeof(r->name) && !strchr(r->name, '/');
}

/* @to: what the name becomes; NULL: it goes. Return: false: nothing has it. */
static bool journal_undo_one(const struct record *r, int dir, const char *to,
			     struct journal_watch *watch)
{
	uint64_t bytes = 0;
	struct stat st;
	bool done = true;

	if (fstatat(dir, r->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || (r->ino != 0 && r->ino != st.st_ino))
		return false;
	if (st.st_nlink == 1)
		bytes = (uint64_t)st.st_blocks * BLOCK_BYTES;
	if (watch && watch->dry)
		done = true;
	else if (!to)
		done = unlinkat(dir, r->name, 0) == 0;
	else if (renameat(dir, r->name, dir, to) == 0)
		/* Two names of one file: a rename would leave both. */
		(void)unlinkat(dir, r->name, 0);
	else
		done = false;
	if (done && watch)
		watch->done(watch, r->name, to, to ? 0 : bytes);
	return done;
}

static bool journal_undo(const struct record *r, int dir, const char *suffix,
			 struct journal_watch *watch)
{
	size_t len = strnlen(r->name, sizeof(r->name));
	size_t end = strlen(suffix);
	char name[NAME_MAX + 1];

	if (!journal_name_is_right(r))
		return false;
	if (end == 0 || len <= end || strcmp(r->name + len - end, suffix) != 0)
		return journal_undo_one(r, dir, NULL, watch);
	(void)snprintf(name, sizeof(name), "%.*s", (int)(len - end), r->name);
	return journal_undo_one(r, dir, name, watch);
}

int journal_replay(int journal, const int *dirs, size_t nr, const char *suffix)
{
	struct record r;
	int rc = 0, dir;

	for (int i = 0; i < RECORDS_MAX; i++) {
		rc = fd_read_full(journal, &r, sizeof(r),
				  (off_t)i * (off_t)sizeof(r));
		if (rc < 0 || memcmp(r.magic, MAGIC, sizeof(r.magic)) != 0)
			break;
		dir = dir_of(&r, dirs, nr);
		if (dir >= 0)
			(void)journal_undo(&r, dir, suffix, NULL);
	}
	if (rc < 0 && rc != -ENODATA)
		return rc;
	/* Read by position: the next record is the first one. */
	return ftruncate(journal, 0) < 0 ? -errno : 0;
}

int journal_open_left(int dir, const char *name, bool may_be_empty)
{
	cleanup_fd int fd = below_open(dir, name, BELOW_LOCK);

	if (fd < 0)
		return fd == -ELOOP || fd == -EACCES ? -EEXIST : fd;
	if (!journal_is_ours(fd, may_be_empty))
		return -EEXIST;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return -EBUSY;
	/* It may have gone, or become another's, before it was locked. */
	if (!journal_has_name(fd, dir, name))
		return -ENOENT;
	return journal_is_ours(fd, may_be_empty) ? fd_steal(&fd) : -EEXIST;
}

/* The record at @i. Return: 1; 0: behind the last whole one; -EBADMSG;
 * -errno. */
static int journal_read(int journal, int i, struct record *r)
{
	int rc = fd_read_full(journal, r, sizeof(*r),
			      (off_t)i * (off_t)sizeof(*r));

	/* A name is made once its record is whole. */
	if (rc == -ENODATA)
		return 0;
	if (rc < 0)
		return rc;
	return memcmp(r->magic, MAGIC, sizeof(r->magic)) == 0 &&
			       i < RECORDS_MAX && journal_name_is_right(r)
		       ? 1
		       : -EBADMSG;
}

/* Can all that it notes be decided here? */
static int journal_check(int journal, int dir, const char *suffix)
{
	struct record r;
	int rc;

	for (int i = 0; (rc = journal_read(journal, i, &r)) > 0; i++) {
		if (dir_of(&r, &dir, 1) < 0)
			return -EXDEV;
		/* Only the memory of a state that was there has an inode. */
		if (r.ino != 0 && *suffix == '\0')
			return -ESTALE;
	}
	return rc;
}

int journal_sweep(int journal, int dir, const char *suffix,
		  struct journal_watch *watch)
{
	int rc = journal_check(journal, dir, suffix);
	struct record r;

	for (int i = 0; rc == 0 && (rc = journal_read(journal, i, &r)) > 0;
	     i++) {
		errno = 0;
		rc = journal_undo(&r, dir, suffix, watch) || errno == 0 ||
				     errno == ENOENT
			     ? 0
			     : -errno;
	}
	return rc;
}

void journal_close(int *journal, int dir, const char *name, bool clean)
{
	if (clean && journal_has_name(*journal, dir, name))
		(void)unlinkat(dir, name, 0);
	fd_close(journal);
}
