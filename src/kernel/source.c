// SPDX-License-Identifier: Apache-2.0
/*
 * source.c - where a kernel is built from, and in (source.h)
 */
#include "kernel/source.h"

#include "store/digest.h"
#include "store/program.h"
#include "store/tree.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOCK_WAIT_US  100000
#define MAKEFILE_HEAD 1024
#define ID_HEX        16

void source_close(struct source *source)
{
	free(source->folder);
	free(source->id);
	free(source->what);
	if (source->hold > 0)
		fd_close(&source->hold);
	*source = (struct source){0};
}

/* "VERSION = 6": its number. */
static bool number_of(const char *makefile, const char *name, unsigned int *n)
{
	size_t len = strlen(name);
	const char *at = makefile;

	while (at) {
		if (strncmp(at, name, len) == 0 &&
		    strncmp(at + len, " = ", 3) == 0 && at[len + 3] >= '0' &&
		    at[len + 3] <= '9') {
			*n = (unsigned int)strtoul(at + len + 3, NULL, 10);
			return true;
		}
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return false;
}

bool source_version(const char *makefile, char version[static 32])
{
	unsigned int major, minor, patch;

	if (!number_of(makefile, "VERSION", &major) ||
	    !number_of(makefile, "PATCHLEVEL", &minor) ||
	    !number_of(makefile, "SUBLEVEL", &patch))
		return false;
	(void)snprintf(version, 32, "%u.%u.%u", major, minor, patch);
	return true;
}

static int read_version(const char *folder, struct source *source,
			struct err *err)
{
	cleanup_free char *path = tree_path(folder, "Makefile");
	char head[MAKEFILE_HEAD + 1] = "";
	cleanup_fd int fd = -1;
	ssize_t len = 0;

	if (path)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		len = read(fd, head, MAKEFILE_HEAD);
	head[len > 0 ? len : 0] = '\0';
	if (!tree_has(folder, "Kbuild") || !tree_has(folder, "arch/x86") ||
	    !source_version(head, source->version))
		return err_set(err, -EINVAL,
			       "%s is no source tree of Linux: give its top "
			       "folder, a linux-source tarball, or --package "
			       "linux-source-6.1",
			       folder);
	return 0;
}

int source_of_folder(const char *path, struct source *source, struct err *err)
{
	int r;

	source->folder = realpath(path, NULL);
	if (!source->folder)
		return err_set(err, -errno, "Cannot open %s: %s", path,
			       err_name(errno));
	r = read_version(source->folder, source, err);
	if (r < 0)
		return r;
	if (tree_has(source->folder, ".config") ||
	    tree_has(source->folder, "include/config"))
		return err_set(err, -EINVAL,
			       "Something was built in %s, and Linux builds "
			       "in another folder only from a clean one: `make "
			       "mrproper` there cleans it",
			       source->folder);
	source->id = strdup(source->folder);
	source->what = strdup(source->folder);
	return source->id && source->what
		       ? 0
		       : err_set(err, -ENOMEM, "Out of memory");
}

int source_make_cache(const char *cache, struct err *err)
{
	cleanup_free char *path = tree_path(cache, "");

	if (!path)
		return err_set(err, -ENOMEM, "Out of memory");
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_set(err, -errno, "Cannot make %s: %s", path,
				       err_name(errno));
		*p = '/';
	}
	return 0;
}

int source_hold(const char *path, bool shared, struct progress *progress,
		const char *what, int *fd, struct err *err)
{
	int how = shared ? LOCK_SH : LOCK_EX;

	*fd = open(path, O_RDONLY | O_NOFOLLOW); // NOLINT: programs get it
	if (*fd < 0)
		return err_set(err, -errno, "Cannot open %s: %s", path,
			       err_name(errno));
	while (flock(*fd, how | LOCK_NB) < 0) {
		int r = -errno;

		if (r != -EWOULDBLOCK && r != -EINTR) {
			fd_close(fd);
			return err_set(err, r, "Cannot lock %s: %s", path,
				       err_name(r));
		}
		progress_tell(progress, what, 0, 0);
		(void)usleep(LOCK_WAIT_US);
	}
	return 0;
}

static int lock_cache(const char *cache, struct progress *progress, int *lock,
		      struct err *err)
{
	cleanup_free char *path = NULL;
	int fd, r = source_make_cache(cache, err);

	if (r < 0)
		return r;
	if (asprintf(&path, "%s/lock", cache) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, -errno, "Cannot write into %s: %s", cache,
			       err_name(errno));
	fd_close(&fd);
	return source_hold(path, false, progress,
			   "waiting for another build that unpacks", lock, err);
}

/* The one folder in @folder. To be freed; NULL: there is none. */
static char *only_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;
	char *path = NULL;

	while (dir && !path && (e = readdir(dir)))
		if (e->d_name[0] != '.' &&
		    asprintf(&path, "%s/%s", folder, e->d_name) < 0)
			path = NULL;
	if (dir)
		(void)closedir(dir);
	return path;
}

/* Under the lock. */
static int source_take_cached(const char *cache, const char *id,
			      struct progress *progress, struct source *source,
			      struct err *err)
{
	cleanup_free char *path = NULL;
	int r;

	if (asprintf(&path, "%s/source-%s", cache, id) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	if (access(path, F_OK) < 0)
		return err_set(err, -ENOENT,
			       "%s was removed meanwhile: try again", path);
	r = source_hold(path, true, progress, "waiting for its source",
			&source->hold, err);
	source->folder = r < 0 ? NULL : only_folder(path);
	if (r == 0 && !source->folder)
		return err_set(err, -EINVAL, "%s is empty", path);
	if (r == 0)
		r = read_version(source->folder, source, err);
	source->id = strdup(id);
	source->what = strdup(id);
	if (r == 0 && (!source->id || !source->what))
		r = err_set(err, -ENOMEM, "Out of memory");
	return r;
}

bool source_is_cached(const char *cache, const char *id)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/source-%s", cache, id) < 0)
		path = NULL;
	return path && access(path, F_OK) == 0;
}

int source_of_cache(const char *cache, const char *id,
		    struct progress *progress, struct source *source,
		    struct err *err)
{
	cleanup_fd int lock = -1;
	int r = lock_cache(cache, progress, &lock, err);

	return r < 0 ? r : source_take_cached(cache, id, progress, source, err);
}

/* tar tells it in more than one way. */
static bool is_full(const char *folder)
{
	struct statvfs st;

	return statvfs(folder, &st) == 0 && st.f_bavail * st.f_frsize < MIB(1);
}

/* Under the lock: into .part, which gets its name when it is whole. */
static int unpack(const char *tarball, const char *cache, const char *id,
		  struct progress *progress, struct err *err)
{
	cleanup_free char *part = NULL, *whole = NULL;
	cleanup_buf struct buf out = {0}, said = {0};
	const char *argv[] = {"tar", "-xf", tarball, "--no-same-owner", NULL};
	struct program program = {
		.argv = argv, .progress = progress, .what = "unpacking"};
	char line[256];
	bool full;
	int r;

	if (asprintf(&part, "%s/source-%s" TREE_PART, cache, id) < 0)
		part = NULL;
	if (asprintf(&whole, "%s/source-%s", cache, id) < 0)
		whole = NULL;
	if (!part || !whole)
		return err_set(err, -ENOMEM, "Out of memory");
	tree_remove(part);
	if (mkdir(part, 0755) < 0)
		return err_set(err, -errno, "Cannot make %s: %s", part,
			       err_name(errno));
	program.folder = part;
	r = program_run(&program, &out, &said);
	if (r == 0 && rename(part, whole) == 0)
		return 0;
	full = is_full(part);
	tree_remove(part);
	if (r == -ENOENT)
		return err_set(err, r, "There is no tar: apt-get install tar");
	if (full)
		return err_set(err, -ENOSPC, "Cannot unpack %s into %s: %s",
			       tarball, cache, err_name(ENOSPC));
	return err_set(err, r < 0 ? r : -EIO, "%s cannot be unpacked: %s",
		       tarball, program_first_line(&said, line));
}

static int id_of_content(const char *path, struct progress *progress,
			 char id[static 64], struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct digest sum;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "Cannot open %s: %s", path,
			       err_name(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL,
			       "%s is neither a folder nor a tarball", path);
	r = digest_of_file(fd, (uint64_t)st.st_size, progress, &sum);
	if (r < 0)
		return err_set(err, r, "Cannot read %s: %s", path, err_name(r));
	(void)snprintf(id, 64, "%.*s", ID_HEX, sum.hex);
	return 0;
}

int source_of_tarball(const char *path, const char *cache, const char *id,
		      struct progress *progress, struct source *source,
		      struct err *err)
{
	cleanup_free char *full = realpath(path, NULL);
	cleanup_fd int lock = -1;
	char own[64];
	int r = 0;

	if (!full)
		return err_set(err, -errno, "Cannot open %s: %s", path,
			       err_name(errno));
	if (!id)
		r = id_of_content(full, progress, own, err);
	if (r < 0)
		return r;
	id = id ? id : own;
	r = lock_cache(cache, progress, &lock, err);
	if (r == 0 && !source_is_cached(cache, id))
		r = unpack(full, cache, id, progress, err);
	return r < 0 ? r : source_take_cached(cache, id, progress, source, err);
}

static bool source_is_part(const char *name)
{
	const size_t len = strlen(name), end = strlen(TREE_PART);

	return len > end && strcmp(name + len - end, TREE_PART) == 0;
}

void source_clean_cache(const char *cache, uint64_t *folders)
{
	cleanup_fd int lock = -1;
	const struct dirent *e;
	DIR *dir = opendir(cache);

	*folders = 0;
	if (!dir || lock_cache(cache, NULL, &lock, NULL) < 0) {
		if (dir)
			(void)closedir(dir);
		return;
	}
	while ((e = readdir(dir))) {
		cleanup_free char *path = NULL;
		cleanup_fd int fd = -1;

		if (strncmp(e->d_name, "source-", 7) != 0 &&
		    strncmp(e->d_name, "build-", 6) != 0)
			continue;
		fd = openat(dirfd(dir), e->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		path = tree_path(cache, e->d_name);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || !path)
			continue;
		if (source_is_part(e->d_name))
			tree_remove(path);
		else
			tree_retire(path);
		++*folders;
	}
	(void)closedir(dir);
}
