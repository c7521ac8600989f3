// SPDX-License-Identifier: Apache-2.0
/*
 * place.c - making things where others may have put theirs (place.h)
 */
#include "jailer/place.h"

#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static void jailer_place_note(struct place *p, enum place_kind kind, int at,
			      const char *name, const struct stat *st)
{
	assert(p->nr < PLACE_NOTES_MAX);
	p->note[p->nr++] = (struct place_note){
		.kind = kind,
		.at = at,
		.name = name,
		.uid = st ? st->st_uid : 0,
		.gid = st ? st->st_gid : 0,
		.mode = st ? st->st_mode & 07777 : 0,
	};
}

void place_undo(struct place *p)
{
	while (p->nr > 0) {
		const struct place_note *n = &p->note[--p->nr];
		cleanup_fd int fd = -1;

		if (n->kind == PLACE_FILE)
			(void)unlinkat(n->at, n->name, 0);
		if (n->kind == PLACE_DIR)
			(void)unlinkat(n->at, n->name, AT_REMOVEDIR);
		if (n->kind != PLACE_TAKEN)
			continue;
		fd = openat(n->at, n->name, OPEN_DIR);
		if (fd >= 0 && fchown(fd, n->uid, n->gid) == 0)
			(void)fchmod(fd, n->mode);
	}
}

/* ---- directories ---- */

/* What is at a name that is no directory, or cannot be opened. */
static int refuse_name(int at, const char *name, int rc, const char *path,
		       struct err *err)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return err_set(err, -ELOOP,
			       "Failed to create directory %s: there is a "
			       "symbolic link of that name, which is not "
			       "followed",
			       path);
	return err_set(err, rc,
		       "Failed to create directory %s: %s (os error %d)", path,
		       err_name(rc), -rc);
}

/* May nobody but root and the jail's user change what is in it? */
static int check_owner(const struct place *p, const struct stat *st,
		       const char *path, struct err *err)
{
	if (st->st_uid != p->us && st->st_uid != p->uid)
		return err_set(err, -EPERM,
			       "Failed to create directory %s: there is one of "
			       "user %u already, who is neither the jail's nor "
			       "the one who starts it",
			       path, st->st_uid);
	if ((st->st_mode & S_IWOTH) ||
	    ((st->st_mode & S_IWGRP) && st->st_gid != 0 &&
	     st->st_gid != p->gid))
		return err_set(
			err, -EPERM,
			"Failed to create directory %s: there is one "
			"already, and others may write to it (mode %04o)",
			path, st->st_mode & 07777);
	return 0;
}

/* @made: it was not there. */
static int place_open_dir(struct place *p, int at, const char *name,
			  const char *path, struct stat *st, bool *made,
			  struct err *err)
{
	cleanup_fd int fd = -1;
	int r;

	*made = mkdirat(at, name, 0755) == 0;
	if (!*made && errno != EEXIST)
		return err_set(err, -errno,
			       "Failed to create directory %s: %s (os error "
			       "%d)",
			       path, err_name(errno), errno);
	fd = openat(at, name, OPEN_DIR);
	if (fd < 0 || fstat(fd, st) < 0)
		return refuse_name(at, name, -errno, path, err);
	r = check_owner(p, st, path, err);
	return r < 0 ? r : fd_steal(&fd);
}

int place_open(struct place *p, int at, const char *name, const char *path,
	       bool keep, struct err *err)
{
	struct stat st;
	bool made;
	int fd = place_open_dir(p, at, name, path, &st, &made, err);

	if (fd >= 0 && made && !keep)
		jailer_place_note(p, PLACE_DIR, at, name, NULL);
	return fd;
}

static int set_owner(int fd, uid_t uid, gid_t gid, const char *path,
		     struct err *err)
{
	if (fchown(fd, uid, gid) < 0)
		return err_set(err, -errno,
			       "Failed to change owner for %s: %s (os error "
			       "%d)",
			       path, err_name(errno), errno);
	if (fchmod(fd, 0700) < 0)
		return err_set(err, -errno,
			       "Failed to change permissions on %s: %s (os "
			       "error %d)",
			       path, err_name(errno), errno);
	return 0;
}

int place_take(struct place *p, int at, const char *name, const char *path,
	       struct err *err)
{
	struct stat st;
	bool made;
	cleanup_fd int fd = place_open_dir(p, at, name, path, &st, &made, err);
	int r;

	if (fd < 0)
		return fd;
	jailer_place_note(p, made ? PLACE_DIR : PLACE_TAKEN, at, name, &st);
	r = set_owner(fd, p->us, 0, path, err);
	return r < 0 ? r : fd_steal(&fd);
}

int place_give(const struct place *p, int fd, const char *path, struct err *err)
{
	return set_owner(fd, p->uid, p->gid, path, err);
}

/* ---- files and devices ---- */

/* A plain file of ours with one name may be replaced. */
static int remove_old(const struct place *p, int at, const char *name,
		      const char **why)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		*why = "there is a symbolic link of that name, which is not "
		       "followed";
	else if (!S_ISREG(st.st_mode))
		*why = "there is something of that name that is no file";
	else if (st.st_nlink != 1)
		*why = "the file that is there has other names, too (hard "
		       "links), and is not replaced";
	else if (st.st_uid != p->us)
		*why = "the file that is there belongs to another user and is "
		       "not replaced";
	else
		return unlinkat(at, name, 0) < 0 ? -errno : 0;
	return -EEXIST;
}

int place_file(struct place *p, int at, const char *name, mode_t mode,
	       const char **why)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	cleanup_fd int fd = openat(at, name, flags, 0600);
	int r;

	*why = NULL;
	if (fd < 0 && errno == EEXIST) {
		r = remove_old(p, at, name, why);
		if (r < 0)
			return r;
		fd = openat(at, name, flags, 0600);
	}
	if (fd < 0)
		return -errno;
	jailer_place_note(p, PLACE_FILE, at, name, NULL);
	return fchmod(fd, mode) < 0 ? -errno : fd_steal(&fd);
}

int place_device(struct place *p, int at, const char *name, dev_t dev,
		 const char *path, struct err *err)
{
	if (mknodat(at, name, S_IFCHR | 0600, dev) < 0)
		return err_set(err, -errno,
			       "Failed to create %s via mknod inside the jail: "
			       "%s (os error %d)",
			       path, err_name(errno), errno);
	jailer_place_note(p, PLACE_FILE, at, name, NULL);
	if (fchownat(at, name, p->uid, p->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, -errno,
			       "Failed to change owner for %s: %s (os error "
			       "%d)",
			       path, err_name(errno), errno);
	return 0;
}
