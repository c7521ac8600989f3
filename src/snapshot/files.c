// SPDX-License-Identifier: Apache-2.0
/*
 * files.c - the two files of a snapshot (theory of operation: files.h)
 */
#include "snapshot/files.h"

#include "base/fd.h"
#include "host/below.h"
#include "image/map.h"
#include "image/packed.h"
#include "snapshot/journal.h"
#include "snapshot/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_DIGITS   16u
#define TEMP_SUFFIX ".tmp"
#define LOCK_SUFFIX ".lock"

/* Room for ".<id>.tmp" behind a name. */
#define SUFFIX_MAX (1 + ID_DIGITS + sizeof(TEMP_SUFFIX))

int snapshot_paths_in(struct snapshot_paths *paths, const char *dir)
{
	*paths = (struct snapshot_paths){0};
	if (asprintf(&paths->state, "%s/%s", dir, SNAPSHOT_STATE_NAME) < 0)
		paths->state = NULL;
	if (asprintf(&paths->memory, "%s/%s", dir, SNAPSHOT_MEMORY_NAME) < 0)
		paths->memory = NULL;
	if (paths->state && paths->memory)
		return 0;
	snapshot_paths_free(paths);
	return -ENOMEM;
}

int snapshot_paths_of(struct snapshot_paths *paths, const char *from,
		      const char *memory)
{
	if (!memory)
		return snapshot_paths_in(paths, from);
	paths->state = strdup(from);
	paths->memory = strdup(memory);
	if (paths->state && paths->memory)
		return 0;
	snapshot_paths_free(paths);
	return -ENOMEM;
}

void snapshot_paths_free(struct snapshot_paths *paths)
{
	free(paths->state);
	free(paths->memory);
	*paths = (struct snapshot_paths){0};
}

static bool files_is_named(const char *path, const char *name)
{
	size_t len = strlen(path), n = strlen(name);

	return len >= n && strcmp(path + len - n, name) == 0 &&
	       (len == n || path[len - n - 1] == '/');
}

bool snapshot_paths_are_in_dir(const struct snapshot_paths *paths)
{
	return files_is_named(paths->state, SNAPSHOT_STATE_NAME) &&
	       files_is_named(paths->memory, SNAPSHOT_MEMORY_NAME);
}

char *snapshot_parent(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	return len > 0 ? strndup(path, len) : strdup(".");
}

static int sync_dir(const struct path_opener *opener, const char *path)
{
	cleanup_fd int fd = path_open(opener, PATH_PLACE, path, NULL);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

/* Bring the name of @dir in @parent to the disk. Who may make names there but
 * not read them syncs the new directory, with which most file systems bring its
 * name along. */
static int sync_name(const struct path_opener *opener, const char *parent,
		     const char *dir)
{
	int r = sync_dir(opener, parent);

	return r == -EACCES ? sync_dir(opener, dir) : r;
}

/* Make it (@make) or remove it. One that is there may be one that the opener
 * gives, but not what it is in. */
static int change_dir(const struct path_opener *opener, const char *parent,
		      const char *dir, bool make)
{
	char name[NAME_MAX + 1];
	cleanup_fd int fd = -1;
	const char *last = dir + strlen(dir);
	size_t len = 0;
	int r;

	if (make && path_is_folder(opener, dir))
		return -EEXIST;
	while (last > dir && last[-1] == '/')
		last--;
	while (last > dir && last[-1] != '/') {
		last--;
		len++;
	}
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, last);
	fd = path_open(opener, PATH_PARENT, parent, NULL);
	if (fd < 0)
		return fd;
	r = make ? mkdirat(fd, name, 0700) : unlinkat(fd, name, AT_REMOVEDIR);
	return r < 0 ? -errno : 0;
}

int snapshot_dir_make(const struct path_opener *opener, const char *dir,
		      bool *made, struct err *err)
{
	cleanup_free char *parent = snapshot_parent(dir);
	int r = parent ? change_dir(opener, parent, dir, true) : -ENOMEM;

	*made = false;
	if (r == -EEXIST)
		return 0;
	if (r == 0) {
		r = sync_name(opener, parent, dir);
		*made = r == 0;
		if (r < 0)
			(void)change_dir(opener, parent, dir, false);
	}
	return r < 0 ? err_set(err, r, "Cannot make the directory %s: %s", dir,
			       err_name(r))
		     : 0;
}

void snapshot_dir_remove(const struct path_opener *opener, const char *dir)
{
	cleanup_free char *parent = snapshot_parent(dir);

	if (parent)
		(void)change_dir(opener, parent, dir, false);
}

/* <name>.<id><suffix> */
static void name_with_id(char out[static NAME_MAX + 1], const char *name,
			 uint64_t id, const char *suffix)
{
	(void)snprintf(out, NAME_MAX + 1, "%.*s.%016llx%s",
		       (int)(NAME_MAX - SUFFIX_MAX), name,
		       (unsigned long long)id, suffix);
}

/* ---- places ---- */

static int files_open_failed(const char *what, int rc, struct err *err)
{
	return err_set(err, rc,
		       "Cannot perform open on the %s backing file: %s (os "
		       "error %d)",
		       what, err_name(rc), -rc);
}

/* The directory of @path, and the name in it. */
static int open_place(const struct path_opener *opener, struct snapshot_file *f,
		      const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	cleanup_free char *dir = NULL;
	struct stat st;

	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EISDIR;
	if (strlen(name) > NAME_MAX - SUFFIX_MAX)
		return -ENAMETOOLONG;
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	dir = snapshot_parent(path);
	if (!dir)
		return -ENOMEM;
	f->dir = path_open(opener, PATH_PLACE, dir, NULL);
	if (f->dir < 0)
		return f->dir;
	/* A device or pipe that has the name shall keep it. */
	if (fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? 0 : -EEXIST;
}

/* "<name>.<16 hex digits>" */
static bool has_id(const char *entry, const char *name)
{
	size_t len = strlen(name);

	return strncmp(entry, name, len) == 0 && entry[len] == '.' &&
	       strspn(entry + len + 1, "0123456789abcdef") == ID_DIGITS &&
	       entry[len + 1 + ID_DIGITS] == '\0';
}

/* One directory can have several paths, so that paths tell nothing. */
static int check_names(const struct snapshot_files *f, struct err *err)
{
	const char *state = f->state.name, *memory = f->memory.name;

	if (!fd_same_file(f->state.dir, f->memory.dir))
		return 0;
	if (strcmp(state, memory) == 0)
		return err_set(err, -EINVAL,
			       "State and memory cannot be the same file");
	if (strcmp(memory, f->lock_name) == 0 || has_id(state, memory))
		return err_set(err, -EINVAL,
			       "Choose other names: %s and %s are what Volt "
			       "calls files for a moment while it saves one "
			       "of the two",
			       state, memory);
	return 0;
}

/* ---- names ---- */

/* Could the nameless file be given a name? A name that is taken is refused
 * only to those who may. */
static bool can_be_named(const struct snapshot_file *f)
{
	char self[32];

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	return (linkat(f->fd, "", f->dir, ".", AT_EMPTY_PATH) < 0 &&
		errno == EEXIST) ||
	       (linkat(AT_FDCWD, self, f->dir, ".", AT_SYMLINK_FOLLOW) < 0 &&
		errno == EEXIST);
}

/* A nameless file where there are such; else one with the temporary name. */
static int open_temp(struct snapshot_files *files, struct snapshot_file *f,
		     const char *suffix)
{
	char temp[NAME_MAX + 1];
	int r;

	f->fd = below_open(f->dir, ".", BELOW_NAMELESS);
	if (f->fd >= 0 && can_be_named(f))
		return 0;
	if (f->fd < 0 && f->fd != -EOPNOTSUPP && f->fd != -EISDIR &&
	    f->fd != -ENOENT)
		return f->fd;
	fd_close(&f->fd);
	name_with_id(temp, f->name, files->label.id, suffix);
	r = journal_note(files->lock, f->dir, temp, 0);
	if (r < 0)
		return r;
	f->fd = below_open(f->dir, temp, BELOW_NEW);
	if (f->fd < 0)
		return f->fd;
	(void)snprintf(f->temp, sizeof(f->temp), "%s", temp);
	return 0;
}

/* Make the file known by its temporary name. */
static int give_name(struct snapshot_files *files, struct snapshot_file *f,
		     const char *suffix)
{
	char self[32], temp[NAME_MAX + 1];
	int r;

	if (f->temp[0] != '\0')
		return 0;
	name_with_id(temp, f->name, files->label.id, suffix);
	r = journal_note(files->lock, f->dir, temp, 0);
	if (r < 0)
		return r;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	if (linkat(f->fd, "", f->dir, temp, AT_EMPTY_PATH) < 0 &&
	    linkat(AT_FDCWD, self, f->dir, temp, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	(void)snprintf(f->temp, sizeof(f->temp), "%s", temp);
	return 0;
}

void snapshot_suffix(uint64_t id, char suffix[static SNAPSHOT_SUFFIX_MAX])
{
	(void)snprintf(suffix, SNAPSHOT_SUFFIX_MAX, ".%016llx",
		       (unsigned long long)id);
}

int snapshot_state_id(int dir, const char *name, bool no_links, uint64_t *id)
{
	struct snapshot_head head;
	char text[512];
	size_t covered;
	ssize_t n;
	int r = 0;
	int fd = below_open(dir, name,
			    no_links ? BELOW_STATE_ITSELF : BELOW_STATE);

	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text));
	if (n < 0)
		r = -errno;
	fd_close(&fd);
	if (r == 0 &&
	    snapshot_read_head(text, (size_t)n, &head, &covered, NULL) < 0)
		r = -EINVAL;
	if (r == 0)
		*id = head.id;
	return r;
}

/* The id of the snapshot that is there. Return: false when there is none. */
static bool files_old_id(const struct snapshot_files *f, uint64_t *id)
{
	return snapshot_state_id(f->state.dir, f->state.name, f->no_links,
				 id) == 0;
}

/* The old memory gets its second name. */
static int set_aside(struct snapshot_files *f)
{
	const struct snapshot_file *m = &f->memory;
	struct stat st;
	uint64_t old;
	int r;

	if (!files_old_id(f, &old) ||
	    fstatat(m->dir, m->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	name_with_id(f->aside, m->name, old, "");
	r = journal_note(f->lock, m->dir, f->aside, st.st_ino);
	if (r == 0 && linkat(m->dir, m->name, m->dir, f->aside, 0) == 0)
		return 0;
	if (r == 0 && errno != EEXIST &&
	    renameat(m->dir, m->name, m->dir, f->aside) == 0) {
		f->moved = true;
		return 0;
	}
	if (r == 0 && errno != EEXIST)
		r = -errno;
	f->aside[0] = '\0'; /* what has the name already keeps it */
	return r;
}

/* ---- from begin to end ---- */

/* What a killed process left here. */
static int recover(const struct snapshot_files *f)
{
	const int dirs[2] = {f->state.dir, f->memory.dir};
	char suffix[SNAPSHOT_SUFFIX_MAX] = "";
	uint64_t id;

	if (files_old_id(f, &id))
		snapshot_suffix(id, suffix);
	return journal_replay(f->lock, dirs, 2, suffix);
}

static int take_lock(struct snapshot_files *f, struct err *err)
{
	int r;

	(void)snprintf(f->lock_name, sizeof(f->lock_name), "%.*s%s",
		       (int)(NAME_MAX - SUFFIX_MAX), f->state.name,
		       LOCK_SUFFIX);
	r = check_names(f, err);
	if (r < 0)
		return r;
	f->lock = journal_open(f->state.dir, f->lock_name);
	if (f->lock == -EBUSY)
		return err_set(err, -EBUSY,
			       "Another process writes a snapshot in this "
			       "place and holds the lock %s: try again when "
			       "it is done",
			       f->lock_name);
	if (f->lock == -EEXIST)
		return err_set(err, -EEXIST,
			       "%s is in the place of the lock file and is "
			       "none of Volt's: move it away",
			       f->lock_name);
	r = f->lock < 0 ? f->lock : recover(f);
	return r < 0 ? files_open_failed("snapshot", r, err) : 0;
}

int snapshot_files_begin(struct snapshot_files *f,
			 const struct snapshot_paths *paths, uint64_t id,
			 struct err *err)
{
	int r;

	*f = SNAPSHOT_FILES_NONE;
	f->label.id = id;
	f->no_links = snapshot_opener(paths)->ops->no_links;
	r = open_place(snapshot_opener(paths), &f->state, paths->state);
	if (r < 0)
		return files_open_failed("snapshot", r, err);
	r = open_place(snapshot_opener(paths), &f->memory, paths->memory);
	if (r < 0)
		return files_open_failed("memory", r, err);
	r = take_lock(f, err);
	if (r < 0)
		return r;
	r = open_temp(f, &f->state, TEMP_SUFFIX);
	if (r < 0)
		return files_open_failed("snapshot", r, err);
	r = open_temp(f, &f->memory, "");
	return r < 0 ? files_open_failed("memory", r, err) : 0;
}

/* What a raw diff holds, beside its label. */
static void files_note_map(int fd)
{
	struct stat st;

	if (fd_stat(fd, &st) == 0 && !packed_is(st.st_size))
		memory_map_set(fd, (uint64_t)st.st_size);
}

/* Up to the moment before the state takes its name. */
static int files_prepare(struct snapshot_files *f)
{
	int r;

	snapshot_label_set(f->memory.fd, &f->label);
	if (f->label.base != 0)
		files_note_map(f->memory.fd);
	if (fsync(f->memory.fd) < 0 || fsync(f->state.fd) < 0)
		return -errno;
	r = give_name(f, &f->memory, "");
	if (r == 0)
		r = give_name(f, &f->state, TEMP_SUFFIX);
	if (r == 0)
		r = set_aside(f);
	if (r == 0 && fsync(f->memory.dir) < 0)
		r = -errno;
	return r;
}

static int files_take_name(struct snapshot_file *f)
{
	if (renameat(f->dir, f->temp, f->dir, f->name) < 0)
		return -errno;
	f->temp[0] = '\0';
	return fsync(f->dir) < 0 ? -errno : 0;
}

int snapshot_files_commit(struct snapshot_files *f, struct err *err)
{
	int r = files_prepare(f);

	if (r == 0) {
		r = files_take_name(&f->state);
		f->committed = f->state.temp[0] == '\0';
	}
	if (r < 0)
		return err_set(err, r, "Cannot store the snapshot: %s",
			       err_name(r));
	/* It is complete: what fails from here on the next one makes good. */
	(void)files_take_name(&f->memory);
	return 0;
}

/* Return: true when nothing of it is left. */
static bool end_file(struct snapshot_file *f, bool committed)
{
	bool clean = f->temp[0] == '\0' ||
		     (!committed && unlinkat(f->dir, f->temp, 0) == 0);

	fd_close(&f->fd);
	return clean;
}

static bool end_aside(const struct snapshot_files *f)
{
	const struct snapshot_file *m = &f->memory;

	if (f->aside[0] == '\0')
		return true;
	if (f->moved && !f->committed)
		return renameat(m->dir, f->aside, m->dir, m->name) == 0;
	/* It is the memory of the state that is there until that is gone. */
	return (!f->committed || m->temp[0] == '\0') &&
	       unlinkat(m->dir, f->aside, 0) == 0;
}

void snapshot_files_end(struct snapshot_files *f)
{
	bool clean = end_aside(f);

	clean &= end_file(&f->memory, f->committed);
	clean &= end_file(&f->state, f->committed);
	if (f->lock >= 0)
		journal_close(&f->lock, f->state.dir, f->lock_name, clean);
	fd_close(&f->memory.dir);
	fd_close(&f->state.dir);
}
