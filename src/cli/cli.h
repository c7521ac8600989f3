/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what the commands of `volt` share
 *
 * A command is one file, cmd_<name>.c, and one line in the table of main.c. It
 * parses its own options (argv[0] is the command's name), prints its results on
 * standard output and its complaints on standard error, and returns the exit
 * code of the program.
 */
#pragma once

#include "base/err.h"

/* Exit code for a command line that makes no sense (EX_USAGE of sysexits.h);
 * 0, 1 and 2 belong to the commands. */
#define CLI_EXIT_USAGE 64
/* Exit code when the program itself cannot do its work (EX_IOERR). */
#define CLI_EXIT_FAILED 74

int cmd_doctor(int argc, char **argv);
int cmd_net(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_stop(int argc, char **argv);

/**
 * cli_complain() - "volt COMMAND: <sentence>" on standard error
 *
 * Return: @code, so that a command can `return cli_complain(...)`.
 */
int cli_complain(int code, const char *command, const char *fmt, ...)
	__printf_like(3, 4);

/**
 * cli_parse_number() - a decimal number and nothing else
 *
 * Return: false when @text is not one, or is outside [@min, @max].
 */
bool cli_parse_number(const char *text, uint64_t min, uint64_t max,
		      uint64_t *out);

/* After getopt complained: point at --help. Return: CLI_EXIT_USAGE. */
int cli_usage_error(const char *command);
