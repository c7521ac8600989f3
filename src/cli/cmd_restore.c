// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_restore.c - `volt restore`: go on from a snapshot, on this terminal
 */
#include "cli/cli.h"
#include "cli/launch.h"

#include "base/fd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME      "restore"
#define FLAGS_MAX 40

static const char help_text[] =
	"Usage: volt restore [OPTIONS] DIR [-- VOLT-VMM-OPTIONS]\n"
	"\n"
	"Starts a VM that goes on where the snapshot in DIR was taken, with its "
	"console\n"
	"on this terminal; Ctrl-A x ends it. As often as you like, also at the "
	"same time:\n"
	"memory that no clone has changed is there once.\n"
	"\n"
	"  --name NAME      letters, digits and '-' (default: vm-PID)\n"
	"  --disk ID=PATH   another file for a drive\n"
	"  --share-drives   also with disks whose files another VM or program "
	"uses\n"
	"  --net ID=TAP     another tap for a network interface\n"
	"  --vsock SOCKET   another path for the vsock device's socket\n"
	"  --paused         wait for PATCH /vm instead of running at once\n"
	"  --clock snapshot|realtime\n"
	"                   the guest's clock goes on where it stood (default), "
	"or the time\n"
	"                   between is added\n"
	"\n"
	"Clones share what the snapshot names: a drive that is written to needs "
	"a copy of\n"
	"its own (while another VM has its file the restore is refused), a tap "
	"and a vsock\n"
	"socket one of their own. "
	"`volt snapshot inspect DIR`\n"
	"tells which there are, and their ids.\n"
	"\n"
	"Example:\n"
	"  cp disk.img second.img\n"
	"  volt restore --name second --disk disk0=second.img snap\n"
	"\n"
	"Exit code: volt-vmm's (docs/exit-codes.md); 1 it did not start; 64 "
	"bad usage.\n";

/**
 * struct given - the command line
 * @flags:	volt-vmm's, and their values (NULL for a switch)
 */
struct given {
	const char *name;
	bool share_drives;
	struct {
		const char *flag;
		const char *value;
	} flags[FLAGS_MAX];
	unsigned int nr_flags;
};

static int start(struct launch *launch, const struct given *given,
		 const char *dir, char **rest)
{
	struct err err;

	if (access(dir, R_OK | X_OK) < 0)
		return cli_complain(1, NAME, "cannot read %s: %s", dir,
				    err_name(errno));
	if (launch_begin(launch, given->name, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	launch_add(launch, "--restore", dir);
	if (!given->share_drives)
		launch_add_switch(launch, "--lock-drives");
	for (unsigned int i = 0; i < given->nr_flags; i++)
		if (given->flags[i].value)
			launch_add(launch, given->flags[i].flag,
				   given->flags[i].value);
		else
			launch_add_switch(launch, given->flags[i].flag);
	if (launch_add_rest(launch, rest, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	return launch_exec(launch, NAME);
}

/* Return: 0; 1 when help was asked for; -EINVAL. */
static int parse(int argc, char **argv, struct given *given)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"disk", required_argument, NULL, 'p'},
		{"net", required_argument, NULL, 'p'},
		{"vsock", required_argument, NULL, 'p'},
		{"clock", required_argument, NULL, 'p'},
		{"paused", no_argument, NULL, 'p'},
		{"share-drives", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	static const char *const flags[] = {
		NULL, "--disk", "--net", "--vsock", "--clock", "--paused",
	};
	int index = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "+", options, &index)) != -1) {
		if (opt == 'h')
			return 1;
		if (opt == '?' || given->nr_flags == FLAGS_MAX)
			return -EINVAL;
		if (opt == 'n' || opt == 's') {
			if (opt == 'n')
				given->name = optarg;
			given->share_drives |= opt == 's';
			continue;
		}
		given->flags[given->nr_flags].flag = flags[index];
		given->flags[given->nr_flags++].value = optarg;
	}
	return 0;
}

int cmd_restore(int argc, char **argv)
{
	cleanup_free struct launch *launch = calloc(1, sizeof(*launch));
	struct given given = {0};
	struct err err;
	char **rest;
	int r;

	if (!launch)
		return cli_complain(1, NAME, "out of memory");
	r = parse(argc, argv, &given);
	if (r > 0) {
		(void)fputs(help_text, stdout);
		return 0;
	}
	if (r < 0)
		return cli_usage_error(NAME);
	if (given.name && vmapi_check_name(given.name, &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	rest = argv + optind + 1;
	if (optind == argc || (*rest && strcmp(*rest, "--") != 0)) {
		(void)cli_complain(0, NAME,
				   "give one directory; options of "
				   "volt-vmm come after --");
		return cli_usage_error(NAME);
	}
	return start(launch, &given, argv[optind], *rest ? rest + 1 : rest);
}
