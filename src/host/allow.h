/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allow.h - an opener that opens below a few directories only
 *
 * Theory of operation
 *
 * The directories are opened at start, with O_PATH, and stay what they are
 * whatever their names become. A path that comes later is looked up as text:
 * below which directory is it? The rest of it is opened from that directory by
 * openat2() with RESOLVE_BENEATH and without symbolic links of any kind, so
 * that the kernel, not the text, has the last word.
 *
 * A directory has two names: as it was given, and without symbolic links. The
 * first is replaced by the second; then the innermost directory decides, and of
 * the same one named twice the one that is read only. Without links in the rest
 * there is no way from one directory to another that the text does not show.
 *
 * ".." counts where it begins a relative path, as the working directory has no
 * links in it. Behind a name, which may be a link, nobody can say without
 * following it where it leads: such a path is refused.
 *
 * What is refused is told with -EXDEV, as openat2() tells it, and a sentence
 * that names the option.
 */
#pragma once

#include "host/path.h"

#define ALLOW_MAX 16

/**
 * struct allow_dir - one of them
 * @given, @real:	owned; both absolute, without a slash at the end
 */
struct allow_dir {
	int fd;
	bool read_only;
	char *given;
	char *real;
};

/**
 * struct allow - all of them; does not move while it is open
 * @opener:	opens what they allow: roles that are files
 * @cwd:	owned; of relative paths
 * @why:	what was refused last; the user clears it
 */
struct allow {
	struct path_opener opener;
	struct allow_dir dirs[ALLOW_MAX];
	unsigned int nr;
	char *cwd;
	struct err why;
};

/**
 * allow_open() - open the directories
 * @texts:	"DIR" or "DIR:ro"; @nr of them, at most ALLOW_MAX
 *
 * Return: 0; -ENOSYS where the kernel has no openat2() (Linux 5.6); -errno;
 * with a sentence, and nothing is open then.
 */
int allow_open(struct allow *allow, const char *const *texts, unsigned int nr,
	       struct err *err) __must_check;

/* May be closed twice. */
void allow_close(struct allow *allow);

/**
 * allow_find() - below which directory is @path?
 * @rest:	of the path, owned: "." for the directory itself
 *
 * Opens nothing. Return: the directory's index; -EACCES: none; -ENOENT for an
 * empty path; -ENOMEM.
 */
int allow_find(const struct allow *allow, const char *path,
	       char **rest) __must_check;
