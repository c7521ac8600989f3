// SPDX-License-Identifier: Apache-2.0
/*
 * chain.c - the image of a snapshot (theory of operation: chain.h)
 */
#include "snapshot/chain.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of one directory: more are not looked at. */
#define NEAR_MAX 65536u

/**
 * struct near - a snapshot beside ours
 * @paths:	state is NULL of a file that lies there without one
 * @label:	of its memory; zero: not known
 * @asked:	its state was read
 * @taken:	it is part of the chain
 * @strange:	it is another user's
 */
struct near {
	struct snapshot_paths paths;
	struct snapshot_label label;
	bool asked;
	bool taken;
	bool strange;
};

/**
 * struct chain - one that is being put together
 * @dir:	where bases lie; owned
 * @owner:	of the snapshot itself
 * @above:	the file that needs @need, for sentences
 * @need:	the moment that comes next; 0: none
 * @why:	what is wrong with a base that was found
 */
struct chain {
	const struct path_opener *opener;
	struct image *image;
	char *dir;
	bool in_dirs;
	uid_t owner;
	struct near *near;
	size_t nr;
	const char *above;
	uint64_t need;
	struct err why;
};

static int chain_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

/* ---- who lies beside ---- */

/* The directory that @dir is in; "." and ".." have no name to leave out. */
static char *chain_above(const char *dir)
{
	size_t len = strlen(dir);
	char *up = NULL;

	if ((len == 1 && dir[0] == '.') ||
	    (len >= 2 && strcmp(dir + len - 2, "/.") == 0) ||
	    (len >= 2 && strcmp(dir + len - 2, "..") == 0))
		return asprintf(&up, "%s/..", dir) < 0 ? NULL : up;
	return snapshot_parent(dir);
}

static bool chain_is_named(const char *path, const char *name)
{
	size_t len = strlen(path), n = strlen(name);

	return len >= n && strcmp(path + len - n, name) == 0 &&
	       (len == n || path[len - n - 1] == '/');
}

static int chain_where(struct chain *c, const struct snapshot_paths *paths)
{
	cleanup_free char *dir = snapshot_parent(paths->memory);

	c->in_dirs = chain_is_named(paths->state, SNAPSHOT_STATE_NAME) &&
		     chain_is_named(paths->memory, SNAPSHOT_MEMORY_NAME);
	if (!dir)
		return -ENOMEM;
	c->dir = c->in_dirs ? chain_above(dir) : ptr_steal(dir);
	return c->dir ? 0 : -ENOMEM;
}

/* The memory of one that lies there. Return: a descriptor or -errno. */
static int chain_open(const struct chain *c, const struct near *near)
{
	return path_open(c->opener, PATH_MEMORY, near->paths.memory, NULL);
}

static bool chain_fits(const struct chain *c, int fd)
{
	struct stat st;

	return fd_stat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == c->image->size;
}

/* Whoever can write into the directory could put a base there. */
static bool chain_is_strange(const struct chain *c, int fd)
{
	struct stat st;

	return fd_stat(fd, &st) < 0 ||
	       (st.st_uid != c->owner && st.st_uid != geteuid() &&
		st.st_uid != 0);
}

static int chain_name(const struct chain *c, struct near *near,
		      const char *name)
{
	cleanup_free char *dir = NULL;

	if (asprintf(&dir, "%s/%s", c->dir, name) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	if (c->in_dirs)
		return snapshot_paths_in(&near->paths, dir);
	near->paths.memory = ptr_steal(dir);
	return 0;
}

/* Whatever has the size of the image, or a state, is kept. */
static int chain_note(struct chain *c, const char *name)
{
	struct near near = {0};
	struct near *more;
	cleanup_fd int fd = -1;
	int r = chain_name(c, &near, name);

	if (r < 0)
		return r;
	near.paths.opener = c->opener;
	fd = chain_open(c, &near);
	if (fd >= 0 && chain_fits(c, fd) &&
	    snapshot_label_get(fd, &near.label) != LABEL_SURE)
		near.label = (struct snapshot_label){0};
	near.strange = fd >= 0 && chain_is_strange(c, fd);
	if (fd < 0 || (near.label.moment == 0 && !c->in_dirs)) {
		snapshot_paths_free(&near.paths);
		return 0;
	}
	more = reallocarray(c->near, c->nr + 1, sizeof(*more));
	if (!more) {
		snapshot_paths_free(&near.paths);
		return -ENOMEM;
	}
	c->near = more;
	c->near[c->nr++] = near;
	return 0;
}

static int chain_scan(struct chain *c)
{
	int fd = path_open(c->opener, PATH_PLACE, c->dir, NULL);
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return -ENOMEM;
	}
	while (r == 0 && c->nr < NEAR_MAX && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = chain_note(c, entry->d_name);
	(void)closedir(dir);
	return r;
}

/* ---- which of them is the base ---- */

static bool chain_has(const struct chain *c, uint64_t moment)
{
	for (size_t i = 0; i < c->nr; i++)
		if (c->near[i].label.moment == moment)
			return true;
	return false;
}

/* One that is whole, if there is one; else one whose base is there. */
static struct near *chain_find(struct chain *c)
{
	struct near *found = NULL;

	for (size_t i = 0; i < c->nr; i++) {
		struct near *near = &c->near[i];

		if (near->label.moment != c->need || near->strange)
			continue;
		if (near->label.base == 0)
			return near;
		if (!found || !chain_has(c, found->label.base))
			found = near;
	}
	return found;
}

/* By its state, and the proof in that. What is wrong with the very one that is
 * needed is remembered. @fd: gets its memory, or NULL. Return: 0 or -ENOMEM. */
static int chain_ask(struct chain *c, struct near *near, int *fd)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot_identity who;
	struct err err = {0};
	int r;

	near->asked = true;
	if (!s)
		return -ENOMEM;
	r = snapshot_find(&reader, &near->paths, true, s, &err);
	if (reader.stage >= SNAPSHOT_STATE_RIGHT)
		snapshot_identity_of(s, &who);
	near->label = (struct snapshot_label){0};
	if (r == 0) {
		near->label = who.label;
		if (reader.held == MEMORY_WHOLE)
			near->label.base = 0;
		if (fd)
			*fd = fd_steal(&reader.memory_fd);
	} else if (reader.stage >= SNAPSHOT_STATE_RIGHT &&
		   who.label.moment == c->need) {
		c->why = err;
	}
	snapshot_reader_end(&reader);
	free(s);
	return r == -ENOMEM ? r : 0;
}

static int chain_ask_all(struct chain *c)
{
	int r = 0;

	for (size_t i = 0; i < c->nr && r == 0; i++)
		if (c->near[i].label.moment == 0 && !c->near[i].asked)
			r = chain_ask(c, &c->near[i], NULL);
	return r;
}

static int chain_missing(const struct chain *c, struct err *err)
{
	for (size_t i = 0; i < c->nr; i++)
		if (c->near[i].label.moment == c->need)
			return err_set(err, -EACCES,
				       "%s holds only what changed since "
				       "snapshot %016llx, and %s belongs to "
				       "another user: copy it",
				       c->above, (unsigned long long)c->need,
				       c->near[i].paths.memory);
	if (c->why.rc != 0)
		return err_set(err, -EINVAL,
			       "%s holds only what changed since snapshot "
			       "%016llx, and that is not as it was: %.200s",
			       c->above, (unsigned long long)c->need,
			       err_for_person(&c->why));
	return err_set(err, -EINVAL,
		       "%s holds only what changed since snapshot %016llx, "
		       "which is not in %s: put it there, or merge the two "
		       "(volt snapshot merge)",
		       c->above, (unsigned long long)c->need, c->dir);
}

/* What it was known by when it was found. Return: a descriptor or -errno. */
static int chain_open_again(struct chain *c, struct near *near)
{
	const struct snapshot_label was = near->label;
	struct snapshot_label label;
	int fd = -1;
	int r;

	if (near->asked) {
		r = chain_ask(c, near, &fd);
		label = near->label;
	} else {
		fd = chain_open(c, near);
		r = fd < 0 ? fd : 0;
		if (fd >= 0 && snapshot_label_get(fd, &label) != LABEL_SURE)
			r = -ESTALE;
	}
	if (r == 0 &&
	    (fd < 0 || label.moment != was.moment || label.base != was.base))
		r = -ESTALE;
	if (r == 0 && chain_is_strange(c, fd))
		r = -ESTALE;
	if (r < 0)
		fd_close(&fd);
	return r < 0 ? r : fd;
}

static int chain_take(struct chain *c, struct near *near, struct err *err)
{
	cleanup_fd int fd = -1;
	int r;

	if (near->taken)
		return err_set(err, -EINVAL,
			       "%s differs from snapshot %016llx, which "
			       "differs from it again: a circle",
			       c->above, (unsigned long long)c->need);
	fd = chain_open_again(c, near);
	if (fd == -ESTALE)
		return err_set(err, fd, "%s was changed while it was read",
			       near->paths.memory);
	if (fd < 0)
		return err_set(err, fd, "Cannot open %s: %s",
			       near->paths.memory, err_name(fd));
	r = image_add(c->image, &fd, near->paths.memory, err);
	near->taken = true;
	c->above = near->paths.memory;
	c->need = near->label.base;
	return r;
}

static int chain_next(struct chain *c, struct err *err)
{
	struct near *near = chain_find(c);

	if (!near) {
		if (chain_ask_all(c) < 0)
			return chain_no_memory(err);
		near = chain_find(c);
	}
	return near ? chain_take(c, near, err) : chain_missing(c, err);
}

static int chain_build(struct chain *c, const struct snapshot_paths *paths,
		       struct err *err)
{
	int r = chain_where(c, paths);

	if (r == 0)
		r = chain_scan(c);
	if (r < 0)
		return err_set(err, r,
			       "%s holds only what changed since snapshot "
			       "%016llx, and %s cannot be looked into for that "
			       "(%s%s): merge the two first (volt snapshot "
			       "merge)",
			       c->above, (unsigned long long)c->need,
			       c->dir ? c->dir : "its directory", err_name(r),
			       r == -EACCES ? ", or the VMM was locked first"
					    : "");
	while (r == 0 && c->need != 0)
		r = chain_next(c, err);
	return r;
}

static void chain_free(struct chain *c)
{
	for (size_t i = 0; i < c->nr; i++)
		snapshot_paths_free(&c->near[i].paths);
	free(c->near);
	free(c->dir);
}

int snapshot_chain_image(const struct snapshot_paths *paths,
			 struct snapshot_reader *reader,
			 const struct snapshot *s, struct image *image,
			 struct err *err)
{
	struct snapshot_identity who;
	struct chain c = {
		.opener = snapshot_opener(paths),
		.image = image,
		.above = reader->memory_path,
	};
	struct stat st;
	int r;

	snapshot_identity_of(s, &who);
	image_init(image, s->memory_bytes);
	if (fd_stat(reader->memory_fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s",
			       reader->memory_path, err_name(errno));
	c.owner = st.st_uid;
	if (reader->held == MEMORY_PART)
		c.need = who.label.base;
	r = image_add(image, &reader->memory_fd, reader->memory_path, err);
	if (r == 0 && c.need != 0)
		r = chain_build(&c, paths, err);
	if (r == 0)
		r = image_finish(image, true, err);
	chain_free(&c);
	return r;
}
