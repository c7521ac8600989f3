/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docgen.h - documents out of the tables that the programs parse by
 *
 * A program of the build, not for users: man pages, completions for bash, zsh
 * and fish, and docs/cli.md come from struct args_page, as --help does. So none
 * of them can name an option that is not there, or leave one out.
 */
#pragma once

#include "cli/cli.h"

/* The programs beside `volt`, which has commands. */
#define DOCGEN_NR_PROGRAMS 4
extern const struct args_page *const docgen_programs[DOCGEN_NR_PROGRAMS];

/* "volt-net-add" of "volt net add", for file and page names. */
void docgen_put_dashed(struct buf *out, const char *name);

/* What an option's value is, for who completes it. */
enum docgen_value {
	DOCGEN_NONE,    /* it takes none */
	DOCGEN_FILE,    /* a file or directory */
	DOCGEN_CHOICES, /* one of arg->choices */
	DOCGEN_OTHER,
};
enum docgen_value docgen_value_of(const struct arg *arg);

/* The next paragraph of a page's @about, its lines joined. @out is emptied.
 * Return: what follows; NULL at the end. */
const char *docgen_paragraph(const char *text, struct buf *out);

void docgen_man(const struct args_page *page, int section, struct buf *out);
void docgen_markdown(struct buf *out);
void docgen_calls(struct buf *out);
void docgen_bash(struct buf *out);
void docgen_zsh(struct buf *out);
void docgen_fish(struct buf *out);
