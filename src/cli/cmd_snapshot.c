// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot.c - `volt snapshot`: save a VM, or tell what was saved
 */
#include "cli/cli.h"
#include "cli/freeze.h"
#include "cli/inspect.h"
#include "cli/pack.h"
#include "cli/vmapi.h"
#include "pack/pack.h"
#include "snapshot/merge.h"

#include "base/buf.h"
#include "base/fd.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 512u

struct save {
	bool pause;
	bool diff;
	bool checksum;
	bool compress;
	bool no_freeze;
};

#define AT(member) .offset = offsetof(struct save, member)

/* clang-format off */
static const struct arg save_args[] = {
	{"pause", NULL, "the VM stays paused, unless the snapshot fails; "
	 "`volt resume NAME` lets it go on", .kind = ARG_FLAG, AT(pause)},
	{"diff", NULL, "only the memory that was written since the VM was "
	 "restored, or, where it tracks that, since its last snapshot",
	 .kind = ARG_FLAG, AT(diff)},
	{"checksum", NULL, "the state gets a CRC of the memory file, for "
	 "inspect --verify; it costs about a second a GiB of used memory",
	 .kind = ARG_FLAG, AT(checksum)},
	{"compress", NULL, "what was saved is compressed behind the VM's back, "
	 "as by `volt snapshot compress`", .kind = ARG_FLAG, AT(compress)},
	{"no-freeze", NULL, "the guest of an image is not asked to freeze its "
	 "file systems first", .kind = ARG_FLAG, AT(no_freeze)},
};
/* clang-format on */

const struct args_page cmd_snapshot_page = {
	.name = "volt snapshot",
	.summary = "save a VM, or tell what was saved",
	.usage = "[OPTIONS] NAME DIR\n"
		 "inspect [--json] [--verify] DIR | STATE [MEMORY]\n"
		 "merge BASE DIFF\n"
		 "squash DIR\n"
		 "compress [OPTIONS] DIR\n"
		 "decompress DIR\n"
		 "export [--whole] DIR FILE\n"
		 "import FILE DIR\n"
		 "ls [--json] [DIR]\n"
		 "tree [DIR]\n"
		 "verify DIR | FILE | STATE MEMORY\n"
		 "gc [--dry-run] [DIR]\n"
		 "working-set [--drop] [--json] DIR",
	.about =
		"Saves VM NAME into DIR, which is made if it is not there: "
		"state.json, readable, and memory.snap, which takes the room "
		"of the memory that the guest has used. A snapshot that is "
		"there already is replaced as a whole, once the new one is on "
		"the disk. The VM stands still meanwhile, then goes on. "
		"However long it takes, standard error tells how far it is. "
		"`volt restore DIR` starts from it. A guest that runs an image "
		"freezes its file systems for that long: what its programs "
		"have written is whole there.\n"
		"\n"
		"Each of the other forms has a --help of its own.\n",
	.args = save_args,
	.nr_args = ARRAY_SIZE(save_args),
	.exit = "0 done; 1 failed, or a check failed; 64 bad usage.",
	.examples = "  volt snapshot web snap\n"
		    "  volt snapshot inspect snap\n"
		    "  volt restore --name second snap\n",
	.nr_words = 2,
};

struct inspect {
	bool json;
	bool verify;
};

#undef AT
#define AT(member) .offset = offsetof(struct inspect, member)

/* clang-format off */
static const struct arg inspect_args[] = {
	{"json", NULL, "the same as one JSON object", .kind = ARG_FLAG,
	 AT(json)},
	{"verify", NULL, "read the memory, too, and check the CRC that "
	 "--checksum made", .kind = ARG_FLAG, AT(verify)},
};
/* clang-format on */

const struct args_page cmd_snapshot_inspect_page = {
	.name = "volt snapshot inspect",
	.summary = "what a snapshot holds, and whether it is whole",
	.usage = "[--json] [--verify] DIR\n"
		 "[--json] [--verify] STATE [MEMORY]",
	.about = "Tells what DIR holds, or the two files of a snapshot that "
		 "the API made so, and checks it: sizes, devices, the CRC of "
		 "the state. What a clone needs of its own (drives, taps, "
		 "the vsock socket) is listed under the id by which `volt "
		 "restore` replaces it.\n",
	.args = inspect_args,
	.nr_args = ARRAY_SIZE(inspect_args),
	.exit = "0 whole, as far as it was checked; 1 damaged, or no snapshot; "
		"2 --verify, and there is no CRC to check by; 64 bad usage.",
	.nr_words = 2,
};

const struct args_page cmd_snapshot_merge_page = {
	.name = "volt snapshot merge",
	.summary =
		"put a diff and the snapshot that it was made after into one",
	.usage = "BASE DIFF",
	.about = "Completes the diff in DIFF by the snapshot in BASE that it "
		 "was made after. What comes out takes the place of DIFF: it "
		 "is whole when BASE is, else a larger diff, of what BASE is a "
		 "diff of. BASE stays as it is.\n",
	.exit = "0 done; 1 failed; 64 bad usage.",
	.nr_words = 2,
};

const struct args_page cmd_snapshot_squash_page = {
	.name = "volt snapshot squash",
	.summary = "make a diff whole by all the snapshots that it needs",
	.usage = "DIR",
	.about = "Completes the diff in DIR by its base, and that by its own, "
		 "and so on: all lie in directories beside DIR, as `volt "
		 "restore` finds them. They stay as they are; DIR does not "
		 "need them any more.\n",
	.exit = "0 done; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

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
	struct stat st;

	*path = realpath(dir, NULL);
	if (!*path && errno == ENOENT)
		*path = absolute_new(dir);
	if (!*path)
		return err_set(err, -errno, "cannot find %s: %s", dir,
			       err_name(errno));
	if (stat(*path, &st) == 0 && !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR,
			       "%s is no directory: give one, or a name that "
			       "is free",
			       dir);
	return 0;
}

/**
 * struct saving - a snapshot that is being made
 * @before:	what the VM's process had written when it began
 * @line:	a line for a terminal was begun
 */
struct saving {
	struct api_client api;
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
static void say_saving(struct api_client *api, unsigned int seconds)
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

/* It paused for this snapshot only, and there is none. Not inlined: its errors
 * and the caller's are too much for one frame. */
static __attribute__((noinline)) void
resume_after_failure(struct saving *saving, const char *name, struct err *err)
{
	const struct err first = *err;
	struct err other;

	if (vmapi_set_paused(&saving->api, false, &other) < 0)
		(void)err_set(err, first.rc,
			      "%s; the VM is still paused, `volt resume %s`: "
			      "%s",
			      err_for_person(&first), name, other.text);
}

/* What the API owes to Firecracker's clients goes. */
static void in_plain_words(struct err *err, const char *dir, pid_t pid)
{
	static const char prefix[] = "Create snapshot error: ";
	const char *why = strstr(err->text, prefix), *end;
	char room[CLI_CLEAN_MAX];

	if (!why)
		return;
	why += strlen(prefix);
	end = strstr(why, " (os error ");
	if (strstr(why, "Permission denied"))
		(void)err_plain(err,
				"the VM cannot be saved: its process (%d) may "
				"not write into %.*s: give a directory of the "
				"user who started it",
				pid, ERR_PLAIN_MAX / 4, cli_clean(dir, room));
	else
		(void)err_plain(err, "the VM cannot be saved: %.*s",
				(int)(end ? end - why : ERR_PLAIN_MAX / 2),
				why);
}

static int cli_snapshot_create(struct saving *saving, const char *name,
			       const char *path, const struct save *o,
			       struct err *err)
{
	cleanup_buf struct buf body = {0};
	struct api_client *api = &saving->api;
	int paused = 0, r = 0;

	buf_add_str(&body, "{\"snapshot_path\":");
	assert(path);
	buf_add_json(&body, path, strlen(path));
	if (o->diff)
		buf_add_str(&body, ",\"snapshot_type\":\"Diff\"");
	if (o->checksum)
		buf_add_str(&body, ",\"memory_checksum\":true");
	buf_add(&body, "}", sizeof("}")); /* with its NUL */
	if (body.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	if (o->pause) {
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
	if (r < 0)
		in_plain_words(err, path, api->pid);
	if (r < 0 && o->pause && !paused)
		resume_after_failure(saving, name, err);
	return r;
}

static void tell(const char *name, const char *dir, const char *path,
		 const struct save *o)
{
	char room[CLI_CLEAN_MAX];
	cleanup_free char *file = NULL;
	struct stat st = {0};

	if (asprintf(&file, "%s/memory.snap", path) < 0)
		file = NULL;
	if (file && stat(file, &st) == 0)
		(void)printf("saved %s%s into %s: %llu MiB of memory, %llu KiB "
			     "on the disk%s\n",
			     o->diff ? "what changed of " : "", name,
			     cli_clean(dir, room),
			     (unsigned long long)st.st_size >> 20,
			     (unsigned long long)st.st_blocks * BLOCK_BYTES >>
				     10,
			     o->pause ? "; it stays paused" : "");
	else
		(void)printf("saved %s into %s\n", name, cli_clean(dir, room));
}

static int snapshot_save(const char *name, const char *dir,
			 const struct save *o, struct err *err)
{
	cleanup_free char *path = NULL;
	struct saving saving = {.before = 0};
	struct agent_client agent = {.fd = -1};
	int r = vmapi_open(&saving.api, name, err);

	if (r < 0)
		return r;
	saving.api.waiting = vmapi_say_waiting;
	r = absolute(dir, &path, err);
	if (r == 0 && !o->no_freeze)
		r = freeze_begin(&agent, &saving.api, name, err);
	if (r == 0)
		r = cli_snapshot_create(&saving, name, path, o, err);
	freeze_end(&agent, r == 0 && o->pause);
	api_client_close(&saving.api);
	if (r < 0)
		return r;
	vms_journal_note("snapshot", name, -1);
	tell(name, dir, path, o);
	return r;
}

int cmd_snapshot(const struct args_page *page, int argc, char **argv)
{
	struct save o = {0};
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 2, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	if (vmapi_check_name(args.words[0], &err) < 0)
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	code = snapshot_save(args.words[0], args.words[1], &o, &err);
	if (code == 0 && o.compress)
		code = pack_snapshot(page, args.words[1],
				     &(struct pack_options){0}, &err);
	return code < 0 ? cli_fail(1, page, &err) : 0;
}

int cmd_snapshot_inspect(const struct args_page *page, int argc, char **argv)
{
	struct inspect o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = inspect_snapshot(args.words[0],
			     args.nr_words > 1 ? args.words[1] : NULL, o.json,
			     o.verify, &err);
	return r < 0 ? cli_fail(1, page, &err) : r;
}

int cmd_snapshot_squash(const struct args_page *page, int argc, char **argv)
{
	struct snapshot_paths paths = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = snapshot_paths_in(&paths, args.words[0]);
	paths.unpack = &pack_unpacker;
	r = r < 0 ? err_set(&err, r, "out of memory")
		  : snapshot_squash(&paths, &err);
	snapshot_paths_free(&paths);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

int cmd_snapshot_merge(const struct args_page *page, int argc, char **argv)
{
	struct snapshot_paths base = {0}, diff = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 2, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = snapshot_paths_in(&base, args.words[0]);
	if (r == 0)
		r = snapshot_paths_in(&diff, args.words[1]);
	base.unpack = diff.unpack = &pack_unpacker;
	r = r < 0 ? err_set(&err, r, "out of memory")
		  : snapshot_merge(&base, &diff, &err);
	snapshot_paths_free(&base);
	snapshot_paths_free(&diff);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
