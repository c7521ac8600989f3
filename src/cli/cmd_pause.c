// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_pause.c - `volt pause` and `volt resume`
 */
#include "cli/cli.h"
#include "cli/vmapi.h"

#include <getopt.h>
#include <stdio.h>

static const char pause_help[] =
	"Usage: volt pause NAME\n"
	"\n"
	"VM NAME stands still, CPUs and devices, until `volt resume NAME`; its "
	"memory and\n"
	"connections stay. Nothing happens to one that is paused already.\n"
	"\n"
	"Exit code: 0 it is paused; 1 failed; 64 bad usage.\n";

static const char resume_help[] =
	"Usage: volt resume NAME\n"
	"\n"
	"VM NAME, which `volt pause`, `volt snapshot --pause` or `volt restore "
	"--paused` has\n"
	"left paused, goes on. Nothing happens to one that runs.\n"
	"\n"
	"Exit code: 0 it runs; 1 failed; 64 bad usage.\n";

static int set_state(const char *name, bool paused, struct err *err)
{
	struct vmapi api;
	int r = vmapi_open(&api, name, err);

	if (r < 0)
		return r;
	api.waiting = vmapi_say_waiting;
	r = vmapi_set_paused(&api, paused, err);
	vmapi_close(&api);
	return r;
}

static int run(int argc, char **argv, const char *command, const char *help,
	       bool paused)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct err err;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'h') {
			(void)fputs(help, stdout);
			return 0;
		}
		return cli_usage_error(command);
	}
	if (argc - optind != 1) {
		(void)cli_complain(0, command, "which VM? Give one name");
		return cli_usage_error(command);
	}
	if (vmapi_check_name(argv[optind], &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, command, "%s", err.text);
	if (set_state(argv[optind], paused, &err) < 0)
		return cli_complain(1, command, "%s", err.text);
	return 0;
}

int cmd_pause(int argc, char **argv)
{
	return run(argc, argv, "pause", pause_help, true);
}

int cmd_resume(int argc, char **argv)
{
	return run(argc, argv, "resume", resume_help, false);
}
