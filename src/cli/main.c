// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - `volt`: the table of commands
 */
#include "cli/cli.h"

#include "base/fd.h"

#include <stdio.h>
#include <string.h>

/**
 * struct command - one word after `volt`
 * @summary:	a line of `volt --help`
 */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
	{"doctor", cmd_doctor, "what this host can run, and what it lacks"},
	{"run", cmd_run, "start a VM with its console on this terminal"},
	{"ps", cmd_ps, "the VMs that run"},
	{"stop", cmd_stop, "end a VM"},
	{"pause", cmd_pause, "have a VM stand still"},
	{"resume", cmd_resume, "have it go on"},
	{"snapshot", cmd_snapshot, "save a VM, or tell what was saved"},
	{"restore", cmd_restore, "go on from a snapshot, on this terminal"},
	{"net", cmd_net, "make, list and delete taps for guests (as root)"},
};

static void print_help(FILE *out)
{
	(void)fputs("volt - microVMs on this machine\n"
		    "\n"
		    "Usage: volt COMMAND [OPTIONS]\n"
		    "       volt COMMAND --help\n"
		    "\n"
		    "Commands:\n",
		    out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		(void)fprintf(out, "  %-10s %s\n", commands[i].name,
			      commands[i].summary);
	(void)fputs(
		"\n"
		"  --help     this text\n"
		"  --version  the version\n"
		"\n"
		"New here? `volt doctor` first: it tells whether this machine "
		"runs Linux\n"
		"guests. Each microVM is one volt-vmm process, which "
		"`volt-vmm --help`\n"
		"describes; it speaks Firecracker's API on a Unix socket.\n",
		out);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct command *command;

	if (fd_fill_standard() < 0)
		return CLI_EXIT_FAILED;
	if (!word) {
		print_help(stderr);
		return CLI_EXIT_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
	    strcmp(word, "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		(void)puts("volt " VOLT_VERSION);
		return 0;
	}
	command = find_command(word);
	if (!command) {
		(void)fprintf(stderr,
			      "volt: there is no command '%s'; `volt --help` "
			      "lists them.\n",
			      word);
		return CLI_EXIT_USAGE;
	}
	return command->run(argc - 1, argv + 1);
}
