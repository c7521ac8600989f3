// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_source.c - where `volt kernel build` has its source from
 */
#include "cli/kernel.h"

#include "kernel/aptget.h"
#include "store/program.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* "linux-source-6.1_6.1.192-2_all.deb" without its end, as the cache has it. */
static void source_id_of(const char *file, char id[static 256])
{
	(void)snprintf(id, 256, "%.*s", (int)strlen(file) - 4, file);
}

/* Whether the cache has the source of that package unpacked. */
static bool is_unpacked(const struct aptget *wish, const char *file)
{
	char id[256];

	source_id_of(file, id);
	return source_is_cached(wish->arg, id);
}

/* usr/src/linux-source-6.1.tar.xz of the package. */
static int unpack_package(const char *deb, const char *folder, const char *id,
			  const char *cache, struct progress *progress,
			  struct source *source, struct err *err)
{
	const char *const argv[] = {"dpkg-deb", "-x", deb, folder, NULL};
	const struct program program = {
		.argv = argv,
		.progress = progress,
		.what = "unpacking",
	};
	cleanup_buf struct buf out = {0}, said = {0};
	cleanup_free char *tarball = NULL;
	char line[256];
	int r = program_run(&program, &out, &said);

	if (r == -ENOENT)
		return err_set(err, r,
			       "There is no dpkg-deb: apt-get install dpkg");
	if (r != 0)
		return err_set(err, -EBADMSG, "%s cannot be unpacked: %s", id,
			       program_last_line(&said, line));
	if (asprintf(&tarball, "%s/usr/src/%.*s.tar.xz", folder,
		     (int)strcspn(id, "_"), id) < 0) {
		tarball = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	return source_of_tarball(tarball, cache, id, progress, source, err);
}

static int source_of_package(const struct kernel_where *where,
			     struct adding *adding, struct progress *progress,
			     struct source *source, struct err *err)
{
	struct aptget wish = {
		.prefix = APTGET_SOURCE,
		.package = where->package,
		.suite = where->suite,
		.arg = where->cache,
		.has = is_unpacked,
	};
	cleanup_free char *folder = NULL, *deb = NULL;
	char id[256];
	int r = adding_folder(adding, &folder, err);

	if (r < 0)
		return r;
	wish.folder = folder;
	r = aptget_fetch(&wish, progress, &deb, err);
	if (r < 0)
		return r;
	source_id_of(strrchr(deb, '/') + 1, id);
	return source_is_cached(where->cache, id)
		       ? source_of_cache(where->cache, id, progress, source,
					 err)
		       : unpack_package(deb, folder, id, where->cache, progress,
					source, err);
}

int kernel_find_source(const struct kernel_where *where, struct adding *adding,
		       struct progress *progress, struct source *source,
		       struct err *err)
{
	struct stat st;

	if (where->package)
		return source_of_package(where, adding, progress, source, err);
	if (stat(where->path, &st) < 0)
		return err_set(err, -errno, "Cannot open %s: %s", where->path,
			       err_name(errno));
	return S_ISDIR(st.st_mode)
		       ? source_of_folder(where->path, source, err)
		       : source_of_tarball(where->path, where->cache, NULL,
					   progress, source, err);
}
