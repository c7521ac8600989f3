// SPDX-License-Identifier: Apache-2.0
/*
 * cli.c - what the commands of `volt` share
 */
#include "cli/cli.h"

#include "base/clean.h"

#include <stdarg.h>
#include <stdio.h>

int cli_complain(int code, const struct args_page *page, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], line[2 * ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)clean_text(line, sizeof(line), text, strlen(text));
	(void)fprintf(stderr, "%s: %s\n", page ? page->name : "volt", line);
	return code;
}

int cli_fail(int code, const struct args_page *page, const struct err *err)
{
	return cli_complain(code, page, "%s", err_for_person(err));
}

int cli_misuse(const struct args_page *page, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cli_complain(CLI_EXIT_USAGE, page, "%s; see `%s --help`", text,
			    page ? page->name : "volt");
}

int cli_help(const struct args_page *page)
{
	cleanup_buf struct buf text = {0};

	args_help(page, &text);
	if (text.failed)
		return cli_complain(CLI_EXIT_FAILED, page, "out of memory");
	(void)fwrite(text.data, 1, text.len, stdout);
	return 0;
}

int cli_parse(const struct args_page *page, int argc, char **argv,
	      unsigned int words, void *base, struct args *args)
{
	struct err err;

	if (args_parse(page, argc, argv, base, args, &err) < 0)
		return cli_misuse(page, "%s", err_for_person(&err));
	if (args->help)
		return cli_help(page);
	if (args->nr_words < words)
		return cli_misuse(page, "it takes %.*s",
				  (int)strcspn(page->usage, "\n"), page->usage);
	return CLI_GO_ON;
}

const char *cli_clean(const char *text, char room[static CLI_CLEAN_MAX])
{
	(void)clean_text(room, CLI_CLEAN_MAX, text, strlen(text));
	return room;
}
