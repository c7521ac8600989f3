// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot.c - `volt snapshot`: save a VM, or tell what was saved
 */
#include "cli/cli.h"
#include "cli/inspect.h"
#include "cli/vmapi.h"
#include "snapshot/merge.h"

#include "base/buf.h"
#include "base/fd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "snapshot"

static const char help_text[] =
	"Usage: volt snapshot [--pause] [--diff] [--checksum] NAME DIR\n"
	"       volt snapshot merge BASE DIFF\n"
	"       volt snapshot inspect [--json] [--verify] DIR\n"
	"\n"
	"Saves VM NAME into DIR, which is made if it is not there: state.json, "
	"readable,\n"
	"and memory.snap, which takes the room of the memory that the guest has "
	"used. A\n"
	"snapshot that is there already is replaced as a whole, once the new "
	"one is on\n"
	"the disk. The VM stands still meanwhile, then goes on.\n"
	"\n"
	"  --pause    the VM stays paused\n"
	"  --diff     only the memory that was written since the VM was "
	"restored, or, where\n"
	"             it tracks that, since its last snapshot "
	"(docs/snapshots.md)\n"
	"  --checksum the state gets a CRC of the memory file, for inspect "
	"--verify; it\n"
	"             costs about a second a GiB of used memory\n"
	"\n"
	"merge completes the diff in DIFF by the snapshot in BASE that it was "
	"made after;\n"
	"only then can it be restored. BASE stays as it is.\n"
	"\n"
	"inspect tells what DIR holds and checks it: sizes, devices, the CRC of "
	"the state;\n"
	"with --verify it reads the memory, too, and checks the CRC that "
	"--checksum made.\n"
	"`volt restore DIR` goes on from it.\n"
	"\n"
	"Exit code: 0 done; 1 failed, or a check failed; 64 bad usage.\n";

/* The VM's process has a working directory of its own. */
static int absolute(const char *dir, char **path, struct err *err)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "Cannot make %s: %s", dir,
			       err_name(errno));
	*path = realpath(dir, NULL);
	if (!*path)
		return err_set(err, -errno, "Cannot find %s: %s", dir,
			       err_name(errno));
	return 0;
}

/**
 * struct flags - of the command line
 */
struct flags {
	bool pause;
	bool diff;
	bool json;
	bool checksum;
	bool verify;
};

static int save(const char *name, const char *dir, const struct flags *flags,
		struct err *err)
{
	cleanup_buf struct buf body = {0};
	cleanup_free char *path = NULL;
	struct vmapi api;
	int r = absolute(dir, &path, err);

	if (r == 0)
		r = vmapi_open(&api, name, err);
	if (r < 0)
		return r;
	assert(path);
	buf_add_str(&body, "{\"snapshot_path\":");
	buf_add_json(&body, path, strlen(path));
	if (flags->diff)
		buf_add_str(&body, ",\"snapshot_type\":\"Diff\"");
	if (flags->checksum)
		buf_add_str(&body, ",\"memory_checksum\":true");
	buf_add(&body, "}", sizeof("}")); /* with its NUL */
	if (body.failed)
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r == 0 && flags->pause)
		r = vmapi_call(&api, "PATCH", "/vm", "{\"state\":\"Paused\"}",
			       NULL, err);
	if (r == 0)
		r = vmapi_call(&api, "PUT", "/snapshot/create", body.data, NULL,
			       err);
	vmapi_close(&api);
	return r;
}

static int merge(const char *base_dir, const char *diff_dir, struct err *err)
{
	struct snapshot_paths base = {0}, diff = {0};
	int r = snapshot_paths_in(&base, base_dir);

	if (r == 0)
		r = snapshot_paths_in(&diff, diff_dir);
	r = r < 0 ? err_set(err, r, "Out of memory")
		  : snapshot_merge(&base, &diff, err);
	snapshot_paths_free(&base);
	snapshot_paths_free(&diff);
	return r;
}

/* Return: 0; 1 when help was asked for; -EINVAL. */
static int parse(int argc, char **argv, struct flags *flags)
{
	static const struct option options[] = {
		{"pause", no_argument, NULL, 'p'},
		{"diff", no_argument, NULL, 'd'},
		{"json", no_argument, NULL, 'j'},
		{"checksum", no_argument, NULL, 'c'},
		{"verify", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			return -EINVAL;
		if (opt == 'h')
			return 1;
		*(opt == 'p'   ? &flags->pause
		  : opt == 'd' ? &flags->diff
		  : opt == 'c' ? &flags->checksum
		  : opt == 'v' ? &flags->verify
			       : &flags->json) = true;
	}
	return 0;
}

/* Return: an exit code. */
static int perform(char **word, int nr, const struct flags *flags)
{
	struct err err;
	int r;

	if (nr == 3 && strcmp(word[0], "merge") == 0) {
		r = merge(word[1], word[2], &err);
	} else if (nr != 2) {
		(void)cli_complain(0, NAME,
				   "give a VM and a directory, `inspect` and a "
				   "directory, or `merge` and two");
		return cli_usage_error(NAME);
	} else if (strcmp(word[0], "inspect") == 0) {
		r = inspect_snapshot(word[1], flags->json, flags->verify, &err);
	} else if (vmapi_check_name(word[0], &err) < 0) {
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	} else {
		r = save(word[0], word[1], flags, &err);
	}
	return r < 0 ? cli_complain(1, NAME, "%s", err.text) : r;
}

int cmd_snapshot(int argc, char **argv)
{
	struct flags flags = {0};
	int r = parse(argc, argv, &flags);

	if (r > 0) {
		(void)fputs(help_text, stdout);
		return 0;
	}
	if (r < 0)
		return cli_usage_error(NAME);
	return perform(argv + optind, argc - optind, &flags);
}
