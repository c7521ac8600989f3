// SPDX-License-Identifier: Apache-2.0
/*
 * markdown.c - docs/cli.md
 */
#include "docgen/docgen.h"

#include <string.h>

/* In a table's cell. */
static void put_cell(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_add(out, "\\", 1);
		buf_add(out, text, 1);
	}
}

static void put_about(struct buf *out, const struct args_page *page)
{
	cleanup_buf struct buf paragraph = {0};
	const char *text = page->about;

	while (text && (text = docgen_paragraph(text, &paragraph))) {
		buf_add(out, paragraph.data, paragraph.len);
		buf_add_str(out, "\n\n");
	}
}

static void markdown_put_options(struct buf *out, const struct args_page *page)
{
	if (page->nr_args == 0)
		return;
	buf_add_str(out, "| option | meaning |\n|---|---|\n");
	for (size_t i = 0; i < page->nr_args; i++) {
		const struct arg *arg = &page->args[i];

		buf_addf(out, "| `--%s%s", arg->name, arg->value ? " " : "");
		put_cell(out, arg->value ? arg->value : "");
		buf_add_str(out, "` | ");
		put_cell(out, arg->help);
		buf_add_str(out, " |\n");
	}
	buf_add(out, "\n", 1);
}

static void markdown_put_usage(struct buf *out, const struct args_page *page)
{
	const char *line = page->usage;

	buf_add_str(out, "```\n");
	do {
		size_t len = strcspn(line, "\n");

		buf_addf(out, "%s%s%.*s\n", page->name, len > 0 ? " " : "",
			 (int)len, line);
		line += len + (line[len] == '\n');
	} while (*line);
	buf_add_str(out, "```\n\n");
}

static void put_rest(struct buf *out, const struct args_page *page)
{
	if (page->examples)
		buf_addf(out, "```\n%s```\n\n", page->examples);
	if (page->exit)
		buf_addf(out, "Exit code: %s\n\n", page->exit);
}

static void put_page(struct buf *out, const struct args_page *page)
{
	markdown_put_usage(out, page);
	put_about(out, page);
	markdown_put_options(out, page);
	put_rest(out, page);
}

void docgen_markdown(struct buf *out)
{
	buf_add_str(
		out,
		"# Command lines\n"
		"\n"
		"Made from the tables that the programs parse by, as `--help`, "
		"the man pages and the completions are: `make docs` after a "
		"change of one. A test compares.\n"
		"\n"
		"All programs read their command line alike: `--option VALUE` "
		"or `--option=VALUE`, names cut short where that is "
		"unambiguous (`--mem 512`), each option once unless it says "
		"otherwise. A value that begins with `--` needs the `=`. `--` "
		"ends the options; `-h` is `--help`.\n"
		"\n");
	for (size_t i = 0; i < DOCGEN_NR_PROGRAMS; i++) {
		buf_addf(out, "## %s\n\n", docgen_programs[i]->name);
		put_page(out, docgen_programs[i]);
	}
	buf_add_str(out, "## volt\n\n");
	put_about(out, &volt_page);
	buf_add_str(out, "| command | what |\n|---|---|\n");
	for (size_t i = 0; i < cli_nr_commands; i++) {
		buf_addf(out, "| [`%s`](#", cli_commands[i].page->name);
		docgen_put_dashed(out, cli_commands[i].page->name);
		buf_addf(out, ") | %s |\n", cli_commands[i].page->summary);
	}
	buf_add_str(out, "| `volt help COMMAND`, `volt --help`, `volt "
			 "--version` | |\n\n");
	for (size_t i = 0; i < cli_nr_commands; i++) {
		buf_addf(out, "### %s\n\n", cli_commands[i].page->name);
		put_page(out, cli_commands[i].page);
	}
	out->len -= out->len > 0; /* one empty line too many */
}
