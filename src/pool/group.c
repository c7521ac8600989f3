// SPDX-License-Identifier: Apache-2.0
/*
 * group.c - into whose cgroup a leased VM goes (theory of operation: group.h)
 */
#include "pool/group.h"

#include "base/fd.h"
#include "host/cgroup_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int group_read(const char *path, struct buf *text)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0) {
		if (!buf_reserve(text, text->len + 4096))
			return -ENOMEM;
		n = read(fd, text->data + text->len, 4095);
		if (n < 0)
			return -errno;
		text->len += (size_t)n;
	}
	buf_add(text, "", 1);
	return text->failed ? -ENOMEM : 0;
}

int group_mount(char *out)
{
	cleanup_buf struct buf text = {0};
	cleanup_free char *path = NULL;
	bool any = false;
	int r = group_read(CGROUP_MOUNTS, &text);

	if (r == 0)
		r = cgroup_find_mount(text.data, 2, "", 0, &path, &any);
	if (r < 0 || !path || strlen(path) >= GROUP_PATH_MAX)
		return -ENOENT;
	(void)snprintf(out, GROUP_PATH_MAX, "%s", path);
	return 0;
}

size_t group_find(const char *text, const char **path)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > 3 && strncmp(text, "0::", 3) == 0) {
			*path = text + 3;
			return len - 3;
		}
		text += len + (text[len] == '\n');
	}
	return 0;
}

int group_of(pid_t pid, char *out)
{
	cleanup_buf struct buf text = {0};
	char file[64];
	const char *path;
	size_t len;

	(void)snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	if (group_read(file, &text) < 0)
		return -ENOENT;
	len = group_find(text.data, &path);
	if (len == 0 || len >= GROUP_PATH_MAX)
		return -ENOENT;
	(void)snprintf(out, GROUP_PATH_MAX, "%.*s", (int)len, path);
	return 0;
}

bool group_path_ok(const char *path)
{
	if (path[0] != '/')
		return false;
	for (const char *at = path; at; at = strchr(at, '/')) {
		at++;
		if (strncmp(at, "..", 2) == 0 && (!at[2] || at[2] == '/'))
			return false;
	}
	return true;
}

static int group_write(int dir, const char *file, const char *text)
{
	cleanup_fd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd_write_full(fd, text, strlen(text));
}

/* One bound; @what of them is not there when its controller is not. */
static int group_bound(int dir, const char *file, const char *text,
		       struct err *err)
{
	int r = group_write(dir, file, text);

	return r == 0 ? 0
		      : err_set(err, r,
				"Cannot set %s: %s; the lease's cgroup has to "
				"hand that controller down, and to have no "
				"process itself",
				file, err_name(r));
}

static int group_limit(int dir, const struct pool_limits *limits,
		       struct err *err)
{
	char text[64];
	int r = 0;

	if (limits->memory_mib) {
		(void)snprintf(text, sizeof(text), "%llu",
			       (unsigned long long)limits->memory_mib << 20);
		r = group_bound(dir, "memory.max", text, err);
	}
	if (r == 0 && limits->cpu) {
		(void)snprintf(text, sizeof(text), "%llu 100000",
			       limits->cpu * 1000ull);
		r = group_bound(dir, "cpu.max", text, err);
	}
	if (r == 0 && limits->pids) {
		(void)snprintf(text, sizeof(text), "%u", limits->pids);
		r = group_bound(dir, "pids.max", text, err);
	}
	return r;
}

static int group_put(int dir, const char *path, const pid_t pid[2],
		     struct err *err)
{
	char text[32];

	for (int i = 0; i < 2; i++) {
		int r;

		if (pid[i] <= 0)
			continue;
		(void)snprintf(text, sizeof(text), "%d", pid[i]);
		r = group_write(dir, "cgroup.procs", text);
		if (r < 0)
			return err_set(err, r,
				       "Cannot move the VM into the cgroup %s: "
				       "%s",
				       path, err_name(r));
	}
	return 0;
}

static int group_open(const char *mount, const char *path, uid_t uid,
		      struct err *err)
{
	char full[2 * GROUP_PATH_MAX];
	struct stat st;
	cleanup_fd int dir = -1;

	(void)snprintf(full, sizeof(full), "%s%s", mount, path);
	if (!group_path_ok(path))
		return err_set(err, -EINVAL, "%s is no path of a cgroup", path);
	dir = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_set(err, -errno, "Cannot open the cgroup %s: %s",
			       path, err_name(errno));
	if (uid != 0 && (fstat(dir, &st) < 0 || st.st_uid != uid))
		return err_set(err, -EPERM, "The cgroup %s is another user's",
			       path);
	return fd_steal(&dir);
}

/* Return: the directory of @own in @dir. */
static int group_make(int dir, const char *path, const char *own,
		      struct err *err)
{
	int fd;

	if (mkdirat(dir, own, 0755) < 0 && errno != EEXIST)
		return err_set(err, -errno, "Cannot make the cgroup %s/%s: %s",
			       path, own, err_name(errno));
	fd = openat(dir, own, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_set(err, -errno, "Cannot open the cgroup %s/%s: %s",
				path, own, err_name(errno))
		      : fd;
}

int group_enter(const char *mount, const char *path, const char *own,
		const struct pool_limits *limits, uid_t uid, const pid_t pid[2],
		struct err *err)
{
	cleanup_fd int dir = group_open(mount, path, uid, err), sub = -1;
	int r;

	if (dir < 0)
		return dir;
	if (!own)
		return group_put(dir, path, pid, err);
	sub = group_make(dir, path, own, err);
	if (sub < 0)
		return sub;
	r = group_limit(sub, limits, err);
	return r == 0 ? group_put(sub, path, pid, err) : r;
}
