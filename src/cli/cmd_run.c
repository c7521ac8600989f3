// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_run.c - `volt run`: a VM with its console on this terminal
 *
 * It finds a kernel (kernel_run.h) and becomes volt-vmm (launch.h).
 */
#include "cli/cache.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/kernel_run.h"
#include "cli/launch.h"

#include "base/fd.h"
#include "config/vm_args.h"
#include "sandbox/stage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CMDLINE       "console=ttyS0 reboot=k panic=1"
#define CMDLINE_SHELL CMDLINE " quiet volt.quiet volt.end=shell"
#define NO_KERNEL                                             \
	"There is no kernel yet: `volt kernel add --package " \
	"linux-image-cloud-amd64` fetches Debian's, --kernel names a file"

/**
 * struct run - the command line
 */
struct run {
	const char *name;
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	const char *vsock;
	uint64_t memory_mib;
	uint64_t cpus;
	uint64_t timeout_s;
	uint64_t sandbox_min_abi;
	unsigned int sandbox;
	bool isolate;
	struct bounds bounds;
	struct arg_list disks;
	struct arg_list nets;
	bool share_drives;
	struct args args;
	struct kernel_choice choice;
	char *whole_cmdline;
	char default_initrd[PATH_MAX];
	struct launch launch;
};

#define AT(member) .offset = offsetof(struct run, member)

/* clang-format off */
static const struct arg run_args[] = {
	LAUNCH_ARG_NAME(AT(name)),
	{"kernel", "FILE|NAME", "kernel to boot: a name of `volt kernel ls`, or "
	 "a file, ELF vmlinux or bzImage (default: the one that `volt kernel "
	 "default` prints)", .kind = ARG_TEXT, AT(kernel)},
	VM_ARG_INITRD(AT(initrd)),
	VM_ARG_CMDLINE(" (default: " CMDLINE ")", AT(cmdline)),
	VM_ARG_MEMORY("128; 256 with a kernel that has a name", AT(memory_mib)),
	VM_ARG_CPUS(AT(cpus)),
	VM_ARG_DISK("", AT(disks)),
	LAUNCH_ARG_SHARE_DRIVES(AT(share_drives)),
	VM_ARG_NET("", AT(nets)),
	VM_ARG_VSOCK("", AT(vsock)),
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

const struct args_page cmd_run_page = {
	.name = "volt run",
	.summary = "start a VM with its console on this terminal",
	.usage = "[OPTIONS] [-- VOLT-VMM-OPTIONS]",
	.about = "Starts a VM with its console on this terminal; Ctrl-A x ends "
		 "it, the end of standard input does not. `volt ps` and `volt "
		 "stop` see it, from elsewhere.\n"
		 "\n"
		 "A kernel that has a name is checked first. With --disk, and "
		 "no --initrd, the first disk is its root: the modules that it "
		 "needs to get there go into a small initramfs, which is kept. "
		 "Without a kernel, a disk and an initrd: the default kernel "
		 "and a shell, which `make shell` in Volt's source builds.\n",
	.args = run_args,
	.nr_args = ARRAY_SIZE(run_args),
	.groups = (const char *const[]){"Options", BOUNDS_HEADING, NULL},
	.exit = "volt-vmm's: 0 the guest ended it; 1 it did not start; 148 and "
		"up: docs/exit-codes.md; 153 bad usage after --, 64 before it.",
	.examples = "  volt run --name web --kernel vmlinux --initrd web.cpio "
		    "--memory 512M --cpus 2\n"
		    "  volt run --disk root.img\n"
		    "  systemd-run --user --scope -p Delegate=yes volt run "
		    "--kernel vmlinux \\\n"
		    "      --memory 512M --max-memory 560M --max-cpu 100 "
		    "--console-log web.log\n",
	.rest = ARGS_REST_PASS,
};

/* Would a Linux kernel run here? Better a sentence now than a silent minute
 * in KVM's emulator. */
static int run_check_host(struct err *err)
{
	cleanup_free struct doctor_facts *facts = calloc(1, sizeof(*facts));
	cleanup_free struct doctor_report *report = malloc(sizeof(*report));

	if (!facts || !report)
		return err_set(err, -ENOMEM, "Out of memory");
	doctor_collect_kvm(&facts->kvm);
	doctor_judge(facts, report);
	if (report->guests == GUESTS_LINUX)
		return 0;
	return err_set(err, -ENOTSUP,
		       "%s `volt doctor` tells why; `make shell` in Volt's "
		       "source runs this guest on an emulated host",
		       report->verdict);
}

/* The words for a root behind the command line. */
static int add_root_words(struct run *run, struct err *err)
{
	if (!run->choice.root[0])
		return 0;
	if (asprintf(&run->whole_cmdline, "%s%s", run->cmdline,
		     run->choice.root) < 0) {
		run->whole_cmdline = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	run->cmdline = run->whole_cmdline;
	return 0;
}

static int fill_defaults(struct run *run, struct err *err)
{
	const struct kernel_need need = {
		.word = run->kernel,
		.cmdline = run->cmdline,
		.disk = run->disks.nr > 0 ? run->disks.text[0] : NULL,
		.has_initrd = run->initrd != NULL,
		.net = run->nets.nr > 0,
		.vsock = run->vsock != NULL,
	};
	bool rootless = !need.disk && !need.has_initrd;
	int r = kernel_choose(&need, &run->choice, err);

	if (r == -ENOENT && !run->kernel)
		r = err_set(err, r, NO_KERNEL);
	if (r == 0 && run->choice.is_linux)
		r = run_check_host(err);
	if (r == 0 && !run->kernel && rootless &&
	    cache_find_initrd(run->default_initrd, NULL) < 0)
		r = err_set(err, -EINVAL,
			    "The kernel has no root: give it a --disk or an "
			    "--initrd");
	if (r < 0)
		return r;
	if (!run->cmdline)
		run->cmdline =
			!run->kernel && rootless ? CMDLINE_SHELL : CMDLINE;
	if (!run->initrd)
		run->initrd = run->choice.initrd       ? run->choice.initrd
			      : run->default_initrd[0] ? run->default_initrd
						       : NULL;
	run->kernel = run->choice.kernel;
	return add_root_words(run, err);
}

/* A value that became another one takes the place of what was given. */
static void run_pass(struct run *run, const char *name, const char *value)
{
	struct args *all = &run->args;

	for (unsigned int i = 0; i < all->nr_given; i++) {
		if (strcmp(all->given[i].arg->name, name) == 0) {
			all->given[i].text = value;
			return;
		}
	}
	if (value)
		launch_add(&run->launch, name, value);
}

/* What was given goes on as it was given. */
static int build_args(struct run *run, struct err *err)
{
	struct launch *l = &run->launch;
	bool named = run->choice.stored;

	run_pass(run, "kernel", run->kernel);
	run_pass(run, "initrd", run->initrd);
	run_pass(run, "cmdline", run->cmdline);
	launch_add_given(l, &run->args);
	if (named && !run->memory_mib)
		launch_add(l, "memory", "256");
	return launch_add_rest(l, run->args.rest, err);
}

static int run_start(const struct args_page *page, struct run *run)
{
	struct err err;

	if (fill_defaults(run, &err) < 0 ||
	    launch_begin(&run->launch, run->name, &err) < 0 ||
	    build_args(run, &err) < 0)
		return cli_fail(1, page, &err);
	return launch_exec(&run->launch, &run->bounds, page);
}

int cmd_run(const struct args_page *page, int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	struct err err;
	int code;

	if (!run)
		return cli_complain(1, page, "out of memory");
	code = cli_parse(page, argc, argv, 0, run, &run->args);
	if (code == CLI_GO_ON && run->name &&
	    vmapi_check_name(run->name, &err) < 0)
		code = cli_fail(CLI_EXIT_USAGE, page, &err);
	if (code == CLI_GO_ON && bounds_check(&run->bounds, &err) < 0)
		code = cli_fail(CLI_EXIT_USAGE, page, &err);
	if (code == CLI_GO_ON)
		code = run_start(page, run);
	launch_free(&run->launch);
	kernel_choice_free(&run->choice);
	free(run->whole_cmdline);
	free(run);
	return code;
}
