// SPDX-License-Identifier: Apache-2.0
/*
 * allow.c - an opener that opens below a few directories only (allow.h)
 */
#include "host/allow.h"

#include "base/fd.h"
#include "host/path_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_ONLY ":ro"

/* ---- text ---- */

static bool is(const char *name, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(name, word, len) == 0;
}

/* @path, absolute, with one slash before each name; "" is the root. Return: 0,
 * -EACCES for a ".." behind a name, -ENOMEM. */
static int make_absolute(const char *cwd, const char *path, char **out)
{
	bool may_go_up = path[0] != '/';
	size_t at = may_go_up && strcmp(cwd, "/") != 0 ? strlen(cwd) : 0;
	char *text = malloc(strlen(cwd) + strlen(path) + 2);

	*out = text;
	if (!text)
		return -ENOMEM;
	memcpy(text, cwd, at);
	for (size_t len; *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (is(path, len, "..") && !may_go_up) {
			free(ptr_steal(*out));
			return -EACCES;
		}
		if (is(path, len, "..")) {
			while (at > 0 && text[at - 1] != '/')
				at--;
			at -= at > 0; /* the slash, too */
		} else if (len > 0 && !is(path, len, ".")) {
			may_go_up = false;
			text[at++] = '/';
			memcpy(text + at, path, len);
			at += len;
		}
	}
	text[at] = '\0';
	return 0;
}

/* What of @path is behind @dir; NULL: it is not below it. */
static const char *behind(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	if (strncmp(path, dir, len) != 0)
		return NULL;
	return path[len] == '/' || path[len] == '\0' ? path + len : NULL;
}

/* The name that a directory was given becomes its real one. */
static int make_real(const struct allow *allow, char **path)
{
	const struct allow_dir *best = NULL;
	char *real;

	for (unsigned int i = 0; i < allow->nr; i++) {
		const struct allow_dir *dir = &allow->dirs[i];

		if (behind(dir->given, *path) &&
		    (!best || strlen(dir->given) > strlen(best->given)))
			best = dir;
	}
	if (!best)
		return 0;
	if (asprintf(&real, "%s%s", best->real, behind(best->given, *path)) < 0)
		return -ENOMEM;
	free(*path);
	*path = real;
	return 0;
}

/* Return: its index, or -EACCES. */
static int innermost(const struct allow *allow, const char *path)
{
	const struct allow_dir *best = NULL;

	for (unsigned int i = 0; i < allow->nr; i++) {
		const struct allow_dir *dir = &allow->dirs[i];
		size_t len = strlen(dir->real);

		if (behind(dir->real, path) &&
		    (!best || len > strlen(best->real) ||
		     (len == strlen(best->real) && dir->read_only)))
			best = dir;
	}
	return best ? (int)(best - allow->dirs) : -EACCES;
}

/* "a/" is a directory or nothing. */
static bool wants_dir(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && (slash[1] == '\0' || strcmp(slash, "/.") == 0);
}

int allow_find(const struct allow *allow, const char *path, char **rest)
{
	cleanup_free char *text = NULL;
	const char *left;
	int i;

	*rest = NULL;
	if (*path == '\0')
		return -ENOENT;
	i = make_absolute(allow->cwd, path, &text);
	if (i == 0)
		i = make_real(allow, &text);
	if (i == 0)
		i = innermost(allow, text);
	if (i < 0)
		return i;
	left = text + strlen(allow->dirs[i].real);
	if (asprintf(rest, "%s%s", *left ? left + 1 : ".",
		     *left && wants_dir(path) ? "/" : "") < 0) {
		*rest = NULL;
		return -ENOMEM;
	}
	return i;
}

/* ---- opening ---- */

static int allow_refuse(struct allow *allow, const char *what, const char *path,
			struct err *err)
{
	(void)err_set(&allow->why, -EXDEV, "%s: %s", what, path);
	return err ? err_set(err, -EXDEV, "%s: %s", what, path) : -EXDEV;
}

static int open_allowed(const struct path_opener *opener,
			const struct path_want *want, struct err *err)
{
	struct allow *allow = opener->ctx;
	cleanup_free char *rest = NULL;
	int i, fd;

	if (!path_is_file(want->role) || !want->path)
		return path_say(want->role, want->path, -EACCES, "", err);
	i = allow_find(allow, want->path, &rest);
	if (i == -EACCES)
		return allow_refuse(allow, "Outside of what --allow permits",
				    want->path, err);
	if (i >= 0 && allow->dirs[i].read_only && path_writes(want->role))
		return allow_refuse(allow, "--allow permits only reading there",
				    want->path, err);
	fd = i < 0 ? i : path_open_beneath(allow->dirs[i].fd, want->role, rest);
	if (fd == -ELOOP || fd == -EXDEV)
		return allow_refuse(
			allow,
			"Outside of what --allow permits, which leaves "
			"out symbolic links",
			want->path, err);
	return fd < 0 ? path_say(want->role, want->path, fd, "", err) : fd;
}

/* ---- the directories ---- */

static int allow_add(struct allow *allow, const char *text)
{
	struct allow_dir *dir = &allow->dirs[allow->nr];
	size_t len = strlen(text);
	cleanup_free char *name = NULL, *real = NULL;
	cleanup_fd int probe = -1;
	int r;

	dir->read_only = len >= strlen(READ_ONLY) &&
			 strcmp(text + len - strlen(READ_ONLY), READ_ONLY) == 0;
	name = strndup(text, dir->read_only ? len - strlen(READ_ONLY) : len);
	if (!name)
		return -ENOMEM;
	dir->fd = path_open(&path_direct, PATH_FOLDER, name, NULL);
	if (dir->fd < 0)
		return dir->fd;
	allow->nr++;
	real = realpath(name, NULL);
	if (!real)
		return -errno;
	r = make_absolute("/", real, &dir->real);
	if (r == 0)
		r = make_absolute(allow->cwd, name, &dir->given);
	if (r == -EACCES) {
		dir->given = strdup(dir->real);
		r = dir->given ? 0 : -ENOMEM;
	}
	if (r < 0)
		return r;
	probe = path_open_beneath(dir->fd, PATH_FOLDER, ".");
	return probe < 0 ? probe : 0;
}

int allow_open(struct allow *allow, const char *const *texts, unsigned int nr,
	       struct err *err)
{
	static const struct path_ops ops = {
		.open = open_allowed,
		.no_links = true,
	};
	int r = 0;

	*allow = (struct allow){.opener = {.ops = &ops, .ctx = allow}};
	if (nr > ALLOW_MAX)
		return err_set(err, -E2BIG, "More than %d times --allow",
			       ALLOW_MAX);
	allow->cwd = realpath(".", NULL);
	if (!allow->cwd)
		return err_set(err, -errno, "--allow: no working directory: %s",
			       err_name(errno));
	for (unsigned int i = 0; i < nr && r == 0; i++) {
		r = allow_add(allow, texts[i]);
		if (r < 0)
			(void)err_set(err, r, "--allow %s: %s%s", texts[i],
				      err_name(r),
				      r == -ENOSYS ? "; it needs openat2(), "
						     "which Linux has from 5.6"
						   : "");
	}
	if (r < 0)
		allow_close(allow);
	return r;
}

void allow_close(struct allow *allow)
{
	for (unsigned int i = 0; i < allow->nr; i++) {
		fd_close(&allow->dirs[i].fd);
		free(allow->dirs[i].given);
		free(allow->dirs[i].real);
	}
	free(allow->cwd);
	allow->cwd = NULL;
	allow->nr = 0;
}
