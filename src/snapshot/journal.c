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
 * Empty, as of one who was killed at once, or with a record of ours. What it
 * says is obeyed: another user, who may have put a file of that name into a
 * directory like /tmp or may write to this one, is not.
 */
static bool journal_is_ours(int fd)
{
	char magic[8];
	struct stat st;

	return fd_stat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_uid == geteuid() && (st.st_mode & 022) == 0 &&
	       (st.st_size == 0 ||
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
			if (made || journal_is_ours(fd))
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

static void undo(const struct record *r, int dir, const char *suffix)
{
	size_t len = strnlen(r->name, sizeof(r->name));
	size_t end = strlen(suffix);
	char name[NAME_MAX + 1];
	struct stat st;

	if (len == 0 || len == sizeof(r->name) || strchr(r->name, '/') ||
	    fstatat(dir, r->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || (r->ino != 0 && r->ino != st.st_ino))
		return;
	if (end == 0 || len <= end ||
	    strcmp(r->name + len - end, suffix) != 0) {
		(void)unlinkat(dir, r->name, 0);
		return;
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)(len - end), r->name);
	/* Two names of one file: a rename would leave both. */
	if (renameat(dir, r->name, dir, name) == 0)
		(void)unlinkat(dir, r->name, 0);
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
			undo(&r, dir, suffix);
	}
	if (rc < 0 && rc != -ENODATA)
		return rc;
	/* Read by position: the next record is the first one. */
	return ftruncate(journal, 0) < 0 ? -errno : 0;
}

void journal_close(int *journal, int dir, const char *name, bool clean)
{
	if (clean && journal_has_name(*journal, dir, name))
		(void)unlinkat(dir, name, 0);
	fd_close(journal);
}
