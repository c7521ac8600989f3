// SPDX-License-Identifier: Apache-2.0
/*
 * cli.c - what the commands of `volt` share
 */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
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

bool cli_parse_number(const char *text, uint64_t min, uint64_t max,
		      uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || v < min || v > max)
		return false;
	*out = v;
	return true;
}
