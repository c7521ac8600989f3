// SPDX-License-Identifier: Apache-2.0
/*
 * files.c - the two files of a snapshot (theory of operation: files.h)
 */
#include "snapshot/files.h"

#include "base/fd.h"
#include "base/pages.h"
#include "snapshot/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define ID_DIGITS   16u
#define ID_ATTR     "user.volt.snapshot"
#define BASE_ATTR   "user.volt.base"
#define TEMP_SUFFIX ".tmp"

/* Ten seconds for another writer to be done with its names. */
#define LOCK_TRIES    1000
#define LOCK_PAUSE_NS 10000000
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

void snapshot_paths_free(struct snapshot_paths *paths)
{
	free(paths->state);
	free(paths->memory);
	*paths = (struct snapshot_paths){0};
}

/* <name>.<id><suffix> */
static void name_with_id(char out[static NAME_MAX + 1], const char *name,
			 uint64_t id, const char *suffix)
{
	(void)snprintf(out, NAME_MAX + 1, "%.*s.%016llx%s",
		       (int)(NAME_MAX - SUFFIX_MAX), name,
		       (unsigned long long)id, suffix);
}

/* ---- writing ---- */

static int open_failed(const char *what, int rc, struct err *err)
{
	return err_set(err, rc,
		       "Cannot perform open on the %s backing file: %s (os "
		       "error %d)",
		       what, err_name(rc), -rc);
}

/* The directory of @path, and the name in it. */
static int open_place(struct snapshot_file *f, const char *path)
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
	if (slash)
		dir = strndup(path, slash > path ? (size_t)(slash - path) : 1);
	else
		dir = strdup(".");
	if (!dir)
		return -ENOMEM;
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0)
		return -errno;
	/* A device or pipe that has the name shall keep it. */
	if (fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? 0 : -EEXIST;
}

/* A nameless file where there are such; else one with the temporary name. */
static int open_temp(struct snapshot_file *f, const char *temp)
{
	f->fd = openat(f->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return -errno;
	f->fd = openat(f->dir, temp,
		       O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW,
		       0600);
	if (f->fd < 0)
		return -errno;
	(void)snprintf(f->temp, sizeof(f->temp), "%s", temp);
	return 0;
}

static int open_file(struct snapshot_file *f, const char *path,
		     const char *suffix, uint64_t id)
{
	char temp[NAME_MAX + 1];
	int r = open_place(f, path);

	if (r < 0)
		return r;
	name_with_id(temp, f->name, id, suffix);
	r = open_temp(f, temp);
	if (r == 0) /* tells tidy() that it is in use */
		(void)flock(f->fd, LOCK_EX | LOCK_NB);
	return r;
}

/* Make the file known as @temp, which its temporary name is from now on. */
static int give_name(struct snapshot_file *f, const char *temp)
{
	char self[32];

	if (f->temp[0] != '\0')
		return 0;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	if (linkat(f->fd, "", f->dir, temp, AT_EMPTY_PATH) < 0 &&
	    linkat(AT_FDCWD, self, f->dir, temp, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	(void)snprintf(f->temp, sizeof(f->temp), "%s", temp);
	return 0;
}

/* "<name>.<id><suffix>" */
static bool is_leftover(const char *entry, const char *name, const char *suffix)
{
	size_t len = strlen(name);

	return strncmp(entry, name, len) == 0 && entry[len] == '.' &&
	       strspn(entry + len + 1, "0123456789abcdef") == ID_DIGITS &&
	       strcmp(entry + len + 1 + ID_DIGITS, suffix) == 0;
}

/* Somebody is writing it. */
static bool in_use(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;

	fd_close(&fd);
	return locked;
}

/* Remove what killed processes have left. */
static void tidy(const struct snapshot_file *f, const char *suffix)
{
	int fd = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (is_leftover(entry->d_name, f->name, suffix) &&
		    !in_use(f->dir, entry->d_name))
			(void)unlinkat(f->dir, entry->d_name, 0);
	(void)closedir(dir);
}

/* The id of the snapshot that is there. Return: false when there is none. */
static bool old_id(const struct snapshot_file *state, uint64_t *id)
{
	struct snapshot_head head;
	char text[512];
	size_t covered;
	ssize_t n;
	int fd = openat(state->dir, state->name,
			O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	fd_close(&fd);
	if (n <= 0 ||
	    snapshot_read_head(text, (size_t)n, &head, &covered, NULL) < 0)
		return false;
	*id = head.id;
	return true;
}

int snapshot_files_begin(struct snapshot_files *f,
			 const struct snapshot_paths *paths, uint64_t id,
			 struct err *err)
{
	int r;

	memset(f, 0, sizeof(*f));
	f->id = id;
	f->state.dir = f->memory.dir = f->state.fd = f->memory.fd = -1;
	if (strcmp(paths->state, paths->memory) == 0)
		return err_set(err, -EINVAL,
			       "State and memory cannot be the same file");
	r = open_file(&f->state, paths->state, TEMP_SUFFIX, id);
	if (r < 0)
		return open_failed("snapshot", r, err);
	r = open_file(&f->memory, paths->memory, "", id);
	if (r < 0)
		return open_failed("memory", r, err);
	return 0;
}

/*
 * One writer at a time. A file system without locks has them all at once: that
 * is the business of those who use one name for two snapshots.
 */
static int lock(const struct snapshot_file *f)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(f->dir, LOCK_EX | LOCK_NB) == 0 ||
		    errno != EWOULDBLOCK)
			return 0;
		(void)nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

/* The old memory gets its second name. */
static int set_aside(struct snapshot_files *f)
{
	const struct snapshot_file *m = &f->memory;
	uint64_t old;

	if (!old_id(&f->state, &old))
		return 0;
	name_with_id(f->aside, m->name, old, "");
	if (linkat(m->dir, m->name, m->dir, f->aside, 0) == 0)
		return 0;
	if (errno == EEXIST || errno == ENOENT) {
		f->aside[0] = '\0'; /* it has that name already, or none */
		return 0;
	}
	if (renameat(m->dir, m->name, m->dir, f->aside) < 0)
		return -errno;
	f->moved = true;
	return 0;
}

/* Up to the moment before the state takes its name. */
static int prepare(struct snapshot_files *f)
{
	char temp[NAME_MAX + 1];
	int r;

	(void)fsetxattr(f->memory.fd, ID_ATTR, &f->id, sizeof(f->id), 0);
	if (f->base != 0)
		(void)fsetxattr(f->memory.fd, BASE_ATTR, &f->base,
				sizeof(f->base), 0);
	if (fsync(f->memory.fd) < 0 || fsync(f->state.fd) < 0)
		return -errno;
	r = lock(&f->state);
	if (r < 0)
		return r;
	name_with_id(temp, f->memory.name, f->id, "");
	r = give_name(&f->memory, temp);
	if (r < 0)
		return r;
	name_with_id(temp, f->state.name, f->id, TEMP_SUFFIX);
	r = give_name(&f->state, temp);
	if (r == 0)
		r = set_aside(f);
	if (r == 0 && fsync(f->memory.dir) < 0)
		r = -errno;
	return r;
}

static int take_name(struct snapshot_file *f)
{
	if (renameat(f->dir, f->temp, f->dir, f->name) < 0)
		return -errno;
	f->temp[0] = '\0';
	return fsync(f->dir) < 0 ? -errno : 0;
}

int snapshot_files_commit(struct snapshot_files *f, struct err *err)
{
	int r = prepare(f);

	if (r < 0)
		return err_set(err, r, "Cannot store the snapshot: %s",
			       err_name(r));
	r = take_name(&f->state);
	f->committed = f->state.temp[0] == '\0';
	if (r < 0)
		return err_set(err, r, "Cannot store the snapshot: %s",
			       err_name(r));
	/* It is complete: what fails from here on costs only beauty. */
	if (take_name(&f->memory) == 0) {
		tidy(&f->memory, "");
		tidy(&f->state, TEMP_SUFFIX);
	}
	return 0;
}

static void end_file(struct snapshot_file *f, bool committed)
{
	if (f->temp[0] != '\0' && !committed)
		(void)unlinkat(f->dir, f->temp, 0);
	fd_close(&f->fd);
	fd_close(&f->dir);
}

void snapshot_files_end(struct snapshot_files *f)
{
	const struct snapshot_file *m = &f->memory;

	if (f->moved && !f->committed)
		(void)renameat(m->dir, f->aside, m->dir, m->name);
	else if (f->aside[0] != '\0' && !f->committed)
		(void)unlinkat(m->dir, f->aside, 0);
	end_file(&f->memory, f->committed);
	end_file(&f->state, f->committed);
}

/* ---- reading ---- */

static int read_failed(int rc, struct err *err)
{
	return err_set(err, rc,
		       "Failed to open snapshot file: %s (os error %d)",
		       err_name(rc), -rc);
}

int snapshot_read_state(struct snapshot_reader *r, const char *path,
			struct err *err)
{
	struct stat st;
	int rc;

	*r = (struct snapshot_reader){.state_fd = -1, .memory_fd = -1};
	r->state_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (r->state_fd < 0 || fstat(r->state_fd, &st) < 0)
		return read_failed(-errno, err);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)SNAPSHOT_STATE_MAX)
		return err_set(err, -EINVAL,
			       "%s is not the state of a snapshot: %s", path,
			       S_ISREG(st.st_mode) ? "it is too large"
						   : "it is no file");
	r->len = (size_t)st.st_size;
	r->text = pages_new(r->len + 1, r->len + 1);
	if (!r->text)
		return err_set(err, -ENOMEM, "Out of memory");
	rc = fd_read_full(r->state_fd, r->text, r->len, 0);
	return rc < 0 ? read_failed(rc, err) : 0;
}

static int open_memory(const char *path, uint64_t id)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	char *aside;
	int fd;

	if (asprintf(&aside, "%s.%016llx", path, (unsigned long long)id) < 0)
		return -ENOMEM;
	fd = open(aside, flags);
	free(aside);
	if (fd >= 0 || (errno != ENOENT && errno != ENAMETOOLONG))
		return fd < 0 ? -errno : fd;
	fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

static bool state_replaced(const struct snapshot_reader *r, const char *path)
{
	struct stat here, now;

	return fstat(r->state_fd, &here) == 0 && stat(path, &now) == 0 &&
	       (here.st_ino != now.st_ino || here.st_dev != now.st_dev);
}

bool snapshot_memory_id(int fd, uint64_t *id)
{
	return fgetxattr(fd, ID_ATTR, id, sizeof(*id)) == sizeof(*id);
}

bool snapshot_memory_base(int fd, uint64_t *base)
{
	return fgetxattr(fd, BASE_ATTR, base, sizeof(*base)) == sizeof(*base);
}

int snapshot_open_memory(struct snapshot_reader *r,
			 const struct snapshot_paths *paths, uint64_t id,
			 uint64_t base, struct err *err)
{
	struct stat st;
	uint64_t theirs;
	int fd = open_memory(paths->memory, id);

	if (state_replaced(r, paths->state)) {
		if (fd >= 0)
			fd_close(&fd);
		return err_set(err, -ESTALE,
			       "The snapshot was replaced while it was read");
	}
	if (fd < 0)
		return err_set(err, fd,
			       "Failed to load guest memory: %s (os error %d)",
			       err_name(fd), -fd);
	r->memory_fd = fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL,
			       "Failed to load guest memory: %s is no file",
			       paths->memory);
	if (snapshot_memory_id(fd, &theirs) && theirs != id &&
	    (base == 0 || theirs != base))
		return err_set(err, -EINVAL,
			       "Failed to load guest memory: %s is the memory "
			       "of another snapshot than %s",
			       paths->memory, paths->state);
	return 0;
}

void snapshot_reader_end(struct snapshot_reader *r)
{
	pages_free(r->text, r->len + 1);
	r->text = NULL;
	fd_close(&r->state_fd);
	fd_close(&r->memory_fd);
}
