// SPDX-License-Identifier: Apache-2.0
/*
 * chain.c - the image of a snapshot (theory of operation: chain.h)
 */
#include "snapshot/chain.h"

#include "base/fd.h"
#include "image/packed.h"
#include "snapshot/base.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of one directory: more are not looked at. */
#define NEAR_MAX 65536u
/* So many of those that may be bases stay open: a chain of them is not opened
 * again. */
#define NEAR_OPEN_MAX 128u

/**
 * struct near - a snapshot beside ours
 * @memory:	the path of its memory; owned. Its state's is made of it
 * @file:	its memory; by its state where no label counts (@asked)
 * @fd:		@file, open; -1: to be opened again
 * @failed:	what its state says that it holds, and it is not right
 * @taken:	it is part of the chain
 */
struct near {
	char *memory;
	struct base_file file;
	int fd;
	uint64_t failed;
	bool asked;
	bool taken;
};

/**
 * struct chain - one that is being put together
 * @dir:	where bases lie; owned
 * @own:	the name of the snapshot itself there; owned, or NULL
 * @want:	what comes next; @want.moment is 0: nothing
 * @above:	the file that needs it, for sentences
 * @why:	what is wrong with a base that was found
 */
struct chain {
	const struct path_opener *opener;
	struct image *image;
	char *dir;
	char *own;
	bool in_dirs;
	struct base_wanted want;
	struct near *near;
	size_t nr;
	size_t room;
	unsigned int nr_open;
	const char *above;
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

/* Not of a path that ends in a slash: then nothing is left out. */
static char *chain_last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strdup(slash ? slash + 1 : path);
}

static int chain_where(struct chain *c, const struct snapshot_paths *paths)
{
	cleanup_free char *dir = snapshot_parent(paths->memory);

	c->in_dirs = snapshot_paths_are_in_dir(paths);
	if (!dir)
		return -ENOMEM;
	c->own = chain_last_name(c->in_dirs ? dir : paths->memory);
	c->dir = c->in_dirs ? chain_above(dir) : ptr_steal(dir);
	return c->dir ? 0 : -ENOMEM;
}

/* The memory of one that lies there. Return: a descriptor or -errno. */
static int chain_open(const struct chain *c, const struct near *near)
{
	return path_open(c->opener, PATH_MEMORY, near->memory, NULL);
}

/* What the file itself tells. Only a label that counts says its moment. */
static void chain_look(const struct chain *c, int fd, struct base_file *file)
{
	struct snapshot_label label;
	struct stat st;

	*file = (struct base_file){0};
	if (fd_stat(fd, &st) < 0)
		return;
	file->size = packed_memory_bytes(fd, st.st_size);
	file->owner = st.st_uid;
	if (!S_ISREG(st.st_mode) || file->size != c->image->size ||
	    snapshot_label_of(fd, &st, &label) != LABEL_SURE)
		return;
	file->moment = label.moment;
	file->needs = label.base;
	file->known = true;
}

/* This process may not have so many open: none is kept from now on. Return: it
 * had some. */
static bool chain_let_go(struct chain *c)
{
	bool any = false;

	for (size_t i = 0; i < c->nr; i++) {
		any |= c->near[i].fd >= 0;
		fd_close(&c->near[i].fd);
	}
	c->nr_open = NEAR_OPEN_MAX;
	return any;
}

static int chain_name(const struct chain *c, struct near *near,
		      const char *name)
{
	if (asprintf(&near->memory, "%s/%s%s", c->dir, name,
		     c->in_dirs ? "/" SNAPSHOT_MEMORY_NAME : "") >= 0)
		return 0;
	near->memory = NULL;
	return -ENOMEM;
}

/* Whatever has the size of the image, or a state, is kept. */
static int chain_note(struct chain *c, const char *name)
{
	struct near near = {.fd = -1};
	struct near *more;
	cleanup_fd int fd = -1;
	int r = chain_name(c, &near, name);

	if (r < 0)
		return r;
	fd = chain_open(c, &near);
	if (fd == -EMFILE && chain_let_go(c))
		fd = chain_open(c, &near);
	if (fd >= 0)
		chain_look(c, fd, &near.file);
	if (fd < 0 || (near.file.moment == 0 && !c->in_dirs)) {
		free(near.memory);
		return 0;
	}
	if (c->nr == c->room) {
		size_t room = c->room ? 2 * c->room : 32;

		more = reallocarray(c->near, room, sizeof(*more));
		if (!more) {
			free(near.memory);
			return -ENOMEM;
		}
		c->near = more;
		c->room = room;
	}
	if (near.file.moment != 0 && c->nr_open < NEAR_OPEN_MAX) {
		near.fd = fd_steal(&fd);
		c->nr_open++;
	}
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
		if (entry->d_name[0] != '.' &&
		    !(c->own && strcmp(entry->d_name, c->own) == 0))
			r = chain_note(c, entry->d_name);
	(void)closedir(dir);
	return r;
}

/* ---- which of them is the base ---- */

static bool chain_has(const struct chain *c, uint64_t moment)
{
	for (size_t i = 0; i < c->nr; i++)
		if (c->near[i].file.moment == moment)
			return true;
	return false;
}

static struct near *chain_find(struct chain *c)
{
	struct near *found = NULL;
	unsigned int best = 0;

	for (size_t i = 0; i < c->nr; i++) {
		const struct base_file *file = &c->near[i].file;
		unsigned int rank;

		if (base_fit(file, &c->want) != BASE_FITS)
			continue;
		rank = base_rank(file, chain_has(c, file->needs));
		if (rank > best) {
			best = rank;
			found = &c->near[i];
		}
	}
	return found;
}

/* By its state, and the proof in that. What is wrong with the very one that is
 * needed is remembered. @fd: gets its memory, or NULL. Return: 0 or -ENOMEM. */
static int chain_ask(struct chain *c, struct near *near, int *fd)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot_identity who = {0};
	struct err err = {0};
	cleanup_free char *dir = snapshot_parent(near->memory);
	struct snapshot_paths paths = {0};
	struct stat st = {0};
	int r = dir && s ? snapshot_paths_in(&paths, dir) : -ENOMEM;

	near->asked = true;
	paths.opener = c->opener;
	if (r == 0)
		r = snapshot_find(&reader, &paths, true, s, &err);
	snapshot_paths_free(&paths);
	if (reader.stage >= SNAPSHOT_STATE_RIGHT)
		snapshot_identity_of(s, &who);
	near->file = (struct base_file){0};
	if (r == 0 && fd_stat(reader.memory_fd, &st) < 0)
		r = -errno;
	if (r == 0) {
		near->file.known = true;
		near->file.size = (uint64_t)st.st_size;
		near->file.owner = st.st_uid;
		near->file.moment = who.label.moment;
		near->file.needs =
			reader.held == MEMORY_WHOLE ? 0 : who.label.base;
		if (fd)
			*fd = fd_steal(&reader.memory_fd);
	} else if (reader.stage >= SNAPSHOT_STATE_RIGHT) {
		near->failed = who.label.moment;
		if (near->failed == c->want.moment)
			c->why = err;
	}
	snapshot_reader_end(&reader);
	free(s);
	return r == -ENOMEM ? r : 0;
}

/* Once, but for what failed and is needed now: why is to be said. */
static int chain_ask_all(struct chain *c)
{
	int r = 0;

	for (size_t i = 0; i < c->nr && r == 0; i++)
		if (c->near[i].file.moment == 0 &&
		    (!c->near[i].asked || c->near[i].failed == c->want.moment))
			r = chain_ask(c, &c->near[i], NULL);
	return r;
}

/* One that holds the right moment, but cannot be taken. */
static int chain_unfit(const struct chain *c, const struct near *near,
		       enum base_fit fit, struct err *err)
{
	if (fit == BASE_STRANGE)
		return err_set(err, -EACCES,
			       "%s holds only what changed since snapshot "
			       "%016llx, and %s belongs to another user: copy "
			       "it",
			       c->above, (unsigned long long)c->want.moment,
			       near->memory);
	return err_set(err, -EINVAL, "%s holds %llu bytes of memory, not %llu",
		       near->memory, (unsigned long long)near->file.size,
		       (unsigned long long)c->want.size);
}

static int chain_missing(const struct chain *c, struct err *err)
{
	for (size_t i = 0; i < c->nr; i++) {
		enum base_fit fit = base_fit(&c->near[i].file, &c->want);

		if (fit != BASE_OTHER)
			return chain_unfit(c, &c->near[i], fit, err);
	}
	if (c->why.rc != 0)
		return err_set(err, -EINVAL,
			       "%s holds only what changed since snapshot "
			       "%016llx, and that is not as it was: %.200s",
			       c->above, (unsigned long long)c->want.moment,
			       err_for_person(&c->why));
	return err_set(err, -EINVAL,
		       "%s holds only what changed since snapshot %016llx, "
		       "which is not in %s: put it there, or merge the two "
		       "(volt snapshot merge)",
		       c->above, (unsigned long long)c->want.moment, c->dir);
}

/* What it was known by when it was found. Return: a descriptor or -errno. */
static int chain_open_again(struct chain *c, struct near *near)
{
	const struct base_file was = near->file;
	int fd = fd_steal(&near->fd);
	int r = 0;

	if (fd >= 0)
		return fd;
	if (near->asked)
		r = chain_ask(c, near, &fd);
	else
		fd = chain_open(c, near);
	if (r == 0 && fd < 0)
		r = near->asked ? -ESTALE : fd;
	if (r == 0 && !near->asked)
		chain_look(c, fd, &near->file);
	if (r == 0 && (near->file.needs != was.needs ||
		       base_fit(&near->file, &c->want) != BASE_FITS))
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
			       c->above, (unsigned long long)c->want.moment);
	fd = chain_open_again(c, near);
	if (fd == -ESTALE)
		return err_set(err, fd, "%s was changed while it was read",
			       near->memory);
	if (fd < 0)
		return err_set(err, fd, "Cannot open %s: %s", near->memory,
			       err_name(fd));
	r = image_add(c->image, &fd, near->memory, err);
	near->taken = true;
	c->above = near->memory;
	c->want.moment = near->file.needs;
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
	if (r == -EACCES && c->opener != &path_direct)
		return err_set(err, r,
			       "%s holds only what changed since snapshot "
			       "%016llx, and a VMM that was locked first "
			       "(--sandbox-first) opens what a request or a "
			       "state names, which the base is not: make the "
			       "snapshot whole first (volt snapshot squash)",
			       c->above, (unsigned long long)c->want.moment);
	if (r < 0)
		return err_set(err, r,
			       "%s holds only what changed since snapshot "
			       "%016llx, and %s cannot be looked into for that "
			       "(%s): merge the two first (volt snapshot "
			       "merge)",
			       c->above, (unsigned long long)c->want.moment,
			       c->dir ? c->dir : "its directory", err_name(r));
	while (r == 0 && c->want.moment != 0)
		r = chain_next(c, err);
	return r;
}

static void chain_free(struct chain *c)
{
	for (size_t i = 0; i < c->nr; i++) {
		free(c->near[i].memory);
		fd_close(&c->near[i].fd);
	}
	free(c->near);
	free(c->dir);
	free(c->own);
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

	assert(s);
	snapshot_identity_of(s, &who);
	image_init(image, s->memory_bytes, paths->unpack);
	if (fd_stat(reader->memory_fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s",
			       reader->memory_path, err_name(errno));
	c.want.owner = st.st_uid;
	c.want.size = s->memory_bytes;
	if (reader->held == MEMORY_PART)
		c.want.moment = who.label.base;
	r = image_add(image, &reader->memory_fd, reader->memory_path, err);
	if (r == 0 && c.want.moment != 0)
		r = chain_build(&c, paths, err);
	if (r == 0)
		r = image_finish(image, true, err);
	chain_free(&c);
	return r;
}

int snapshot_image_at(const struct snapshot_paths *paths, struct image *image,
		      uint64_t *moment, struct err *err)
{
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot *s = calloc(1, sizeof(*s));
	struct snapshot_identity who;
	int r = s ? snapshot_find(&reader, paths, true, s, err)
		  : chain_no_memory(err);

	if (r == 0)
		r = snapshot_chain_image(paths, &reader, s, image, err);
	if (r == 0) {
		snapshot_identity_of(s, &who);
		*moment = who.label.moment;
	}
	snapshot_reader_end(&reader);
	free(s);
	return r;
}
