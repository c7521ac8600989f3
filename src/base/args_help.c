// SPDX-License-Identifier: Apache-2.0
/*
 * args_help.c - what --help prints of a table (args.h)
 */
#include "base/args.h"

#include <string.h>

#define COLUMNS     80u
#define HELP_COLUMN 22u /* where an option's help begins */

const struct arg args_help_arg = {
	.name = "help",
	.kind = ARG_FLAG,
	.help = "this text; -h does the same",
};

static void put_blanks(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_add(out, " ", 1);
}

/* One paragraph or sentence, word by word. */
void args_put_wrapped(struct buf *out, const char *text, size_t column,
		      size_t indent)
{
	size_t at = column;
	bool first = true;

	while (*text) {
		size_t len = strcspn(text, " \n");

		if (!first && at + 1 + len > COLUMNS) {
			buf_add(out, "\n", 1);
			put_blanks(out, indent);
			at = indent;
		} else if (!first && len > 0) {
			buf_add(out, " ", 1);
			at++;
		}
		buf_add(out, text, len);
		at += len;
		first = first && len == 0;
		text += len;
		text += *text != '\0';
	}
	buf_add(out, "\n", 1);
}

/* A paragraph, or a line that stays as it is. */
static const char *put_paragraph(struct buf *out, const char *text)
{
	cleanup_buf struct buf words = {0};

	if (strncmp(text, "  ", 2) == 0 || *text == '\n') {
		size_t len = strcspn(text, "\n");

		buf_add(out, text, len);
		buf_add(out, "\n", 1);
		return text + len + (text[len] == '\n');
	}
	while (*text && *text != '\n' && strncmp(text, "  ", 2) != 0) {
		size_t len = strcspn(text, "\n");

		buf_add(&words, text, len);
		buf_add(&words, " ", 1);
		text += len + (text[len] == '\n');
	}
	buf_add(&words, "", 1);
	if (words.failed)
		out->failed = true;
	else
		args_put_wrapped(out, words.data, 0, 0);
	return text;
}

void args_put_name(const struct arg *arg, struct buf *out)
{
	buf_addf(out, "--%s%s%s", arg->name, arg->value ? " " : "",
		 arg->value ? arg->value : "");
}

static void help_put_option(struct buf *out, const struct arg *arg)
{
	size_t start = out->len, width;

	buf_add_str(out, "  ");
	args_put_name(arg, out);
	width = out->len - start;
	if (width + 2 > HELP_COLUMN) {
		buf_add(out, "\n", 1);
		width = 0;
	}
	put_blanks(out, HELP_COLUMN - width);
	args_put_wrapped(out, arg->help, HELP_COLUMN, HELP_COLUMN);
}

static void put_group(struct buf *out, const struct args_page *page,
		      unsigned int group, const char *title)
{
	buf_addf(out, "\n%s:\n", title);
	for (size_t i = 0; i < page->nr_args; i++)
		if (page->args[i].group == group)
			help_put_option(out, &page->args[i]);
}

static void help_put_usage(struct buf *out, const struct args_page *page)
{
	const char *line = page->usage;
	const char *word = "Usage:";

	do {
		size_t len = strcspn(line, "\n");

		buf_addf(out, "%s %s%s%.*s\n", word, page->name,
			 len > 0 ? " " : "", (int)len, line);
		line += len + (line[len] == '\n');
		word = "      ";
	} while (*line);
}

void args_help(const struct args_page *page, struct buf *out)
{
	static const char *const options[] = {"Options", NULL};
	const char *const *groups = page->groups ? page->groups : options;
	const char *text = page->about;

	help_put_usage(out, page);
	buf_add(out, "\n", 1);
	while (text && *text)
		text = put_paragraph(out, text);
	for (unsigned int i = 0; groups[i]; i++)
		put_group(out, page, i, groups[i]);
	help_put_option(out, &args_help_arg);
	if (page->examples)
		buf_addf(out, "\nExamples:\n%s", page->examples);
	if (page->exit) {
		buf_add_str(out, "\nExit code: ");
		args_put_wrapped(out, page->exit, 11, 0);
	}
}
