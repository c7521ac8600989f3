// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_restore.c - `volt restore`: go on from a snapshot, on this terminal
 */
#include "cli/cli.h"
#include "cli/launch.h"
#include "cli/paged.h"
#include "cli/resumed.h"

#include "base/denied.h"
#include "base/fd.h"
#include "config/vm_args.h"
#include "sandbox/stage.h"
#include "snapshot/hot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/**
 * struct restore - the command line
 */
struct restore {
	const char *name;
	struct arg_list disks;
	struct arg_list nets;
	const char *vsock;
	const char *overlay;
	uint64_t timeout_s;
	uint64_t sandbox_min_abi;
	unsigned int sandbox;
	bool isolate;
	struct bounds bounds;
	bool paused;
	bool pager;
	bool record;
	uint64_t record_s;
	uint64_t record_mib;
	bool share_drives;
	unsigned int clock;
	struct args args;
	struct launch launch;
};

#define AT(member) .offset = offsetof(struct restore, member)

/* clang-format off */
static const struct arg restore_args[] = {
	LAUNCH_ARG_NAME(AT(name)),
	{"disk", "ID=PATH", "another file for a drive; may be given several "
	 "times", .kind = ARG_LIST, AT(disks)},
	VM_ARG_OVERLAY(AT(overlay)),
	LAUNCH_ARG_SHARE_DRIVES(AT(share_drives)),
	{"net", "ID=TAP", "another tap for a network interface; may be given "
	 "several times", .kind = ARG_LIST, AT(nets)},
	{"vsock", "SOCKET", "another path for the vsock device's socket",
	 .kind = ARG_TEXT, AT(vsock)},
	{"pager", NULL, "volt-pager serves the memory, also of a snapshot that "
	 "is not compressed", .kind = ARG_FLAG, AT(pager)},
	{"record", NULL, "write down beside the memory which pages the guest "
	 "uses (`volt snapshot working-set`), until it writes to the boot "
	 "timer or ends; volt-pager serves them one by one meanwhile",
	 .kind = ARG_FLAG, AT(record)},
	{"record-seconds", "N", "end the record so long after the restore",
	 .kind = ARG_NUMBER, .min = 1, .max = 86400, .needs = "record",
	 AT(record_s)},
	{"record-limit", "MIB", "end the record when it has so much memory",
	 .kind = ARG_SIZE, .min = 1, .max = 4096, .needs = "record",
	 AT(record_mib)},
	VM_ARG_PAUSED(AT(paused)),
	VM_ARG_CLOCK(AT(clock)),
	VM_ARG_TIMEOUT(AT(timeout_s)),
	VM_ARG_SANDBOX(SANDBOX_HOST_FILE, AT(sandbox)),
	VM_ARG_SANDBOX_MIN_ABI(AT(sandbox_min_abi)),
	VM_ARG_ISOLATE(AT(isolate)),
	BOUNDS_ARG_MEMORY(AT(bounds.group.memory_mib)),
	BOUNDS_ARG_CPU(AT(bounds.group.cpu)),
	BOUNDS_ARG_PIDS(AT(bounds.group.pids)),
	BOUNDS_ARG_CGROUP(AT(bounds.group.parent)),
	BOUNDS_ARG_FILE(AT(bounds.file_mib)),
	BOUNDS_ARG_LOG(AT(bounds.log)),
	BOUNDS_ARG_LOG_SIZE(AT(bounds.log_mib)),
};
/* clang-format on */

const struct args_page cmd_restore_page = {
	.name = "volt restore",
	.summary = "go on from a snapshot, on this terminal",
	.usage = "[OPTIONS] DIR [-- VOLT-VMM-OPTIONS]\n"
		 "[OPTIONS] STATE MEMORY [-- VOLT-VMM-OPTIONS]",
	.about = "Starts a VM that goes on where the snapshot in DIR was "
		 "taken, with its console on this terminal; Ctrl-A x ends it. "
		 "STATE and MEMORY are the two files of one that the API "
		 "made so. "
		 "As often as you like, also at the same time: memory that no "
		 "clone has changed is there once. Of a compressed snapshot "
		 "each clone has a volt-pager of its own, which serves it.\n"
		 "\n"
		 "Clones share what the snapshot names: a drive that is "
		 "written to needs a copy of its own (--disk, or --overlay, "
		 "which makes one), a tap and a vsock socket "
		 "one of their own. `volt snapshot inspect DIR` tells which "
		 "there are, and their ids.\n",
	.args = restore_args,
	.nr_args = ARRAY_SIZE(restore_args),
	.groups = (const char *const[]){"Options", BOUNDS_HEADING, NULL},
	.exit = "volt-vmm's: 0 the guest ended it; 1 it did not start; 148 and "
		"up: docs/exit-codes.md; 153 bad usage after --, 64 before it.",
	.examples = "  cp disk.img second.img\n"
		    "  volt restore --name second --disk disk0=second.img "
		    "snap\n"
		    "  volt restore --name third --overlay /var/tmp snap\n",
	.nr_words = 2,
	.rest = ARGS_REST_PASS,
};

/* With @memory the state file, else the directory. */
static int check_place(const char *dir, const char *memory, struct err *err)
{
	char hint[DENIED_HINT_MAX];
	struct stat st;

	if (stat(dir, &st) < 0)
		return err_set(err, -errno, "cannot read %s: %s%s", dir,
			       err_name(errno), denied_hint(dir, -errno, hint));
	if (!memory && !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR,
			       "%s is no directory: give the directory that "
			       "`volt snapshot` saved into, or state and "
			       "memory file of a snapshot in two files",
			       dir);
	if (memory && S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR,
			       "%s is a directory and has the memory in it: "
			       "nothing belongs behind it, not %s",
			       dir, memory);
	if (access(dir, memory ? R_OK : R_OK | X_OK) < 0)
		return err_set(err, -errno, "cannot read %s: %s%s", dir,
			       err_name(errno), denied_hint(dir, -errno, hint));
	return 0;
}

/* Return: 1; -ENOMEM with a sentence. */
static int restore_record(struct restore *o, const char *memory,
			  struct err *err)
{
	struct snapshot_paths paths = {0};
	char *path = NULL;
	int r = snapshot_paths_of(&paths, o->args.words[0], memory);

	if (r == 0)
		r = snapshot_hot_path(&paths, &path);
	snapshot_paths_free(&paths);
	if (r < 0)
		return err_set(err, r, "out of memory");
	launch_add_record(&o->launch, path);
	return 1;
}

static int restore_start(const struct args_page *page, struct restore *o)
{
	const char *memory = o->args.nr_words > 1 ? o->args.words[1] : NULL;
	struct err err;
	int r;

	if (check_place(o->args.words[0], memory, &err) < 0 ||
	    launch_begin(&o->launch, o->name, &err) < 0)
		return cli_fail(1, page, &err);
	launch_add(&o->launch, "restore", o->args.words[0]);
	if (memory)
		launch_add(&o->launch, "snapshot-memory", memory);
	r = o->pager || o->record
		    ? 1
		    : paged_is_needed(o->args.words[0], memory, &err);
	if (r > 0)
		r = paged_can_be(&err);
	if (r > 0 && o->record)
		r = restore_record(o, memory, &err);
	if (r < 0)
		return cli_fail(1, page, &err);
	if (r > 0)
		launch_add_pager(&o->launch, o->args.words[0], memory);
	launch_add_given(&o->launch, &o->args, LAUNCH_ALL);
	if (launch_add_rest(&o->launch, o->args.rest, &err) < 0)
		return cli_fail(1, page, &err);
	/* A guest that stands still hears nothing. */
	if (!o->paused)
		resumed_tell_later(o->launch.name, o->launch.socket);
	return launch_exec(&o->launch, &o->bounds, page);
}

int cmd_restore(const struct args_page *page, int argc, char **argv)
{
	struct restore *o = calloc(1, sizeof(*o));
	struct err err;
	int code;

	if (!o)
		return cli_complain(1, page, "out of memory");
	code = cli_parse(page, argc, argv, 1, o, &o->args);
	if (code == CLI_GO_ON && o->name && vmapi_check_name(o->name, &err) < 0)
		code = cli_fail(CLI_EXIT_USAGE, page, &err);
	if (code == CLI_GO_ON && bounds_check(&o->bounds, &err) < 0)
		code = cli_fail(CLI_EXIT_USAGE, page, &err);
	if (code == CLI_GO_ON)
		code = restore_start(page, o);
	launch_free(&o->launch);
	free(o);
	return code;
}
