// SPDX-License-Identifier: Apache-2.0
/*
 * gc.c - what killed writers left (theory of operation: gc.h)
 */
#include "snapshot/gc.h"

#include "base/fd.h"
#include "host/path.h"
#include "snapshot/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void gc_swept(struct journal_watch *watch, const char *name,
		     const char *to, uint64_t bytes)
{
	struct gc *gc = container_of(watch, struct gc, watch);

	if (to) {
		gc->say(gc, GC_NAMED, gc->dir, to, NULL);
		return;
	}
	gc->nr_removed++;
	gc->nr_bytes += bytes;
	gc->say(gc, GC_REMOVED, gc->dir, name, NULL);
}

/* ".<id>" of the state that is there, which its memory ends in; "": there is
 * none. Return: 0 or -errno: nobody knows. */
static int gc_suffix(int dir, const char *state,
		     char suffix[static SNAPSHOT_SUFFIX_MAX])
{
	uint64_t id;
	int r = snapshot_state_id(dir, state, false, &id);

	*suffix = '\0';
	if (r == 0)
		snapshot_suffix(id, suffix);
	return r == -ENOENT ? 0 : r;
}

/* Why a journal stays; NULL: that is no reason, but a failure. */
static const char *gc_reason(int r)
{
	switch (r) {
	case -EBUSY:
		return "a snapshot is being written there";
	case -EXDEV:
		return "it tells of another directory: the next snapshot "
		       "into the same place tidies up";
	case -ESTALE:
		return "the state is gone that the memory noted there was of";
	case -EINVAL:
		return "what lies beside it is not the state of a snapshot";
	case -EBADMSG:
		return "it is no journal that this program understands";
	case -EEXIST:
		return "it is another user's, or no lock file of Volt's";
	default:
		return NULL;
	}
}

/* Return: 0; -errno: why @lock stays. */
static int gc_journal(struct gc *gc, int dir, const char *lock,
		      const char *state)
{
	bool own = strcmp(state, SNAPSHOT_STATE_NAME) == 0;
	char suffix[SNAPSHOT_SUFFIX_MAX];
	int journal = journal_open_left(dir, lock, own);
	int r;

	if (journal < 0)
		return journal;
	r = gc_suffix(dir, state, suffix);
	if (r == 0)
		r = journal_sweep(journal, dir, suffix, &gc->watch);
	if (r == 0)
		gc_swept(&gc->watch, lock, NULL, 0);
	journal_close(&journal, dir, lock, r == 0 && !gc->dry);
	return r;
}

/* "<state>.lock": @state gets its beginning. */
static bool gc_is_lock(const char *name, char state[static NAME_MAX + 1])
{
	static const char end[] = ".lock";
	size_t len = strlen(name);

	if (len < sizeof(end) || len > NAME_MAX ||
	    strcmp(name + len - (sizeof(end) - 1), end) != 0)
		return false;
	(void)snprintf(state, NAME_MAX + 1, "%.*s",
		       (int)(len - (sizeof(end) - 1)), name);
	return true;
}

static int gc_file(struct gc *gc, int dir, const char *name, struct err *err)
{
	char state[NAME_MAX + 1];
	const char *why;
	int r;

	if (!gc_is_lock(name, state))
		return 0;
	r = gc_journal(gc, dir, name, state);
	why = r < 0 ? gc_reason(r) : NULL;
	/* Other programs have lock files, too. */
	if (r == -EEXIST && strcmp(state, SNAPSHOT_STATE_NAME) != 0)
		return 0;
	if (why)
		gc->say(gc, GC_LEFT, gc->dir, name, why);
	if (r == 0 || r == -ENOENT || why)
		return 0;
	return err_set(err, r, "cannot tidy up by %s/%s: %s", gc->dir, name,
		       err_name(r));
}

static int gc_folder(struct gc *gc, const char *path, bool deep,
		     struct err *err);

static int gc_entry(struct gc *gc, int dir, const char *name, bool deep,
		    struct err *err)
{
	const char *above = gc->dir;
	cleanup_free char *path = NULL;
	struct stat st;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		return gc_file(gc, dir, name, err);
	if (!deep || !S_ISDIR(st.st_mode))
		return 0;
	if (asprintf(&path, "%s/%s", above, name) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	r = gc_folder(gc, path, false, err);
	gc->dir = above;
	/* What is not ours to look into is not ours to tidy up. */
	return r == -EACCES || r == -ENOENT ? 0 : r;
}

/* @deep: the directories in it, too. */
static int gc_folder(struct gc *gc, const char *path, bool deep,
		     struct err *err)
{
	int fd = path_open(&path_direct, PATH_PLACE, path, NULL);
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return err_set(err, fd, "cannot look into %s: %s", path,
			       err_name(fd));
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return err_set(err, -ENOMEM, "out of memory");
	}
	gc->dir = path;
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			r = gc_entry(gc, dirfd(dir), entry->d_name, deep, err);
	(void)closedir(dir);
	return r;
}

int snapshot_gc(struct gc *gc, const char *dir, struct err *err)
{
	gc->watch = (struct journal_watch){.dry = gc->dry, .done = gc_swept};
	return gc_folder(gc, dir, true, err);
}
