// SPDX-License-Identifier: Apache-2.0
/*
 * completion.c - what bash, zsh and fish complete
 */
#include "docgen/docgen.h"

#include <string.h>

/* Words of ours that a shell reads within single quotes. */
static void put_quoted(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add(out, text, 1);
	}
}

static const char *completion_words_of(const struct command *command)
{
	return command->page->name + strlen("volt ");
}

static bool completion_is_form(const struct command *command)
{
	return strchr(completion_words_of(command), ' ') != NULL;
}

/* Does it take the name of a VM that runs? */
static bool names_a_vm(const struct args_page *page)
{
	return strstr(page->usage, "NAME") && page != &cmd_net_add_page &&
	       page != &cmd_net_del_page && page != &cmd_run_page &&
	       page != &cmd_net_page;
}

/* One branch of a shell's `case`; @command: NULL for a program. */
typedef void case_fn(struct buf *out, const struct args_page *page,
		     const char *pattern, const struct command *command);

/* Of all: a form's pattern is its two words, a command's only the first. */
static void put_some_cases(struct buf *out, case_fn *put, bool forms)
{
	for (size_t i = 0; i < cli_nr_commands; i++) {
		const struct command *command = &cli_commands[i];
		cleanup_buf struct buf pattern = {0};

		if (completion_is_form(command) != forms)
			continue;
		buf_addf(&pattern, "'%s%s'%s", completion_words_of(command),
			 forms ? "" : " ", forms ? "" : "*");
		buf_add(&pattern, "", 1);
		if (pattern.failed)
			out->failed = true;
		else
			put(out, command->page, pattern.data, command);
	}
}

/* The first one that fits counts. */
static void put_cases(struct buf *out, case_fn *put)
{
	for (size_t i = 0; i < DOCGEN_NR_PROGRAMS; i++)
		put(out, docgen_programs[i], docgen_programs[i]->name, NULL);
	put_some_cases(out, put, true);
	put_some_cases(out, put, false);
}

#define VM_NAMES "volt ps 2>/dev/null | awk 'NR > 1 { print $1 }'"

static void put_programs(struct buf *out)
{
	for (size_t i = 0; i < DOCGEN_NR_PROGRAMS; i++)
		buf_addf(out, " %s", docgen_programs[i]->name);
}

/* ---- bash ---- */

static void bash_options(struct buf *out, const struct args_page *page)
{
	for (size_t i = 0; i < page->nr_args; i++)
		buf_addf(out, "--%s ", page->args[i].name);
	buf_add_str(out, "--help");
}

static void bash_values(struct buf *out, const struct args_page *page)
{
	for (size_t i = 0; i < page->nr_args; i++) {
		const struct arg *arg = &page->args[i];

		switch (docgen_value_of(arg)) {
		case DOCGEN_NONE:
			break;
		case DOCGEN_FILE:
			buf_addf(out, "\t\t--%s) files=1 ;;\n", arg->name);
			break;
		case DOCGEN_CHOICES:
			buf_addf(out, "\t\t--%s) list='", arg->name);
			for (size_t k = 0; arg->choices[k]; k++)
				buf_addf(out, "%s%s", k ? " " : "",
					 arg->choices[k]);
			buf_add_str(out, "' ;;\n");
			break;
		case DOCGEN_OTHER:
			buf_addf(out, "\t\t--%s) list='' ;;\n", arg->name);
			break;
		}
	}
}

static void bash_forms(struct buf *out, const struct command *command)
{
	size_t len = strlen(completion_words_of(command));

	for (size_t i = 0; i < cli_nr_commands; i++)
		if (strncmp(completion_words_of(&cli_commands[i]),
			    completion_words_of(command), len) == 0 &&
		    completion_words_of(&cli_commands[i])[len] == ' ')
			buf_addf(out, " %s",
				 completion_words_of(&cli_commands[i]) + len +
					 1);
}

static void bash_case(struct buf *out, const struct args_page *page,
		      const char *pattern, const struct command *command)
{
	buf_addf(out, "\t%s)\n\t\tlist='", pattern);
	bash_options(out, page);
	if (command && !completion_is_form(command))
		bash_forms(out, command);
	buf_add_str(out, "'\n");
	if (names_a_vm(page))
		buf_add_str(out, "\t\tlist+=\" $(" VM_NAMES ")\"\n");
	buf_add_str(out, "\t\tcase $prev in\n");
	bash_values(out, page);
	buf_add_str(out, "\t\tesac ;;\n");
}

void docgen_bash(struct buf *out)
{
	buf_add_str(out,
		    "# bash completion of Volt's programs; made by docgen\n"
		    "_volt()\n"
		    "{\n"
		    "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
		    "\tlocal prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
		    "\tlocal list='' files=''\n"
		    "\tlocal key=\"${COMP_WORDS[1]} ${COMP_WORDS[2]}\"\n"
		    "\n"
		    "\tif [[ ${COMP_WORDS[0]##*/} == volt-* ]]; then\n"
		    "\t\tkey=${COMP_WORDS[0]##*/}\n"
		    "\telif [[ $COMP_CWORD == 1 ]]; then\n"
		    "\t\tkey=\n"
		    "\tfi\n"
		    "\tcase $key in\n"
		    "\t'')\n\t\tlist='help --help --version");
	for (size_t i = 0; i < cli_nr_commands; i++)
		if (!completion_is_form(&cli_commands[i]))
			buf_addf(out, " %s",
				 completion_words_of(&cli_commands[i]));
	buf_add_str(out, "' ;;\n");
	put_cases(out, bash_case);
	buf_add_str(out,
		    "\tesac\n"
		    "\tif [[ -n $files ]]; then\n"
		    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
		    "\telse\n"
		    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$list\" -- "
		    "\"$cur\")\n"
		    "\t\t[[ ${#COMPREPLY[@]} == 0 && $cur != -* ]] &&\n"
		    "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
		    "\tfi\n"
		    "\treturn 0\n"
		    "}\n"
		    "complete -o filenames -F _volt volt");
	put_programs(out);
	buf_add(out, "\n", 1);
}

/* ---- zsh ---- */

/* In an _arguments spec, within single quotes. */
static void zsh_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("[]:\\", *text))
			buf_add(out, "\\", 1);
		if (*text == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add(out, text, 1);
	}
}

static void zsh_option(struct buf *out, const struct arg *arg)
{
	enum docgen_value value = docgen_value_of(arg);

	buf_addf(out, " \\\n\t\t'%s--%s%s[", arg->kind == ARG_LIST ? "*" : "",
		 arg->name, value == DOCGEN_NONE ? "" : "=");
	zsh_text(out, arg->help);
	buf_add_str(out, "]");
	if (value != DOCGEN_NONE) {
		buf_add_str(out, ":");
		zsh_text(out, arg->value);
		buf_add_str(out, ":");
	}
	if (value == DOCGEN_FILE)
		buf_add_str(out, "_files");
	if (value == DOCGEN_CHOICES) {
		buf_add_str(out, "(");
		for (size_t k = 0; arg->choices[k]; k++)
			buf_addf(out, "%s%s", k ? " " : "", arg->choices[k]);
		buf_add_str(out, ")");
	}
	buf_add_str(out, "'");
}

static void zsh_case(struct buf *out, const struct args_page *page,
		     const char *pattern, const struct command *command)
{
	(void)command;
	buf_addf(out, "\t%s)\n\t\t_arguments", pattern);
	for (size_t i = 0; i < page->nr_args; i++)
		zsh_option(out, &page->args[i]);
	buf_addf(out, " \\\n\t\t'--help[this text]' \\\n\t\t'*:word:%s' ;;\n",
		 names_a_vm(page) ? "_volt_words" : "_files");
}

void docgen_zsh(struct buf *out)
{
	buf_add_str(out, "#compdef volt");
	put_programs(out);
	buf_add_str(out, "\n"
			 "# zsh completion of Volt's programs; made by docgen\n"
			 "_volt_words() {\n"
			 "\tlocal -a names=($(" VM_NAMES "))\n"
			 "\t(( $#names )) && _values VM $names\n"
			 "\t_files\n"
			 "}\n"
			 "_volt_commands() {\n"
			 "\tlocal -a commands=(\n");
	for (size_t i = 0; i < cli_nr_commands; i++) {
		if (completion_is_form(&cli_commands[i]))
			continue;
		buf_addf(out,
			 "\t\t'%s:", completion_words_of(&cli_commands[i]));
		put_quoted(out, cli_commands[i].page->summary);
		buf_add_str(out, "'\n");
	}
	buf_add_str(out, "\t\t'help:of a command'\n"
			 "\t)\n"
			 "\t_describe command commands\n"
			 "}\n"
			 "_volt() {\n"
			 "\tlocal key=\"$words[2] $words[3]\"\n"
			 "\n"
			 "\t[[ $service == volt-* ]] && key=$service\n"
			 "\tif [[ $CURRENT == 2 && $key != volt-* ]]; then\n"
			 "\t\t_volt_commands\n"
			 "\t\treturn\n"
			 "\tfi\n"
			 "\tcase $key in\n");
	put_cases(out, zsh_case);
	buf_add_str(out, "\tesac\n}\n_volt \"$@\"\n");
}

/* ---- fish ---- */

static void fish_options(struct buf *out, const char *program,
			 const char *condition, const struct args_page *page)
{
	for (size_t i = 0; i < page->nr_args; i++) {
		const struct arg *arg = &page->args[i];
		enum docgen_value value = docgen_value_of(arg);

		buf_addf(out, "complete -c %s%s -l %s%s -d '", program,
			 condition, arg->name,
			 value == DOCGEN_NONE   ? ""
			 : value == DOCGEN_FILE ? " -r -F"
						: " -x");
		/* fish: a quote within quotes has a backslash. */
		for (const char *p = arg->help; *p; p++) {
			if (*p == '\'' || *p == '\\')
				buf_add(out, "\\", 1);
			buf_add(out, p, 1);
		}
		buf_add_str(out, "'");
		if (value == DOCGEN_CHOICES) {
			buf_add_str(out, " -a '");
			for (size_t k = 0; arg->choices[k]; k++)
				buf_addf(out, "%s%s", k ? " " : "",
					 arg->choices[k]);
			buf_add_str(out, "'");
		}
		buf_add(out, "\n", 1);
	}
}

static void fish_command(struct buf *out, const struct command *command)
{
	cleanup_buf struct buf condition = {0};
	const char *words = completion_words_of(command);
	const char *form = strchr(words, ' ');

	if (form) {
		buf_addf(&condition,
			 " -n '__fish_seen_subcommand_from %.*s; and "
			 "__fish_seen_subcommand_from %s'",
			 (int)(form - words), words, form + 1);
		buf_addf(out,
			 "complete -c volt -n '__fish_seen_subcommand_from "
			 "%.*s' -a %s -d '",
			 (int)(form - words), words, form + 1);
	} else {
		buf_addf(&condition, " -n '__fish_seen_subcommand_from %s'",
			 words);
		buf_addf(out,
			 "complete -c volt -n __fish_use_subcommand -f -a %s "
			 "-d '",
			 words);
	}
	for (const char *p = command->page->summary; *p; p++) {
		if (*p == '\'')
			buf_add(out, "\\", 1);
		buf_add(out, p, 1);
	}
	buf_add_str(out, "'\n");
	if (names_a_vm(command->page))
		buf_addf(out,
			 "complete -c volt -n '__fish_seen_subcommand_from %s' "
			 "-a '(volt ps 2>/dev/null | tail -n +2 | string "
			 "split -f 1 \" \")'\n",
			 words);
	buf_add(&condition, "", 1);
	if (condition.failed)
		out->failed = true;
	else
		fish_options(out, "volt", condition.data, command->page);
}

void docgen_fish(struct buf *out)
{
	buf_add_str(out,
		    "# fish completion of volt and volt-vmm; made by docgen\n"
		    "complete -c volt -l help -s h -d 'help'\n"
		    "complete -c volt -n __fish_use_subcommand -f -a help -d "
		    "'help of a command'\n");
	for (size_t i = 0; i < cli_nr_commands; i++)
		fish_command(out, &cli_commands[i]);
	for (size_t i = 0; i < DOCGEN_NR_PROGRAMS; i++)
		fish_options(out, docgen_programs[i]->name, "",
			     docgen_programs[i]);
}
