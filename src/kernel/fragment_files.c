// SPDX-License-Identifier: Apache-2.0
/*
 * fragment_files.c - the fragments that come with Volt (fragment.h)
 */
#include "kernel/fragment.h"

#include "store/tree.h"

#include "base/clean.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define SUFFIX  ".config"
#define SUMMARY "# Summary: "

int fragment_folder(char **folder, struct err *err)
{
	/* Of an installed volt, and of a build of the source. */
	static const char *const places[] = {"../share/volt/kernel",
					     "src/kernel/config"};
	char own[1024];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	*folder = NULL;
	own[n > 0 ? n : 0] = '\0';
	slash = strrchr(own, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		free(ptr_steal(*folder));
		if (asprintf(folder, "%s/%s", own, places[i]) < 0) {
			*folder = NULL;
			return err_set(err, -ENOMEM, "Out of memory");
		}
		if (tree_has(*folder, FRAGMENT_BASE SUFFIX))
			return 0;
	}
	return err_set(err, -ENOENT,
		       "Volt's configuration fragments are not at %s/%s: "
		       "install it whole",
		       own, places[0]);
}

static int is_fragment(const struct dirent *e)
{
	size_t len = strlen(e->d_name), suffix = strlen(SUFFIX);

	return e->d_name[0] != '.' && len > suffix &&
	       len - suffix < FRAGMENT_NAME_MAX &&
	       strcmp(e->d_name + len - suffix, SUFFIX) == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The names, sorted, each with a NUL. */
static int list_names(const char *folder, struct buf *names, unsigned int *nr,
		      struct err *err)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_fragment, compare_names);

	*nr = 0;
	if (n < 0)
		return err_set(err, -errno, "Cannot read %s: %s", folder,
			       err_name(errno));
	for (int i = 0; i < n; i++) {
		size_t len = strlen(entries[i]->d_name) - strlen(SUFFIX);

		buf_add(names, entries[i]->d_name, len);
		buf_add(names, "", 1);
		free(entries[i]);
	}
	free(entries);
	*nr = (unsigned int)n;
	return names->failed ? err_set(err, -ENOMEM, "Out of memory") : 0;
}

/* @text: 128 bytes. */
static void read_summary(const char *folder, const char *name, char *text)
{
	cleanup_free char *path = NULL;
	char line[256];
	FILE *file = NULL;

	text[0] = '\0';
	if (asprintf(&path, "%s/%s" SUFFIX, folder, name) >= 0)
		file = fopen(path, "re");
	while (file && !text[0] && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, SUMMARY, strlen(SUMMARY)) == 0)
			(void)clean_text(text, 128, line + strlen(SUMMARY),
					 strlen(line) - strlen(SUMMARY));
	}
	if (file)
		(void)fclose(file);
}

int fragment_each(const char *folder,
		  void (*fn)(const char *name, const char *summary),
		  struct err *err)
{
	cleanup_buf struct buf names = {0};
	const char *at;
	char text[128];
	unsigned int nr;
	int r = list_names(folder, &names, &nr, err);

	if (r < 0)
		return r;
	read_summary(folder, FRAGMENT_BASE, text);
	fn(FRAGMENT_BASE, text);
	at = names.data;
	for (unsigned int i = 0; i < nr; i++, at += strlen(at) + 1) {
		if (strcmp(at, FRAGMENT_BASE) == 0)
			continue;
		read_summary(folder, at, text);
		fn(at, text);
	}
	return 0;
}

/* Is @name, of @len bytes, in the list "net,vsock"? */
static bool is_listed(const char *list, const char *name, size_t len)
{
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && memcmp(list, name, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

static bool fragment_is_there(const struct buf *names, unsigned int nr,
			      const char *name, size_t len)
{
	const char *at = names->data;

	for (unsigned int i = 0; i < nr; i++, at += strlen(at) + 1)
		if (strlen(at) == len && memcmp(at, name, len) == 0)
			return true;
	return false;
}

static int no_such_name(const struct buf *names, unsigned int nr,
			const char *name, size_t len, struct err *err)
{
	cleanup_buf struct buf text = {0};
	const char *at = names->data;

	for (unsigned int i = 0; i < nr; i++, at += strlen(at) + 1)
		if (strcmp(at, FRAGMENT_BASE) != 0)
			buf_addf(&text, "%s%s", text.len ? ", " : "", at);
	buf_add(&text, "", 1);
	return err_set(err, -EINVAL,
		       "There is no option '%.*s' for a kernel: there are %s",
		       (int)(len < 64 ? len : 64), name,
		       text.failed ? "others" : text.data);
}

int fragment_names(const char *folder, const char *list, struct buf *names,
		   unsigned int *nr, struct err *err)
{
	cleanup_buf struct buf all = {0};
	const char *at;
	unsigned int nr_all;
	int r = list_names(folder, &all, &nr_all, err);

	*nr = 0;
	if (r < 0)
		return r;
	at = list;
	while (*at) {
		size_t len = strcspn(at, ",");

		if (!fragment_is_there(&all, nr_all, at, len))
			return no_such_name(&all, nr_all, at, len, err);
		at += len + (at[len] == ',');
	}
	at = all.data;
	for (unsigned int i = 0; i < nr_all; i++, at += strlen(at) + 1) {
		if (strcmp(at, FRAGMENT_BASE) == 0 ||
		    !is_listed(list, at, strlen(at)))
			continue;
		buf_add(names, at, strlen(at) + 1);
		++*nr;
	}
	return names->failed ? err_set(err, -ENOMEM, "Out of memory") : 0;
}
