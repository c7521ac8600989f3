// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot_move.c - `volt snapshot export` and `import`: a snapshot as one
 * file
 */
#include "cli/cli.h"

#include "base/fd.h"
#include "pack/pack.h"
#include "snapshot/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct export_options {
	bool whole;
};

/* clang-format off */
static const struct arg export_args[] = {
	{"whole", NULL, "of a diff all that it needs, too: what comes out needs "
	 "no other snapshot", .kind = ARG_FLAG,
	 .offset = offsetof(struct export_options, whole)},
};
/* clang-format on */

const struct args_page cmd_snapshot_export_page = {
	.name = "volt snapshot export",
	.summary = "write a snapshot into one file that any tool may copy",
	.usage = "[--whole] DIR FILE",
	.about =
		"Writes what is in DIR into FILE, which is not there yet; - is "
		"standard output. The file has no holes and no attributes to "
		"lose, and each part of it a checksum. It is there as a whole "
		"or not at all.\n",
	.args = export_args,
	.nr_args = ARRAY_SIZE(export_args),
	.exit = "0 done; 1 failed; 64 bad usage.",
	.examples = "  volt snapshot export --whole snap - | ssh host volt "
		    "snapshot import - snap\n",
	.nr_words = 2,
};

const struct args_page cmd_snapshot_import_page = {
	.name = "volt snapshot import",
	.summary = "make a snapshot out of an exported one",
	.usage = "FILE DIR",
	.about = "Makes in DIR the snapshot that FILE was exported of; - is "
		 "standard input. DIR is made if it is not there; a snapshot "
		 "that is in it is replaced as a whole. A FILE that is damaged "
		 "or cut short changes nothing.\n",
	.exit = "0 done; 1 failed; 64 bad usage.",
	.nr_words = 2,
};

static bool is_stream(const char *path)
{
	return strcmp(path, "-") == 0;
}

static int move_paths(struct snapshot_paths *paths, const char *dir,
		      struct err *err)
{
	int r = snapshot_paths_in(paths, dir);

	paths->unpack = &pack_unpacker;
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

/* ---- export ---- */

static int export_name_failed(const char *file, int r, struct err *err)
{
	char room[CLI_CLEAN_MAX];

	if (r == -EEXIST)
		return err_set(err, r,
			       "%s is there already: give a name that "
			       "is free",
			       cli_clean(file, room));
	return err_set(err, r, "cannot write %s: %s", cli_clean(file, room),
		       err_name(r));
}

/* A file without a name, so that nothing is left of one that is not done.
 * Return: a descriptor or -errno. */
static int open_nameless(const char *file)
{
	cleanup_free char *copy = strdup(file);
	int fd;

	if (!copy)
		return -ENOMEM;
	if (access(file, F_OK) == 0)
		return -EEXIST;
	fd = open(dirname(copy), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int export_give_name(int fd, const char *file)
{
	char self[32];

	if (fsync(fd) < 0)
		return -errno;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, file, AT_SYMLINK_FOLLOW) < 0
		       ? -errno
		       : 0;
}

static int export_to(const struct snapshot_paths *paths, bool whole,
		     const char *file, struct err *err)
{
	cleanup_fd int fd = is_stream(file) ? -1 : open_nameless(file);
	int r;

	if (is_stream(file))
		return snapshot_export(paths, whole, STDOUT_FILENO, err);
	if (fd < 0)
		return export_name_failed(file, fd, err);
	r = snapshot_export(paths, whole, fd, err);
	if (r < 0)
		return r;
	r = export_give_name(fd, file);
	return r < 0 ? export_name_failed(file, r, err) : 0;
}

int cmd_snapshot_export(const struct args_page *page, int argc, char **argv)
{
	struct export_options o = {0};
	struct snapshot_paths paths = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 2, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = move_paths(&paths, args.words[0], &err);
	if (r == 0)
		r = export_to(&paths, o.whole, args.words[1], &err);
	snapshot_paths_free(&paths);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

/* ---- import ---- */

static int import_from(const char *file, const char *dir, struct err *err)
{
	char room[CLI_CLEAN_MAX];
	cleanup_fd int own = -1;
	struct snapshot_paths paths = {0};
	bool made = false;
	int fd = STDIN_FILENO;
	int r;

	if (!is_stream(file)) {
		own = open(file, O_RDONLY | O_CLOEXEC);
		fd = own;
	}
	if (fd < 0)
		return err_set(err, -errno, "cannot read %s: %s",
			       cli_clean(file, room), err_name(errno));
	r = move_paths(&paths, dir, err);
	if (r == 0)
		r = snapshot_dir_make(&path_direct, dir, &made, err);
	if (r == 0)
		r = snapshot_import(&paths, fd, err);
	if (r < 0 && made)
		snapshot_dir_remove(&path_direct, dir);
	snapshot_paths_free(&paths);
	return r;
}

int cmd_snapshot_import(const struct args_page *page, int argc, char **argv)
{
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 2, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = import_from(args.words[0], args.words[1], &err);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
