// SPDX-License-Identifier: Apache-2.0
/*
 * warm.c - `volt run IMAGE` from a guest that has booted already (warm.h)
 */
#include "cli/warm.h"

#include "cli/cache.h"

#include "base/buf.h"
#include "base/fd.h"
#include "store/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define WARM_ROOM   (1ull << 30) /* that is free, or a quarter of all */
#define WARM_NEW    ".new"
#define WARM_STALE  3600 /* seconds after which nobody writes it any more */
#define WARM_LEFT   "socket=/dev/fd/"
#define BLOCK_BYTES 512u

/* ---- the key ---- */

static void warm_add_text(struct digest_sum *sum, const char *text)
{
	digest_add(sum, text, strlen(text) + 1);
}

/* The file's identity: none but root can set its time of change back. */
static int warm_add_file(struct digest_sum *sum, const char *path)
{
	uint64_t id[6];
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	id[0] = st.st_dev;
	id[1] = st.st_ino;
	id[2] = (uint64_t)st.st_size;
	id[3] = (uint64_t)st.st_mtim.tv_sec;
	id[4] = (uint64_t)st.st_ctim.tv_sec;
	id[5] = (uint64_t)st.st_ctim.tv_nsec;
	digest_add(sum, id, sizeof(id));
	return 0;
}

/* What a CPU shows its guests. */
static void warm_add_host(struct digest_sum *sum)
{
	static const char *const keys[] = {"vendor_id", "cpu family", "model",
					   "stepping",  "microcode",  "flags"};
	FILE *file = fopen("/proc/cpuinfo", "re");
	cleanup_free char *line = NULL;
	struct utsname name = {0};
	size_t size = 0;

	(void)uname(&name);
	warm_add_text(sum, name.release);
	warm_add_text(sum, name.version);
	/* Of the first CPU, which an empty line ends. */
	while (file && getline(&line, &size, file) > 1)
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				warm_add_text(sum, line);
	if (file)
		(void)fclose(file);
}

/* This volt, and the volt-vmm beside it. */
static int warm_add_programs(struct digest_sum *sum)
{
	cleanup_free char *self = realpath("/proc/self/exe", NULL);
	cleanup_free char *vmm = NULL;
	const char *slash = self ? strrchr(self, '/') : NULL;

	warm_add_text(sum, VOLT_VERSION);
	if (!slash)
		return -errno;
	if (asprintf(&vmm, "%.*s/volt-vmm", (int)(slash - self), self) < 0) {
		vmm = NULL;
		return -ENOMEM;
	}
	/* In a path of its own where there is none beside. */
	(void)warm_add_file(sum, vmm);
	return warm_add_file(sum, self);
}

static bool warm_is_one_of(const char *arg, const char *const *names, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (strcmp(arg, names[i]) == 0)
			return true;
	return false;
}

/* The number of a descriptor that volt-vmm is left is chance. */
static const char *warm_without_number(const char *value)
{
	return strncmp(value, WARM_LEFT, strlen(WARM_LEFT)) == 0
		       ? value + strcspn(value, ",")
		       : value;
}

/* One option and its value, or NULL. Return: 0; -errno, for its file. */
static int warm_add_option(struct digest_sum *sum, const char *option,
			   const char *value)
{
	static const char *const outside[] = {
		"--id",      "--api-sock",        "--vsock",      "--timeout",
		"--sandbox", "--sandbox-min-abi", "--lock-drives"};
	static const char *const files[] = {"--kernel", "--initrd", "--disk"};
	cleanup_free char *path = NULL;

	if (warm_is_one_of(option, outside, ARRAY_SIZE(outside)))
		return 0;
	warm_add_text(sum, option);
	warm_add_text(sum, value ? warm_without_number(value) : "");
	if (!value || !warm_is_one_of(option, files, ARRAY_SIZE(files)))
		return 0;
	path = strndup(value, strcspn(value, ","));
	return path ? warm_add_file(sum, path) : -ENOMEM;
}

static int warm_set_key(struct warm *warm, const struct launch *launch)
{
	struct digest_sum sum;
	int r;

	digest_begin(&sum);
	warm_add_host(&sum);
	r = warm_add_programs(&sum);
	for (unsigned int i = 1; r == 0 && i < launch->nr; i++) {
		const char *option = launch->args[i];
		const char *value =
			i + 1 < launch->nr ? launch->args[i + 1] : NULL;

		if (value && strncmp(value, "--", 2) == 0)
			value = NULL;
		r = warm_add_option(&sum, option, value);
		i += value != NULL;
	}
	warm->key = digest_end(&sum);
	return r;
}

/* ---- the folder ---- */

/* "FOLDER/NAME" of this user's cache; made if @make. Return: 0; -ENOENT;
 * -EACCES when another could write there; -errno. */
static int warm_open(char **folder, bool make)
{
	cleanup_free char *path = malloc(PATH_MAX);
	struct stat st;
	int r = path ? cache_path(path, "warm", NULL) : -ENOMEM;

	if (r < 0)
		return r;
	if (make && mkdir(path, 0700) < 0 && errno == ENOENT) {
		char *slash = strrchr(path, '/');

		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
		(void)mkdir(path, 0700);
	}
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EACCES;
	*folder = ptr_steal(path);
	return 0;
}

int warm_find(struct warm *warm, const struct launch *launch, struct err *err)
{
	int r = warm_set_key(warm, launch);

	if (r == 0)
		r = warm_open(&warm->folder, true);
	if (r == -ENOMEM)
		return err_set(err, r, "Out of memory");
	if (r < 0)
		return 0;
	warm->dir = tree_path(warm->folder, warm->key.hex);
	if (!warm->dir)
		return err_set(err, -ENOMEM, "Out of memory");
	/* Now is its last use. */
	warm->is_there =
		utimensat(AT_FDCWD, warm->dir, NULL, AT_SYMLINK_NOFOLLOW) == 0;
	return 0;
}

/**
 * struct warm_list - what is in the folder, the newest first
 */
struct warm_list {
	unsigned int nr;
	struct warm_entry {
		struct digest key;
		struct timespec used;
	} at[4 * WARM_MAX];
};

static bool warm_is_newer(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec
				      : a->tv_nsec > b->tv_nsec;
}

static void warm_list_add(struct warm_list *list, const char *name,
			  const struct stat *st)
{
	unsigned int i = list->nr;

	if (list->nr == ARRAY_SIZE(list->at))
		return;
	for (; i > 0 && warm_is_newer(&st->st_mtim, &list->at[i - 1].used); i--)
		list->at[i] = list->at[i - 1];
	memcpy(list->at[i].key.hex, name, sizeof(list->at[i].key.hex));
	list->at[i].used = st->st_mtim;
	list->nr++;
}

/* What is there; what a killed one left goes. */
static void warm_look(const char *folder, struct warm_list *list)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;
	struct stat st;

	list->nr = 0;
	while (dir && (e = readdir(dir))) {
		cleanup_free char *path = tree_path(folder, e->d_name);

		if (e->d_name[0] == '.' || !path || lstat(path, &st) < 0)
			continue;
		if (digest_is_one(e->d_name))
			warm_list_add(list, e->d_name, &st);
		else if (time(NULL) - st.st_mtim.tv_sec > WARM_STALE)
			tree_remove(path);
	}
	if (dir)
		(void)closedir(dir);
}

static void warm_remove_from(const char *folder, const struct warm_list *list,
			     unsigned int first)
{
	for (unsigned int i = first; i < list->nr; i++) {
		cleanup_free char *path =
			tree_path(folder, list->at[i].key.hex);

		if (path)
			tree_retire(path);
	}
}

/* ---- keeping one ---- */

static bool warm_has_room(const char *folder)
{
	struct statvfs st;

	return statvfs(folder, &st) == 0 &&
	       ((uint64_t)st.f_bavail * st.f_frsize > WARM_ROOM ||
		st.f_bavail > st.f_blocks / 4);
}

static int warm_save(const char *name, const char *path, struct err *err)
{
	cleanup_buf struct buf body = {0};
	struct api_client api;
	int r;

	buf_add_str(&body, "{\"snapshot_path\":");
	buf_add_json(&body, path, strlen(path));
	buf_add(&body, "}", sizeof("}")); /* with its NUL */
	if (body.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	r = vmapi_open(&api, name, err);
	if (r < 0)
		return r;
	r = vmapi_call(&api, "PUT", "/snapshot/create", body.data, NULL, err);
	api_client_close(&api);
	return r;
}

int warm_keep(struct warm *warm, const char *name, struct err *err)
{
	cleanup_free char *new = NULL;
	struct warm_list list;
	int r;

	if (!warm_has_room(warm->folder))
		return 0;
	if (asprintf(&new, "%s/%d" WARM_NEW, warm->folder, getpid()) < 0) {
		new = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	tree_remove(new); /* of a process that had this number */
	if (mkdir(new, 0700) < 0)
		return err_set(err, -errno, "cannot make %s: %s", new,
			       err_name(errno));
	r = warm_save(name, new, err);
	if (r == 0 && rename(new, warm->dir) < 0 && errno != ENOTEMPTY &&
	    errno != EEXIST)
		r = err_set(err, -errno, "cannot rename %s: %s", new,
			    err_name(errno));
	tree_remove(new);
	warm_look(warm->folder, &list);
	warm_remove_from(warm->folder, &list, WARM_MAX);
	return r;
}

void warm_drop(struct warm *warm)
{
	warm->is_there = false;
	tree_retire(warm->dir);
}

/* ---- all of them ---- */

static uint64_t warm_bytes(const char *folder, const char *key)
{
	cleanup_free char *dir = tree_path(folder, key);
	cleanup_free char *file = dir ? tree_path(dir, "memory.snap") : NULL;
	struct stat st;

	return file && lstat(file, &st) == 0
		       ? (uint64_t)st.st_blocks * BLOCK_BYTES
		       : 0;
}

unsigned int warm_clear(uint64_t *bytes)
{
	cleanup_free char *folder = NULL;
	struct warm_list list;

	*bytes = 0;
	if (warm_open(&folder, false) < 0)
		return 0;
	warm_look(folder, &list);
	for (unsigned int i = 0; i < list.nr; i++)
		*bytes += warm_bytes(folder, list.at[i].key.hex);
	warm_remove_from(folder, &list, 0);
	return list.nr;
}

void warm_free(struct warm *warm)
{
	free(ptr_steal(warm->folder));
	free(ptr_steal(warm->dir));
}
