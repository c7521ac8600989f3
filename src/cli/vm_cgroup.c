// SPDX-License-Identifier: Apache-2.0
/*
 * vm_cgroup.c - a VM's own cgroups (theory of operation: vm_cgroup.h)
 */
#include "cli/vm_cgroup.h"

#include "base/buf.h"
#include "base/fd.h"
#include "host/cgroup_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define TEXT_MAX 1024
#define PERIOD   100000u /* of CPU time, microseconds: the kernel's default */

/* Who ended needs a moment to be gone. */
#define REMOVE_TRIES 200
#define REMOVE_NS    10000000

#define DELEGATE                                                     \
	"; start it by `systemd-run --user --scope -p Delegate=yes " \
	"volt ...`, or have root make one that is yours, and name it by --cgroup"

enum vm_bound {
	BOUND_MEMORY,
	BOUND_CPU,
	BOUND_PIDS,
	NR_BOUNDS,
};

static const char *const controllers[NR_BOUNDS] = {
	[BOUND_MEMORY] = "memory",
	[BOUND_CPU] = "cpu",
	[BOUND_PIDS] = "pids",
};

static uint64_t wanted(const struct group_bounds *b, enum vm_bound bound)
{
	const uint64_t values[NR_BOUNDS] = {
		[BOUND_MEMORY] = b->memory_mib,
		[BOUND_CPU] = b->cpu,
		[BOUND_PIDS] = b->pids,
	};

	return values[bound];
}

/* ---- files ---- */

static int vm_cgroup_write_file(int at, const char *file, const char *value)
{
	cleanup_fd int fd = openat(at, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_full(fd, value, strlen(value));
}

static int write_number(int at, const char *file, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return vm_cgroup_write_file(at, file, text);
}

/* @text is terminated. Return: 0 or -errno. */
static int vm_cgroup_read_file(int at, const char *file,
			       char text[static TEXT_MAX])
{
	cleanup_fd int fd = openat(at, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);

	text[n > 0 ? n : 0] = '\0';
	return n < 0 ? -errno : 0;
}

static bool vm_cgroup_lists(int at, const char *file, const char *word)
{
	char text[TEXT_MAX];

	return vm_cgroup_read_file(at, file, text) == 0 &&
	       cgroup_lists(text, word, strlen(word));
}

/* ---- finding ---- */

static int open_parent(struct vm_group *g, const char *mount, const char *path,
		       size_t len)
{
	if (snprintf(g->path, sizeof(g->path), "%s%s%.*s", mount,
		     len > 0 && *path != '/' ? "/" : "", (int)len,
		     path) >= PATH_MAX)
		return -ENAMETOOLONG;
	g->parent = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return g->parent < 0 ? -errno : 0;
}

/**
 * struct places - what the kernel says of hierarchies, and of this process
 */
struct places {
	struct buf mounts;
	struct buf own;
};

static void free_places(struct places *p)
{
	buf_free(&p->mounts);
	buf_free(&p->own);
}

#define cleanup_places __attribute__((cleanup(free_places)))

static int vm_cgroup_read_whole(struct buf *out, const char *path,
				struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[TEXT_MAX];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		buf_add(out, text, (size_t)n);
	if (n < 0)
		return err_set(err, -errno, "Cannot read %s: %s", path,
			       err_name(errno));
	buf_add(out, "", 1);
	return out->failed ? err_set(err, -ENOMEM, "Out of memory") : 0;
}

/* The directory of that version in which the group for @controller will be. */
static int find_parent(struct vm_group *g, const struct places *p,
		       unsigned int version, const char *controller,
		       const struct group_bounds *b)
{
	cleanup_free char *mount = NULL;
	const char *path = b->parent;
	bool any;
	size_t len;
	int r = cgroup_find_mount(p->mounts.data, version, controller,
				  strlen(controller), &mount, &any);

	if (r < 0)
		return r;
	g->version = version;
	len = path ? strlen(path)
		   : vm_cgroup_own(p->own.data,
				   version == 1 ? controller : NULL, &path);
	r = open_parent(g, mount, path, len);
	/* In a container the mount may be where the process is. */
	if (r == -ENOENT && !b->parent)
		r = open_parent(g, mount, "", 0);
	return r;
}

/* Version 2 has the controller only if somebody handed it down. */
static int find_group(struct vm_group *g, const struct places *p,
		      enum vm_bound bound, const struct group_bounds *b,
		      struct err *err)
{
	const char *controller = controllers[bound];
	int r = find_parent(g, p, 1, controller, b);

	if (r == -ENOENT && g->version == 0) {
		r = find_parent(g, p, 2, controller, b);
		if (r == 0 && !vm_cgroup_lists(g->parent, "cgroup.controllers",
					       controller))
			return err_set(err, -ENOTSUP,
				       "The cgroup %s has no %s controller" //
				       DELEGATE,
				       g->path, controller);
	}
	if (r == -ENOENT && g->version == 0)
		return err_set(err, r,
			       "This host has no cgroups with a %s controller",
			       controller);
	return r < 0 ? err_set(err, r, "Cannot open the cgroup %s: %s", g->path,
			       err_name(r))
		     : 0;
}

/* ---- making ---- */

static int make_dir(int parent, const char *name)
{
	if (mkdirat(parent, name, 0755) == 0)
		return 0;
	/* An empty one is a dead VM's. */
	if (errno != EEXIST || unlinkat(parent, name, AT_REMOVEDIR) < 0)
		return -errno;
	return mkdirat(parent, name, 0755) < 0 ? -errno : 0;
}

static int make_group(struct vm_group *g, const char *name, struct err *err)
{
	int r = make_dir(g->parent, name);

	if (r == -EACCES || r == -EPERM || r == -EROFS)
		return err_set(err, r,
			       "No cgroup is delegated to you: %s, where this "
			       "process is, is not yours" DELEGATE,
			       g->path);
	if (r == -EBUSY)
		return err_set(err, r, "The cgroup %s/%s is in use", g->path,
			       name);
	if (r == 0) {
		g->fd = openat(g->parent, name, OPEN_DIR);
		r = g->fd < 0 ? -errno : 0;
	}
	return r < 0 ? err_set(err, r, "Cannot make the cgroup %s/%s: %s",
			       g->path, name, err_name(r))
		     : 0;
}

/* Is there one in that directory already? */
static struct vm_group *same_place(struct vm_cgroup *cg, const char *path)
{
	for (unsigned int i = 0; i < cg->nr; i++)
		if (strcmp(cg->group[i].path, path) == 0)
			return &cg->group[i];
	return NULL;
}

static int add_bound(struct vm_cgroup *cg, const struct places *p,
		     enum vm_bound bound, const struct group_bounds *b,
		     struct err *err)
{
	struct vm_group *g = &cg->group[cg->nr], *same;
	int r;

	*g = (struct vm_group){.parent = -1, .fd = -1};
	r = find_group(g, p, bound, b, err);
	same = r == 0 ? same_place(cg, g->path) : NULL;
	if (r < 0 || same) {
		fd_close(&g->parent);
		if (same)
			same->set |= 1u << bound;
		return r;
	}
	g->set = 1u << bound;
	cg->nr++;
	return make_group(g, cg->name, err);
}

int vm_cgroup_make(struct vm_cgroup *cg, const struct group_bounds *bounds,
		   const char *name, struct err *err)
{
	cleanup_places struct places places = {0};
	int r = 0;

	cg->nr = 0;
	(void)snprintf(cg->name, sizeof(cg->name), "volt-%.64s", name);
	(void)snprintf(cg->keeper, sizeof(cg->keeper), "%s-keeper", cg->name);
	for (enum vm_bound i = 0; i < NR_BOUNDS && r == 0; i++) {
		if (wanted(bounds, i) == 0)
			continue;
		if (!places.mounts.data)
			r = vm_cgroup_read_whole(&places.mounts, CGROUP_MOUNTS,
						 err);
		if (r == 0 && !places.own.data)
			r = vm_cgroup_read_whole(&places.own,
						 "/proc/self/cgroup", err);
		if (r == 0)
			r = add_bound(cg, &places, i, bounds, err);
	}
	return r;
}

/* ---- going in ---- */

/* This process has one thread, and the keeper, too. */
static int move(int group, pid_t pid)
{
	return write_number(group, "cgroup.procs", (uint64_t)pid);
}

/* What the group of version 2 needs and its parent does not hand down. */
static int vm_cgroup_hand_down(const struct vm_group *g)
{
	int r = 0;

	for (enum vm_bound i = 0; i < NR_BOUNDS && r == 0; i++) {
		char word[16];

		if (!(g->set & 1u << i) ||
		    vm_cgroup_lists(g->parent, "cgroup.subtree_control",
				    controllers[i]))
			continue;
		(void)snprintf(word, sizeof(word), "+%s", controllers[i]);
		r = vm_cgroup_write_file(g->parent, "cgroup.subtree_control",
					 word);
	}
	return r;
}

/* Both processes leave the parent, so that it can hand controllers down. */
static int leave_parent(const struct vm_cgroup *cg, const struct vm_group *g,
			pid_t keeper)
{
	cleanup_fd int fd = -1;
	int r = make_dir(g->parent, cg->keeper);

	if (r < 0)
		return r;
	fd = openat(g->parent, cg->keeper, OPEN_DIR);
	r = fd < 0 ? -errno : move(fd, keeper);
	return r < 0 ? r : move(g->fd, getpid());
}

static int vm_cgroup_prepare(const struct vm_cgroup *cg,
			     const struct vm_group *g, pid_t keeper,
			     struct err *err)
{
	int r = vm_cgroup_hand_down(g);

	if (r == -EBUSY) {
		r = leave_parent(cg, g, keeper);
		if (r == 0)
			r = vm_cgroup_hand_down(g);
	}
	if (r == -EBUSY)
		return err_set(err, r,
			       "The cgroup %s has other processes in it: it "
			       "cannot bound a part of itself" DELEGATE,
			       g->path);
	return r < 0 ? err_set(err, r,
			       "The cgroup %s hands no controllers down: "
			       "%s" DELEGATE,
			       g->path, err_name(r))
		     : 0;
}

static int vm_cgroup_set_memory(const struct vm_group *g, uint64_t mib)
{
	if (g->version == 1)
		return write_number(g->fd, "memory.limit_in_bytes", MIB(mib));
	/* Both halves of a VM end together; not every kernel can. */
	(void)vm_cgroup_write_file(g->fd, "memory.oom.group", "1");
	return write_number(g->fd, "memory.max", MIB(mib));
}

static int set_cpu(const struct vm_group *g, uint64_t percent)
{
	uint64_t quota = percent * (PERIOD / 100);
	char text[48];
	int r;

	if (g->version == 1) {
		r = write_number(g->fd, "cpu.cfs_period_us", PERIOD);
		return r < 0 ? r
			     : write_number(g->fd, "cpu.cfs_quota_us", quota);
	}
	(void)snprintf(text, sizeof(text), "%llu %u", (unsigned long long)quota,
		       PERIOD);
	return vm_cgroup_write_file(g->fd, "cpu.max", text);
}

static int set_bound(const struct vm_group *g, enum vm_bound bound,
		     uint64_t value, struct err *err)
{
	int r = -EINVAL;

	switch (bound) {
	case BOUND_MEMORY:
		r = vm_cgroup_set_memory(g, value);
		break;
	case BOUND_CPU:
		r = set_cpu(g, value);
		break;
	case BOUND_PIDS:
		r = write_number(g->fd, "pids.max", value);
		break;
	case NR_BOUNDS:
		break;
	}
	return r < 0 ? err_set(err, r, "Cannot bound %s in the cgroup %s: %s",
			       controllers[bound], g->path, err_name(r))
		     : 0;
}

static int cli_vm_cgroup_enter(const struct vm_cgroup *cg,
			       const struct vm_group *g,
			       const struct group_bounds *b, pid_t keeper,
			       struct err *err)
{
	int r = g->version == 2 ? vm_cgroup_prepare(cg, g, keeper, err) : 0;

	for (enum vm_bound i = 0; i < NR_BOUNDS && r == 0; i++)
		if (g->set & 1u << i)
			r = set_bound(g, i, wanted(b, i), err);
	if (r < 0)
		return r;
	r = move(g->fd, getpid());
	if (r == -EACCES || r == -EPERM)
		return err_set(err, r,
			       "This process may not go from its cgroup into "
			       "%s: what both are in is not yours" DELEGATE,
			       g->path);
	return r < 0 ? err_set(err, r, "Cannot go into the cgroup %s/%s: %s",
			       g->path, cg->name, err_name(r))
		     : 0;
}

int vm_cgroup_enter(const struct vm_cgroup *cg,
		    const struct group_bounds *bounds, pid_t keeper,
		    struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < cg->nr && r == 0; i++)
		r = cli_vm_cgroup_enter(cg, &cg->group[i], bounds, keeper, err);
	return r;
}

/* ---- removing ---- */

static void remove_dir(int parent, const char *name)
{
	const struct timespec wait = {.tv_nsec = REMOVE_NS};

	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			return;
		(void)nanosleep(&wait, NULL);
	}
}

/* Back to where it was, which takes that nothing is handed down any more: not
 * if somebody else lives by that. */
static void return_home(const struct vm_cgroup *cg, const struct vm_group *g)
{
	char word[16];
	struct stat st;

	if (faccessat(g->parent, cg->keeper, F_OK, 0) < 0 ||
	    fstat(g->parent, &st) < 0 || st.st_nlink > 3)
		return;
	for (enum vm_bound i = 0; i < NR_BOUNDS; i++) {
		(void)snprintf(word, sizeof(word), "-%s", controllers[i]);
		(void)vm_cgroup_write_file(g->parent, "cgroup.subtree_control",
					   word);
	}
	(void)move(g->parent, getpid());
	remove_dir(g->parent, cg->keeper);
}

void vm_cgroup_remove(struct vm_cgroup *cg)
{
	for (unsigned int i = 0; i < cg->nr; i++) {
		struct vm_group *g = &cg->group[i];

		if (g->fd >= 0)
			remove_dir(g->parent, cg->name);
		if (g->version == 2)
			return_home(cg, g);
		fd_close(&g->fd);
		fd_close(&g->parent);
	}
	cg->nr = 0;
}
