// SPDX-License-Identifier: Apache-2.0
/*
 * man.c - a page in the language of man(7)
 */
#include "docgen/docgen.h"

#include <string.h>

/* Text as it stands: a line of it is no request, a dash no hyphen. */
static void put_text(struct buf *out, const char *text, size_t len)
{
	bool start = true;

	for (size_t i = 0; i < len; i++) {
		if (start && (text[i] == '.' || text[i] == '\''))
			buf_add_str(out, "\\&");
		if (text[i] == '\\')
			buf_add_str(out, "\\e");
		else if (text[i] == '-')
			buf_add_str(out, "\\-");
		else
			buf_add(out, &text[i], 1);
		start = text[i] == '\n';
	}
}

static void put_str(struct buf *out, const char *text)
{
	put_text(out, text, strlen(text));
}

static void put_synopsis(struct buf *out, const struct args_page *page)
{
	const char *line = page->usage;

	buf_add_str(out, ".SH SYNOPSIS\n.nf\n");
	do {
		size_t len = strcspn(line, "\n");

		buf_addf(out, "\\fB");
		put_str(out, page->name);
		buf_add_str(out, "\\fR ");
		put_text(out, line, len);
		buf_add(out, "\n", 1);
		line += len + (line[len] == '\n');
	} while (*line);
	buf_add_str(out, ".fi\n");
}

static void man_put_option(struct buf *out, const struct arg *arg)
{
	buf_add_str(out, ".TP\n\\fB\\-\\-");
	put_str(out, arg->name);
	buf_add_str(out, "\\fR");
	if (arg->value) {
		buf_add_str(out, " \\fI");
		put_str(out, arg->value);
		buf_add_str(out, "\\fR");
	}
	buf_add(out, "\n", 1);
	put_str(out, arg->help);
	buf_add(out, "\n", 1);
}

static void man_put_options(struct buf *out, const struct args_page *page)
{
	static const char *const one[] = {"Options", NULL};
	const char *const *groups = page->groups ? page->groups : one;

	buf_add_str(out, ".SH OPTIONS\n");
	for (unsigned int g = 0; groups[g]; g++) {
		if (page->groups)
			buf_addf(out, ".SS %s\n", groups[g]);
		for (size_t i = 0; i < page->nr_args; i++)
			if (page->args[i].group == g)
				man_put_option(out, &page->args[i]);
	}
	man_put_option(out, &args_help_arg);
}

static void put_commands(struct buf *out)
{
	buf_add_str(out, ".SH COMMANDS\n");
	for (size_t i = 0; i < cli_nr_commands; i++) {
		buf_add_str(out, ".TP\n\\fB");
		put_str(out, cli_commands[i].page->name);
		buf_add_str(out, "\\fR\n");
		put_str(out, cli_commands[i].page->summary);
		buf_add(out, "\n", 1);
	}
}

/* The next reference of a list that began at @start. */
static void put_reference(struct buf *out, size_t start, const char *name,
			  int section)
{
	if (out->len > start)
		buf_add_str(out, ",\n");
	buf_add_str(out, ".BR ");
	docgen_put_dashed(out, name);
	buf_addf(out, " (%d)", section);
}

/* Who it belongs to, what belongs to it, and the other programs. */
static void put_see_also(struct buf *out, const struct args_page *page)
{
	size_t len = strlen(page->name);
	size_t start;

	buf_add_str(out, ".SH SEE ALSO\n");
	start = out->len;
	for (size_t i = 0; i < cli_nr_commands; i++) {
		const char *name = cli_commands[i].page->name;

		if (strncmp(name, page->name, len) == 0 && name[len] == ' ')
			put_reference(out, start, name, 1);
	}
	if (page != &volt_page)
		put_reference(out, start, volt_page.name, 1);
	for (size_t i = 0; i < DOCGEN_NR_PROGRAMS; i++)
		if (page != docgen_programs[i])
			put_reference(out, start, docgen_programs[i]->name, 8);
	buf_add(out, "\n", 1);
}

void docgen_man(const struct args_page *page, int section, struct buf *out)
{
	cleanup_buf struct buf paragraph = {0};
	const char *text = page->about;

	buf_add_str(out, ".TH ");
	docgen_put_dashed(out, page->name);
	buf_addf(out, " %d \"\" \"Volt %s\"\n.SH NAME\n", section,
		 VOLT_VERSION);
	docgen_put_dashed(out, page->name);
	buf_addf(out, " \\- %s\n", page->summary);
	put_synopsis(out, page);
	buf_add_str(out, ".SH DESCRIPTION\n");
	while (text && (text = docgen_paragraph(text, &paragraph))) {
		put_text(out, paragraph.data, paragraph.len);
		buf_add_str(out, "\n.PP\n");
	}
	if (page == &volt_page)
		put_commands(out);
	man_put_options(out, page);
	if (page->exit) {
		buf_add_str(out, ".SH EXIT STATUS\n");
		put_str(out, page->exit);
		buf_add(out, "\n", 1);
	}
	if (page->examples) {
		buf_add_str(out, ".SH EXAMPLES\n.nf\n");
		put_str(out, page->examples);
		buf_add_str(out, ".fi\n");
	}
	put_see_also(out, page);
}
