// SPDX-License-Identifier: Apache-2.0
/*
 * cli.c - what the commands of `volt` share
 */
#include "cli/cli.h"

#include "base/clean.h"
#include "base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int cli_complain(int code, const char *command, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], shown[2 * ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)clean_text(shown, sizeof(shown), text, strlen(text));
	(void)fprintf(stderr, "volt %s: %s\n", command, shown);
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
