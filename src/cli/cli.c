// SPDX-License-Identifier: Apache-2.0
/*
 * cli.c - what the commands of `volt` share
 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

int cli_complain(int code, const char *command, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "volt %s: ", command);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return code;
}

int cli_usage_error(const char *command)
{
	(void)fprintf(stderr, "`volt %s --help` shows how it is used.\n",
		      command);
	return CLI_EXIT_USAGE;
}
