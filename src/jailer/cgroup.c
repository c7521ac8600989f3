// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup.c - making a jail's cgroups and moving in (cgroup.h)
 */
#include "jailer/cgroup.h"

#include "base/fd.h"
#include "host/cgroup_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define TEXT_MAX 2048

/**
 * struct group - a directory of a hierarchy, on the way to the jail's
 * @path:	of it, for messages
 */
struct group {
	int fd;
	unsigned int version;
	struct buf path;
};

static void group_close(struct group *g)
{
	fd_close(&g->fd);
	buf_free(&g->path);
}

#define cleanup_group __attribute__((cleanup(group_close)))

static int cgroup_cannot_write(const struct group *g, const char *file, int rc,
			       struct err *err)
{
	return err_set(err, rc, "Failed to write to %.*s/%s: %s (os error %d)",
		       (int)g->path.len, g->path.data, file, err_name(rc), -rc);
}

static int cgroup_write_file(const struct group *g, const char *file,
			     const char *value, struct err *err)
{
	cleanup_fd int fd =
		openat(g->fd, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_free char *line = NULL;
	int r = fd < 0 ? -errno : 0;

	/* In one write: each is a command to the kernel. */
	if (r == 0 && asprintf(&line, "%s\n", value) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = fd_write_full(fd, line, strlen(line));
	return r < 0 ? cgroup_cannot_write(g, file, r, err) : 0;
}

/* A file of one line, without its end. */
static int cgroup_read_file(int at, const char *file, char text[TEXT_MAX])
{
	cleanup_fd int fd = openat(at, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);

	if (n < 0)
		return -errno;
	if (n == TEXT_MAX - 1)
		return -E2BIG;
	if (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return 0;
}

/* ---- finding and making them ---- */

static int read_mounts(struct buf *out, struct err *err)
{
	cleanup_fd int fd = open(CGROUP_MOUNTS, O_RDONLY | O_CLOEXEC);
	char text[TEXT_MAX];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		buf_add(out, text, (size_t)n);
	if (n < 0)
		return err_set(err, -errno,
			       "Failed to open file " CGROUP_MOUNTS
			       ": %s (os error %d)",
			       err_name(errno), errno);
	buf_add(out, "", 1);
	return out->failed ? err_set(err, -ENOMEM, "Out of memory") : 0;
}

static bool is_cgroup(int fd, unsigned int version)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	return version == 1 ? fs.f_type == CGROUP_SUPER_MAGIC
			    : fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* The root of a hierarchy; @controller: NULL: of version 2. */
static int open_root(struct group *g, unsigned int version,
		     const char *controller, size_t len, struct err *err)
{
	cleanup_buf struct buf mounts = {0};
	cleanup_free char *path = NULL;
	bool any;
	int r = read_mounts(&mounts, err);

	if (r < 0)
		return r;
	r = cgroup_find_mount(mounts.data, version, controller, len, &path,
			      &any);
	if (r < 0 && !any)
		return err_set(err, r,
			       "Hierarchy not found: No hierarchy found for "
			       "this cgroup version.");
	if (r == -ENOENT)
		return err_set(err, r, "Controller %.*s is unavailable",
			       (int)len, controller);
	if (r < 0)
		return err_set(err, r, "Out of memory");
	g->version = version;
	buf_add_str(&g->path, path);
	g->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->fd < 0 || g->path.failed || !is_cgroup(g->fd, version))
		return err_set(err, -ENOENT,
			       "Hierarchy not found: %s is none of version %u",
			       path, version);
	return 0;
}

static int check_controller(const struct group *g,
			    const struct cgroup_setting *s, struct err *err)
{
	char list[TEXT_MAX];

	if (cgroup_read_file(g->fd, "cgroup.controllers", list) == 0 &&
	    cgroup_lists(list, s->file, s->controller_len))
		return 0;
	return err_set(err, -ENOENT, "Controller %.*s is unavailable",
		       (int)s->controller_len, s->file);
}

/* Version 2: the directories below may use the controller. */
static int cgroup_hand_down(const struct group *g,
			    const struct cgroup_setting *s, struct err *err)
{
	char list[TEXT_MAX], word[NAME_MAX + 2];

	if (cgroup_read_file(g->fd, "cgroup.subtree_control", list) == 0 &&
	    cgroup_lists(list, s->file, s->controller_len))
		return 0;
	(void)snprintf(word, sizeof(word), "+%.*s", (int)s->controller_len,
		       s->file);
	return cgroup_write_file(g, "cgroup.subtree_control", word, err);
}

/* Version 1: a new cpuset is empty, and nobody can be in it. */
static int inherit(int parent, const struct group *g, struct err *err)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	char text[TEXT_MAX];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++) {
		if (cgroup_read_file(g->fd, files[i], text) < 0 || text[0])
			continue;
		if (cgroup_read_file(parent, files[i], text) == 0 && text[0])
			r = cgroup_write_file(g, files[i], text, err);
	}
	return r;
}

/* From @g to its child of that name; @setting: NULL: it must be there. */
static int descend(struct group *g, const char *name, size_t len,
		   const struct cgroup_setting *setting, struct err *err)
{
	char part[NAME_MAX + 1];
	cleanup_fd int parent = fd_steal(&g->fd);
	int r = 0;

	(void)snprintf(part, sizeof(part), "%.*s", (int)len, name);
	buf_addf(&g->path, "/%s", part);
	if (g->path.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	if (setting && mkdirat(parent, part, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		g->fd = openat(parent, part, OPEN_DIR);
		r = g->fd < 0 ? -errno : 0;
	}
	if (r < 0)
		return err_set(err, r,
			       "Failed to create directory %.*s: %s (os error "
			       "%d)",
			       (int)g->path.len, g->path.data, err_name(r), -r);
	return setting && g->version == 1 ? inherit(parent, g, err) : 0;
}

/* The parent's parts, one by one. */
static int descend_to_parent(struct group *g, const char *path,
			     const struct cgroup_setting *setting,
			     struct err *err)
{
	int r = 0;

	for (size_t len; *path && r == 0; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (len == 0)
			continue;
		if (setting && g->version == 2)
			r = cgroup_hand_down(g, setting, err);
		if (r == 0)
			r = descend(g, path, len, setting, err);
	}
	return r;
}

static int open_group(struct group *g, const struct cgroup_plan *plan,
		      const struct cgroup_setting *s, struct err *err)
{
	int r = open_root(g, plan->version, s->file, s->controller_len, err);

	if (r == 0 && plan->version == 2)
		r = check_controller(g, s, err);
	if (r == 0)
		r = descend_to_parent(g, plan->parent, s, err);
	if (r == 0 && plan->version == 2)
		r = cgroup_hand_down(g, s, err);
	if (r == 0)
		r = descend(g, plan->id, strlen(plan->id), s, err);
	return r;
}

/* ---- using them ---- */

static int cgroup_set_value(const struct group *g,
			    const struct cgroup_setting *s, struct err *err)
{
	char file[NAME_MAX + 1];

	(void)snprintf(file, sizeof(file), "%.*s", (int)s->file_len, s->file);
	return cgroup_write_file(g, file, s->value, err);
}

/* This process has one thread. */
static int move_in(const struct group *g, struct err *err)
{
	char pid[16];

	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	return cgroup_write_file(g, g->version == 1 ? "tasks" : "cgroup.procs",
				 pid, err);
}

/* --parent-cgroup alone: to go where somebody has made one. */
static int join_parent(const struct cgroup_plan *plan, struct err *err)
{
	cleanup_group struct group g = {.fd = -1};
	int r = open_root(&g, 2, NULL, 0, err);

	if (r < 0)
		return r;
	r = descend_to_parent(&g, plan->parent, NULL, err);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : move_in(&g, err);
}

int cgroup_enter(const struct cgroup_plan *plan, struct err *err)
{
	int r = 0;

	if (plan->nr == 0)
		return plan->join ? join_parent(plan, err) : 0;
	/* All values, then the moves: a cpuset must have both of its own. */
	for (unsigned int i = 0; i < 2 * plan->nr && r == 0; i++) {
		const struct cgroup_setting *s = &plan->setting[i % plan->nr];
		cleanup_group struct group g = {.fd = -1};

		r = open_group(&g, plan, s, err);
		if (r == 0)
			r = i < plan->nr ? cgroup_set_value(&g, s, err)
					 : move_in(&g, err);
	}
	return r;
}
