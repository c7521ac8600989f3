// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_rm.c - `volt rm`: what is kept of VMs that have ended
 */
#include "cli/cli.h"
#include "cli/kept.h"

#include "base/fd.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>

#define RM_MS 10000

struct removing {
	bool force;
};

/* clang-format off */
static const struct arg rm_options[] = {
	{"force", NULL, "-f: end those that run", .letter = 'f',
	 .kind = ARG_FLAG, .offset = offsetof(struct removing, force)},
};
/* clang-format on */

const struct args_page cmd_rm_page = {
	.name = "volt rm",
	.summary = "remove what is kept of a VM that has ended",
	.usage = "[-f] NAME...",
	.about = "Removes the record and the log of each VM in the background "
		 "that has ended: its name is free then, and `volt ps -a` does "
		 "not list it any more.\n",
	.args = rm_options,
	.nr_args = ARRAY_SIZE(rm_options),
	.exit = "0 removed; 1 failed; 64 bad usage.",
	.nr_words = ARGS_WORDS_MAX,
};

static void rm_signal(int pidfd)
{
	if (pidfd >= 0)
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

/* The VM first: who holds it writes down how it ended. Where that does not come
 * about, the holder, with which the VM ends. */
static void rm_end(struct kept *kept, const char *name)
{
	cleanup_fd int vmm = kept_vmm(name);
	cleanup_fd int holder = pidfd_open((pid_t)kept->vm.record.holder, 0);

	rm_signal(vmm);
	if (vmm >= 0 && kept_ended(name, RM_MS))
		return;
	/* It has the number as long as it lives, which it does. */
	if (!kept_ended(name, 0))
		rm_signal(holder);
	(void)kept_ended(name, RM_MS);
}

static int rm_one(const char *name, bool force, struct err *err)
{
	struct kept kept;
	int r = kept_open(&kept, name, err);

	if (r == 0 && force && kept_lives(&kept))
		rm_end(&kept, name);
	if (r == 0)
		r = vms_remove(&kept.vms, &kept.vm, err);
	kept_close(&kept);
	return r;
}

int cmd_rm(const struct args_page *page, int argc, char **argv)
{
	struct removing o = {0};
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 1, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	code = 0;
	for (unsigned int i = 0; i < args.nr_words; i++) {
		const char *name = args.words[i];

		if (rm_one(name, o.force, &err) < 0)
			code = cli_fail(1, page, &err);
		else
			vms_journal_note("rm", name, -1);
	}
	return code;
}
