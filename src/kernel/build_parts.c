// SPDX-License-Identifier: Apache-2.0
/*
 * build_parts.c - tools, objects and logs of a build (build.h)
 */
#include "kernel/build.h"

#include "kernel/build_priv.h"

#include "base/clean.h"
#include "base/fd.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* What of a build of Linux does not come with Debian's base, and its package.
 */
static const struct {
	const char *file;
	const char *package;
} tools[] = {
	{"make", "make"},
	{"gcc", "gcc"},
	{"ld", "binutils"},
	{"flex", "flex"},
	{"bison", "bison"},
	{"bc", "bc"},
	{"tar", "tar"},
	{"xz", "xz-utils"},
	{"/usr/include/stdlib.h", "libc6-dev"},
	{"/usr/include/libelf.h", "libelf-dev"},
};

/* A program in PATH, or a file. */
static bool build_has_tool(const char *file)
{
	const char *path = getenv("PATH");
	char name[1024];

	if (file[0] == '/')
		return access(file, R_OK) == 0;
	path = path ? path : "/usr/bin:/bin";
	while (*path) {
		size_t len = strcspn(path, ":");
		int n = snprintf(name, sizeof(name), "%.*s/%s", (int)len, path,
				 file);

		if (n > 0 && (size_t)n < sizeof(name) &&
		    access(name, X_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

int build_check_tools(struct err *err)
{
	cleanup_buf struct buf missing = {0}, packages = {0};

	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		if (build_has_tool(tools[i].file))
			continue;
		buf_addf(&missing, "%s%s", missing.len ? ", " : "",
			 tools[i].file);
		buf_addf(&packages, " %s", tools[i].package);
	}
	if (missing.len == 0)
		return 0;
	buf_add(&missing, "", 1);
	buf_add(&packages, "", 1);
	if (missing.failed || packages.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	return err_set(err, -ENOENT,
		       "A kernel's build needs %s: apt-get install%s",
		       missing.data, packages.data);
}

/* "config NAME" or "menuconfig NAME" as a line of the file. */
static bool defines(const char *path, const char *option)
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char line[256], name[128];

	while (file && !found && fgets(line, sizeof(line), file))
		found = (sscanf(line, " config %127s", name) == 1 ||
			 sscanf(line, " menuconfig %127s", name) == 1) &&
			strcmp(name, option) == 0;
	if (file)
		(void)fclose(file);
	return found;
}

bool build_tree_has(const char *folder, const char *option)
{
	char *const roots[] = {(char *)(uintptr_t)folder, NULL};
	FTS *fts =
		fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	const FTSENT *e;
	bool found = false;

	while (fts && !found && (e = fts_read(fts)))
		found = e->fts_info != FTS_D &&
			strncmp(e->fts_name, "Kconfig", 7) == 0 &&
			defines(e->fts_path, option);
	if (fts)
		(void)fts_close(fts);
	return found;
}

static bool is_newer(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* When objtool was linked, with all that it is made of; false: not yet. */
static bool find_objtool(const char *folder, struct timespec *linked)
{
	cleanup_free char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/tools/objtool/objtool", folder) < 0) {
		path = NULL;
		return false;
	}
	/* The linker sets that bit last. */
	if (stat(path, &st) < 0 || !(st.st_mode & S_IXUSR))
		return false;
	*linked = st.st_mtim;
	return true;
}

/* Did Kbuild note, behind it, how this object was made? */
static bool is_finished(const FTSENT *e)
{
	size_t folder = e->fts_pathlen - e->fts_namelen;
	cleanup_free char *cmd = NULL;
	struct stat st;

	if (asprintf(&cmd, "%.*s.%s.cmd", (int)folder, e->fts_path,
		     e->fts_name) < 0) {
		cmd = NULL;
		return false;
	}
	return stat(cmd, &st) == 0 &&
	       !is_newer(&e->fts_statp->st_mtim, &st.st_mtim);
}

static bool is_object(const char *name)
{
	size_t len = strlen(name);

	return len > 2 && (strcmp(name + len - 2, ".o") == 0 ||
			   strcmp(name + len - 2, ".a") == 0);
}

unsigned int build_drop_unfinished(const char *folder)
{
	char *const roots[] = {(char *)(uintptr_t)folder, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	size_t below = strlen(folder) + 1;
	unsigned int dropped = 0;
	struct timespec linked = {0};
	const FTSENT *e;
	bool objtool = find_objtool(folder, &linked);

	while (fts && (e = fts_read(fts))) {
		if (e->fts_info != FTS_F || !is_object(e->fts_name) ||
		    is_finished(e))
			continue;
		if (objtool && strncmp(e->fts_path + below, "tools/", 6) == 0 &&
		    !is_newer(&e->fts_statp->st_mtim, &linked))
			continue;
		if (unlink(e->fts_path) == 0)
			dropped++;
	}
	if (fts)
		(void)fts_close(fts);
	return dropped;
}

/* "  CC      init/main.o", and in make -n: "... echo '  CC      init/main.o';".
 */
unsigned int build_count_steps(const char *text, size_t len, bool dry)
{
	const char *mark = dry ? "echo '  " : "  ";
	const char *at = text, *end = text + len;
	unsigned int steps = 0;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);
		const char *found = memmem(at, n, mark, strlen(mark));

		if (found && (dry || found == at)) {
			const char *word = found + strlen(mark);

			steps += word + 1 < at + n && word[0] >= 'A' &&
				 word[0] <= 'Z' && word[1] >= 'A' &&
				 word[1] <= 'Z';
		}
		at = stop ? stop + 1 : end;
	}
	return steps;
}

void build_find_error(const char *text, size_t len, char line[static 256])
{
	static const char *const marks[] = {
		"error: ",  "Error: ", "undefined reference",
		"No space", "No rule", "*** "};
	const char *end = text + len;

	line[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		const char *found =
			memmem(text, len, marks[i], strlen(marks[i]));
		const char *from, *stop;

		if (!found)
			continue;
		from = memrchr(text, '\n', (size_t)(found - text));
		from = from ? from + 1 : text;
		stop = memchr(found, '\n', (size_t)(end - found));
		(void)clean_text(line, 256, from,
				 (size_t)((stop ? stop : end) - from));
		return;
	}
}

const char *build_time_left(uint64_t ms, unsigned int done, unsigned int total,
			    char out[static 32])
{
	uint64_t seconds = 0;

	if (done > 0 && total > done)
		seconds = ms * (total - done) / done / 1000;
	if (seconds >= 90)
		(void)snprintf(out, 32, "%llu min left",
			       (unsigned long long)(seconds + 30) / 60);
	else
		(void)snprintf(out, 32, "%llu s left",
			       (unsigned long long)seconds);
	return out;
}
