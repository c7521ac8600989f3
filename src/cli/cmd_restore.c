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

#define NAME "restore"

static const char help_text[] =
	"Usage: volt restore [--name NAME] DIR [-- VOLT-VMM-OPTIONS]\n"
	"\n"
	"Starts a VM that goes on where the snapshot in DIR was taken, with its "
	"console\n"
	"on this terminal; Ctrl-A x ends it. As often as you like, also at the "
	"same time:\n"
	"memory that no clone has changed is there once.\n"
	"\n"
	"  --name NAME      letters, digits and '-' (default: vm-PID)\n"
	"\n"
	"Clones share what the snapshot names: a drive that is written to needs "
	"a copy of\n"
	"its own, a tap and a vsock socket one of their own; PUT /snapshot/load "
	"takes them\n"
	"(docs/api.md). `volt snapshot inspect DIR` tells what is in it.\n"
	"\n"
	"Exit code: volt-vmm's (docs/exit-codes.md); 1 it did not start; 64 "
	"bad usage.\n";

static int start(struct launch *launch, const char *name, const char *dir,
		 char **rest)
{
	struct err err;

	if (access(dir, R_OK | X_OK) < 0)
		return cli_complain(1, NAME, "cannot read %s: %s", dir,
				    err_name(errno));
	if (launch_begin(launch, name, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	launch_add(launch, "--restore", dir);
	if (launch_add_rest(launch, rest, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	return launch_exec(launch, NAME);
}

int cmd_restore(int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	cleanup_free struct launch *launch = calloc(1, sizeof(*launch));
	const char *name = NULL;
	struct err err;
	char **rest;
	int opt;

	if (!launch)
		return cli_complain(1, NAME, "out of memory");
	while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (opt == 'h') {
			(void)fputs(help_text, stdout);
			return 0;
		}
		if (opt != 'n')
			return cli_usage_error(NAME);
		name = optarg;
	}
	if (name && vmapi_check_name(name, &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	rest = argv + optind + 1;
	if (optind == argc || (*rest && strcmp(*rest, "--") != 0)) {
		(void)cli_complain(0, NAME,
				   "give one directory; options of "
				   "volt-vmm come after --");
		return cli_usage_error(NAME);
	}
	return start(launch, name, argv[optind], *rest ? rest + 1 : rest);
}
