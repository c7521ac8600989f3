// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_run.c - `volt run`: a VM with its console on this terminal
 *
 * It finds a kernel and becomes volt-vmm (launch.h).
 */
#include "cli/cache.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/launch.h"

#include "base/fd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME          "run"
#define MAX_LIST      16

#define CMDLINE       "console=ttyS0 reboot=k panic=1"
#define CMDLINE_SHELL CMDLINE " quiet volt.quiet volt.end=shell"

static const char help_text[] =
	"Usage: volt run [OPTIONS] [-- VOLT-VMM-OPTIONS]\n"
	"\n"
	"Starts a VM with its console on this terminal; Ctrl-A x ends it. "
	"`volt ps` and\n"
	"`volt stop` see it, from elsewhere. Without --kernel: Debian's cloud "
	"kernel and\n"
	"a shell, as tools/kernel/fetch and tests/initramfs/build have left "
	"them.\n"
	"\n"
	"  --name NAME      letters, digits and '-' (default: vm-PID)\n"
	"  --kernel FILE    vmlinux or bzImage\n"
	"  --initrd FILE\n"
	"  --cmdline TEXT   default: " CMDLINE "\n"
	"  --memory MIB     default 128 (256 without --kernel)\n"
	"  --cpus N         default 1\n"
	"  --disk PATH[,ro][,id=ID][,engine=async][,cache=unsafe]\n"
	"                   a raw image or block device as /dev/vda; may be "
	"given several\n"
	"                   times; without an initrd the first is the root "
	"file system\n"
	"  --share-drives   also with disks whose files another VM or program "
	"uses\n"
	"  --net tap=NAME[,mac=MAC][,mtu=N][,vhost]\n"
	"                   a network interface on a tap that `volt net add` "
	"made; may be\n"
	"                   given several times\n"
	"  --vsock cid=N,path=SOCKET\n"
	"                   sockets between guest and host\n"
	"\n"
	"Exit code: volt-vmm's (docs/exit-codes.md); 1 it did not start; 64 "
	"bad usage.\n"
	"\n"
	"Example:\n"
	"  volt run --name web --kernel vmlinux --initrd web.cpio --memory 512 "
	"--cpus 2\n";

/* What may be given several times. */
struct list {
	unsigned int nr;
	const char *text[MAX_LIST];
};

/**
 * struct run - the command line
 */
struct run {
	const char *name;
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	const char *memory;
	const char *cpus;
	struct list disks;
	bool share_drives;
	struct list nets;
	const char *vsock;
	char **rest;
	char default_kernel[PATH_MAX];
	char default_initrd[PATH_MAX];
	struct launch launch;
};

/* Would a Linux kernel run here? Better a sentence now than a silent minute
 * in KVM's emulator. */
static int check_host(struct err *err)
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
		       "%s `volt doctor` tells why; `tests/lab/run volt run` "
		       "runs it in the lab",
		       report->verdict);
}

static int fill_defaults(struct run *run, struct err *err)
{
	int r;

	if (run->kernel) {
		run->cmdline = run->cmdline ? run->cmdline : CMDLINE;
		return 0;
	}
	r = cache_find_kernel(run->default_kernel, err);
	if (r == 0 && !run->initrd)
		r = cache_find_initrd(run->default_initrd, err);
	if (r == 0)
		r = check_host(err);
	if (r < 0)
		return r;
	run->kernel = run->default_kernel;
	run->memory = run->memory ? run->memory : "256";
	if (!run->cmdline)
		run->cmdline = run->initrd ? CMDLINE : CMDLINE_SHELL;
	run->initrd = run->initrd ? run->initrd : run->default_initrd;
	return 0;
}

static int build_args(struct run *run, struct err *err)
{
	struct launch *l = &run->launch;

	launch_add(l, "--kernel", run->kernel);
	launch_add(l, "--initrd", run->initrd);
	launch_add(l, "--cmdline", run->cmdline);
	launch_add(l, "--memory", run->memory);
	launch_add(l, "--cpus", run->cpus);
	for (unsigned int i = 0; i < run->disks.nr; i++)
		launch_add(l, "--disk", run->disks.text[i]);
	if (!run->share_drives)
		launch_add_switch(l, "--lock-drives");
	for (unsigned int i = 0; i < run->nets.nr; i++)
		launch_add(l, "--net", run->nets.text[i]);
	launch_add(l, "--vsock", run->vsock);
	return launch_add_rest(l, run->rest, err);
}

static int start(struct run *run)
{
	struct err err;

	if (fill_defaults(run, &err) < 0 ||
	    launch_begin(&run->launch, run->name, &err) < 0 ||
	    build_args(run, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	return launch_exec(&run->launch, NAME);
}

static int add_to_list(struct list *list, const char *flag)
{
	if (list->nr == MAX_LIST) {
		(void)cli_complain(0, NAME, "more than %d times %s", MAX_LIST,
				   flag);
		return -EINVAL;
	}
	list->text[list->nr++] = optarg;
	return 0;
}

/* Return: 0, 1 after --help, or -EINVAL. */
static int parse(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"kernel", required_argument, NULL, 'k'},
		{"initrd", required_argument, NULL, 'i'},
		{"cmdline", required_argument, NULL, 'c'},
		{"memory", required_argument, NULL, 'm'},
		{"cpus", required_argument, NULL, 'p'},
		{"disk", required_argument, NULL, 'd'},
		{"share-drives", no_argument, NULL, 's'},
		{"net", required_argument, NULL, 't'},
		{"vsock", required_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const struct {
		int opt;
		const char **value;
	} values[] = {
		{'n', &run->name},    {'k', &run->kernel}, {'i', &run->initrd},
		{'c', &run->cmdline}, {'m', &run->memory}, {'p', &run->cpus},
		{'v', &run->vsock},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (opt == 'h')
			return 1;
		if (opt == '?')
			return -EINVAL;
		for (size_t i = 0; i < ARRAY_SIZE(values); i++)
			if (values[i].opt == opt)
				*values[i].value = optarg;
		run->share_drives |= opt == 's';
		if ((opt == 'd' && add_to_list(&run->disks, "--disk") < 0) ||
		    (opt == 't' && add_to_list(&run->nets, "--net") < 0))
			return -EINVAL;
	}
	run->rest = argv + optind;
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0) {
		(void)cli_complain(0, NAME,
				   "'%s' is one word too many; options of "
				   "volt-vmm come after --",
				   argv[optind]);
		return -EINVAL;
	}
	return 0;
}

int cmd_run(int argc, char **argv)
{
	cleanup_free struct run *run = calloc(1, sizeof(*run));
	struct err err;
	int r;

	if (!run)
		return cli_complain(1, NAME, "out of memory");
	r = parse(run, argc, argv);
	if (r > 0) {
		(void)fputs(help_text, stdout);
		return 0;
	}
	if (r < 0)
		return cli_usage_error(NAME);
	if (run->name && vmapi_check_name(run->name, &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	return start(run);
}
