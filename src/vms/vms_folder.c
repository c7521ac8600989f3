// SPDX-License-Identifier: Apache-2.0
/*
 * vms_folder.c - the folder of all VMs (vms_folder.h)
 */
#include "vms/vms_folder.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_OF_ROOT "/var/lib/volt/vms"

static char *vms_folder_below(const char *base, const char *below)
{
	char *path;

	return asprintf(&path, "%s%s", base, below) < 0 ? NULL : path;
}

char *vms_folder_path(void)
{
	const char *one = getenv("VOLT_STATE"), *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (one && one[0] == '/')
		return strdup(one);
	if (geteuid() == 0)
		return strdup(FOLDER_OF_ROOT);
	if (xdg && xdg[0] == '/')
		return vms_folder_below(xdg, "/volt/vms");
	return home && home[0] == '/'
		       ? vms_folder_below(home, "/.local/state/volt/vms")
		       : NULL;
}

/* The path and each folder above it. */
static int vms_folder_make(const char *path)
{
	cleanup_free char *part = strdup(path);

	if (!part)
		return -ENOMEM;
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(part, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int vms_folder_open(const char *path, bool make, int *fd, struct err *err)
{
	struct stat st;
	int r = make ? vms_folder_make(path) : 0;

	*fd = -1;
	if (r < 0)
		return err_set(err, r, "Cannot make %s: %s", path, err_name(r));
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT
			       ? 0
			       : err_set(err, -errno, "Cannot open %s: %s",
					 path, err_name(errno));
	if (fd_stat(*fd, &st) < 0)
		return err_set(err, -errno, "Cannot look at %s: %s", path,
			       err_name(errno));
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, -EPERM,
			       "%s is not to be believed: you (uid %u) must "
			       "own it, and nobody else may write there; it is "
			       "of user %u, mode %03o",
			       path, geteuid(), st.st_uid, st.st_mode & 0777);
	return 0;
}

static int vms_folder_is_file(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 &&
	       strcmp(entry->d_name, "..") != 0;
}

int vms_folder_remove(int parent, int folder, const char *name)
{
	struct dirent **list;
	int r = 0, n = scandirat(folder, ".", &list, vms_folder_is_file, NULL);

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		if (unlinkat(folder, list[i]->d_name, 0) < 0 && errno != ENOENT)
			r = -errno;
		free(list[i]);
	}
	free(list);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 &&
	    errno != ENOENT)
		r = -errno;
	return r;
}
