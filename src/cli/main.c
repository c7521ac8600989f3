// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - `volt`: finds the command that its words name
 */
#include "cli/cli.h"

#include "host/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char program[] = "volt ";

/* Behind "volt "; a form has a blank in it. */
static const char *words_of(const struct command *command)
{
	return command->page->name + strlen(program);
}

static bool is_form(const struct command *command)
{
	return strchr(words_of(command), ' ') != NULL;
}

/* The program's page, with the commands in front of its options. */
static int cli_print_help(FILE *out)
{
	cleanup_buf struct buf text = {0};
	const char *options;

	args_help(&volt_page, &text);
	buf_add(&text, "", 1);
	if (text.failed)
		return cli_complain(CLI_EXIT_FAILED, NULL, "out of memory");
	options = strstr(text.data, "\nOptions:");
	(void)fprintf(out, "%.*s\nCommands:\n", (int)(options - text.data),
		      text.data);
	for (size_t i = 0; i < cli_nr_commands; i++)
		if (!is_form(&cli_commands[i]))
			(void)fprintf(out, "  %-18s  %s\n",
				      words_of(&cli_commands[i]),
				      cli_commands[i].page->summary);
	(void)fputs(options, out);
	return 0;
}

/* Does @words begin with @count words, @word[0] and so on? */
static bool fits(const char *words, char **word, int count, int *nr)
{
	*nr = 0;
	while (*words) {
		size_t len = strcspn(words, " ");

		if (*nr == count || strlen(word[*nr]) != len ||
		    memcmp(word[*nr], words, len) != 0)
			return false;
		++*nr;
		words += len;
		words += *words == ' ';
	}
	return true;
}

/* The command that the first words name, the longest. @nr: how many. */
static const struct command *find_command(char **word, int count, int *nr)
{
	const struct command *best = NULL;
	int n;

	*nr = 0;
	for (size_t i = 0; i < cli_nr_commands; i++) {
		if (fits(words_of(&cli_commands[i]), word, count, &n) &&
		    n > *nr) {
			best = &cli_commands[i];
			*nr = n;
		}
	}
	return best;
}

static int unknown(const char *word)
{
	return cli_complain(CLI_EXIT_USAGE, NULL,
			    "there is no command '%s'; `volt --help` lists "
			    "them.",
			    word);
}

/* volt help [COMMAND...] */
static int help(char **word, int count)
{
	const struct command *command;
	int nr;

	if (count == 0 || word[0][0] == '-')
		return cli_print_help(stdout);
	command = find_command(word, count, &nr);
	return command ? cli_help(command->page) : unknown(word[0]);
}

/* A command that only has forms. */
static int show_forms(const struct command *command, int argc, char **argv)
{
	struct args args;
	struct err err;

	if (args_parse(command->page, argc, argv, NULL, &args, &err) == 0 &&
	    args.help)
		return cli_help(command->page);
	if (argc > 1 && argv[1][0] != '-')
		return cli_misuse(command->page, "it has no form '%s'",
				  argv[1]);
	return cli_misuse(command->page, "which of its forms?");
}

static int cli_run(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct command *command;
	int nr;

	if (!word) {
		(void)cli_print_help(stderr);
		return CLI_EXIT_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
	    strcmp(word, "help") == 0)
		return help(argv + 2, argc - 2);
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		(void)puts("volt " VOLT_VERSION);
		return 0;
	}
	command = find_command(argv + 1, argc - 1, &nr);
	if (!command)
		return unknown(word);
	argc -= nr;
	argv += nr;
	return command->run ? command->run(command->page, argc, argv)
			    : show_forms(command, argc, argv);
}

int main(int argc, char **argv)
{
	int code;

	if (stream_fill_standard() < 0)
		return CLI_EXIT_FAILED;
	code = cli_run(argc, argv);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	return cli_complain(CLI_EXIT_FAILED, NULL,
			    "cannot write to standard output: %s",
			    err_name(errno));
}
