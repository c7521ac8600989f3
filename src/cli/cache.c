// SPDX-License-Identifier: Apache-2.0
/*
 * cache.c - what is kept for this user to be made again, if need be
 */
#include "cli/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INITRDS       "initramfs"
#define INITRD_PREFIX "guest-"
#define INITRD_SUFFIX ".cpio"

int cache_path(char *path, const char *file, struct err *err)
{
	const char *own = getenv("VOLT_CACHE");
	const char *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (own && own[0])
		n = snprintf(path, PATH_MAX, "%s/%s", own, file);
	else if (xdg && xdg[0])
		n = snprintf(path, PATH_MAX, "%s/volt/%s", xdg, file);
	else if (home && home[0])
		n = snprintf(path, PATH_MAX, "%s/.cache/volt/%s", home, file);
	else
		return err_set(err, -ENOENT,
			       "Neither VOLT_CACHE nor HOME is set: there is "
			       "no cache to look into");
	if (n < 0 || n >= PATH_MAX)
		return err_set(err, -ENOENT, "The cache's path is too long");
	return 0;
}

static bool is_initrd(const char *file)
{
	size_t len = strlen(file), suffix = strlen(INITRD_SUFFIX);

	return strncmp(file, INITRD_PREFIX, strlen(INITRD_PREFIX)) == 0 &&
	       len > suffix && strcmp(file + len - suffix, INITRD_SUFFIX) == 0;
}

/* The name of the newest archive in @dir. Return: false when there is none. */
static bool find_newest(DIR *dir, char *name, size_t size)
{
	struct timespec newest = {0};
	const struct dirent *e;
	bool found = false;
	int fd = dirfd(dir);
	struct stat st;

	while (fd >= 0 && (e = readdir(dir))) {
		if (!is_initrd(e->d_name) || fstatat(fd, e->d_name, &st, 0) < 0)
			continue;
		if (found && (st.st_mtim.tv_sec < newest.tv_sec ||
			      (st.st_mtim.tv_sec == newest.tv_sec &&
			       st.st_mtim.tv_nsec <= newest.tv_nsec)))
			continue;
		newest = st.st_mtim;
		found = true;
		(void)snprintf(name, size, "%s", e->d_name);
	}
	return found;
}

int cache_find_initrd(char *path, struct err *err)
{
	char name[NAME_MAX + 1];
	bool found = false;
	size_t len;
	DIR *dir;
	int n, r = cache_path(path, INITRDS, err);

	if (r < 0)
		return r;
	dir = opendir(path);
	if (dir) {
		found = find_newest(dir, name, sizeof(name));
		(void)closedir(dir);
	}
	if (!found)
		return err_set(err, -ENOENT,
			       "The kernel has no root: give it a --disk or an "
			       "--initrd");
	len = strlen(path);
	n = snprintf(path + len, PATH_MAX - len, "/%s", name);
	if (n < 0 || (size_t)n >= PATH_MAX - len)
		return err_set(err, -ENOENT, "The cache's path is too long");
	return 0;
}
