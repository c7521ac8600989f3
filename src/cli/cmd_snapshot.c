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
#include <libgen.h>
#include <stdio.h>
#include <string.h>
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
	"the disk. The VM stands still meanwhile, then goes on. However long it "
	"takes,\n"
	"standard error tells how far it is.\n"
	"\n"
	"  --pause    the VM stays paused, unless the snapshot fails; `volt "
	"resume NAME`\n"
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

/* A directory that is not there: its parent is, and the VM's process will make
 * it, and remove it again when the snapshot fails. */
static char *absolute_new(const char *dir)
{
	cleanup_free char *for_parent = strdup(dir), *for_name = strdup(dir);
	cleanup_free char *parent = NULL;
	char *path = NULL;

	if (for_parent && for_name)
		parent = realpath(dirname(for_parent), NULL);
	if (parent && asprintf(&path, "%s/%s/", parent, basename(for_name)) < 0)
		path = NULL;
	return path;
}

/* The VM's process has a working directory of its own. */
static int absolute(const char *dir, char **path, struct err *err)
{
	*path = realpath(dir, NULL);
	if (!*path && errno == ENOENT)
		*path = absolute_new(dir);
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

/**
 * struct saving - a snapshot that is being made
 * @before:	what the VM's process had written when it began
 * @line:	a line for a terminal was begun
 */
struct saving {
	struct vmapi api;
	uint64_t before;
	bool line;
};

/* What the VM's process has written so far, to whatever file; 0: unknown. */
static uint64_t written(pid_t pid)
{
	static const char key[] = "wchar: ";
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/io", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			bytes = strtoull(line + sizeof(key) - 1, NULL, 10);
	if (file)
		(void)fclose(file);
	return bytes;
}

/* A terminal sees each second, a log every tenth. */
static void say_saving(struct vmapi *api, unsigned int seconds)
{
	struct saving *saving = container_of(api, struct saving, api);
	bool person = isatty(STDERR_FILENO);
	uint64_t bytes = written(api->pid);

	if (!person && seconds % 10 != 0)
		return;
	(void)fprintf(stderr, "%svolt snapshot: saving, %u s, %llu MiB%s",
		      person ? "\r" : "", seconds,
		      (unsigned long long)(bytes - saving->before) >> 20,
		      person ? "  " : "\n");
	saving->line = person;
}

/* It paused for this snapshot only, and there is none. */
static void resume_after_failure(struct saving *saving, const char *name,
				 struct err *err)
{
	const struct err first = *err;
	struct err other;

	if (vmapi_set_paused(&saving->api, false, &other) < 0)
		(void)err_set(err, first.rc,
			      "%s The VM is still paused, `volt resume %s`: %s",
			      first.text, name, other.text);
}

static int create(struct saving *saving, const char *name, const char *path,
		  const struct flags *flags, struct err *err)
{
	cleanup_buf struct buf body = {0};
	struct vmapi *api = &saving->api;
	int paused = 0, r = 0;

	assert(path);
	buf_add_str(&body, "{\"snapshot_path\":");
	buf_add_json(&body, path, strlen(path));
	if (flags->diff)
		buf_add_str(&body, ",\"snapshot_type\":\"Diff\"");
	if (flags->checksum)
		buf_add_str(&body, ",\"memory_checksum\":true");
	buf_add(&body, "}", sizeof("}")); /* with its NUL */
	if (body.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	if (flags->pause) {
		paused = vmapi_is_paused(api, err);
		r = paused < 0 ? paused : vmapi_set_paused(api, true, err);
	}
	if (r < 0)
		return r;
	saving->before = written(api->pid);
	api->waiting = say_saving;
	r = vmapi_call(api, "PUT", "/snapshot/create", body.data, NULL, err);
	api->waiting = vmapi_say_waiting;
	if (saving->line)
		(void)fputc('\n', stderr);
	if (r < 0 && flags->pause && !paused)
		resume_after_failure(saving, name, err);
	return r;
}

static int save(const char *name, const char *dir, const struct flags *flags,
		struct err *err)
{
	cleanup_free char *path = NULL;
	struct saving saving = {.before = 0};
	int r = vmapi_open(&saving.api, name, err);

	if (r < 0)
		return r;
	saving.api.waiting = vmapi_say_waiting;
	r = absolute(dir, &path, err);
	if (r == 0)
		r = create(&saving, name, path, flags, err);
	vmapi_close(&saving.api);
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
