/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.h - command lines as tables: one grammar for both programs
 *
 * Theory of operation
 *
 * A program, or a command of one, is a struct args_page: its options and what
 * there is to say about it. Parsing reads the table; so do --help
 * (args_help()), the man pages, the completions and docs/cli.md (src/docgen).
 *
 * The grammar: "--name VALUE", "--name=VALUE", an unambiguous beginning of a
 * name, -h for --help, and of an option that has a letter "-l", "-l VALUE";
 * letters of flags may share a dash ("-it"). A value does not begin with "--"
 * unless "=" ties it. An option is given once, but for lists. "--" ends the
 * options; what is behind it is the caller's. --help before it wins over
 * everything else, also over mistakes. Where the words are a command of
 * somebody else's (@command of the page) the first of them ends the options,
 * too: "run -i IMAGE ls --help".
 *
 * A mistake is said twice, as struct err can: in Firecracker's words, which
 * clients match, and in a person's (err_for_person()).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define ARGS_LIST_MAX  16
#define ARGS_GIVEN_MAX 96
#define ARGS_WORDS_MAX 16

enum arg_kind {
	ARG_FLAG,   /* bool */
	ARG_TEXT,   /* const char *, into argv */
	ARG_NUMBER, /* uint64_t from @min to @max */
	ARG_SIZE,   /* uint64_t, in MiB: "512", "512M", "2G" */
	ARG_CHOICE, /* unsigned int: the index of a choice */
	ARG_LIST,   /* struct arg_list: may be given several times */
};

struct arg_list {
	unsigned int nr;
	const char *text[ARGS_LIST_MAX];
};

/**
 * struct arg - one option
 * @name:	without its dashes
 * @letter:	'i' for -i; 0: none
 * @value:	how help calls its value; NULL for a flag
 * @help:	a sentence or more; it is wrapped where it is shown
 * @choices:	NULL-terminated
 * @forbids:	an option that excludes it
 * @needs:	an option without which it says nothing
 * @offset:	of its place in the caller's struct
 * @has:	offset of a bool that tells that it was given; 0: none
 * @group:	index of its heading in the page's @groups
 */
struct arg {
	const char *name;
	const char *value;
	const char *help;
	const char *const *choices;
	const char *forbids;
	const char *needs;
	uint64_t min;
	uint64_t max;
	uint32_t offset;
	uint32_t has;
	enum arg_kind kind;
	unsigned int group;
	char letter;
};

#define ARG_CHOICES(...)                 \
	.choices = (const char *const[]) \
	{                                \
		__VA_ARGS__, NULL        \
	}

enum args_rest {
	ARGS_REST_WORDS,  /* they are words, whatever they begin with */
	ARGS_REST_PASS,   /* they are the caller's: options of volt-vmm */
	ARGS_REST_IGNORE, /* nobody's */
};

/**
 * struct args_page - a command and everything there is to say about it
 * @name:	as it is typed: "volt run"
 * @summary:	a line, without a full stop
 * @usage:	what follows the name; several forms are separated by '\n'
 * @about:	paragraphs, separated by an empty line; a line that begins with
 *		two blanks stays as it is
 * @groups:	headings of the options; NULL: there is one, "Options"
 * @exit:	exit codes, in a sentence
 * @examples:	lines to be typed
 * @nr_words:	how many words it takes beside its options, at most
 * @rest:	what becomes of words behind "--"
 * @command:	the words are a command: they are not counted, and not read
 */
struct args_page {
	const char *name;
	const char *summary;
	const char *usage;
	const char *about;
	const struct arg *args;
	size_t nr_args;
	const char *const *groups;
	const char *exit;
	const char *examples;
	unsigned int nr_words;
	enum args_rest rest;
	bool command;
};

/**
 * struct args - a parsed command line
 * @help:	--help was asked for: nothing else is filled
 * @given:	the options in the order of the command line; text is NULL for a
 *		flag
 * @rest:	with ARGS_REST_PASS what is behind "--"; NULL-terminated,
 *		perhaps empty
 * @command:	the words of a page that has @command; NULL-terminated, perhaps
 *		empty
 */
struct args {
	bool help;
	unsigned int nr_given;
	struct {
		const struct arg *arg;
		const char *text;
	} given[ARGS_GIVEN_MAX];
	unsigned int nr_words;
	char *words[ARGS_WORDS_MAX];
	char **rest;
	char **command;
};

/**
 * args_parse() - read a command line
 * @argv:	argv[0] is not looked at; argv[argc] is NULL
 * @base:	the struct that the page's offsets are in
 *
 * Return: 0, or -EINVAL with a sentence that says the mistake.
 */
int args_parse(const struct args_page *page, int argc, char **argv, void *base,
	       struct args *args, struct err *err) __must_check;

/* --help, which every page has without naming it. */
extern const struct arg args_help_arg;

/* Is @word there before "--"? For what wins over mistakes. */
bool args_asks_for(int argc, char **argv, const char *word);

/* Was the option given? */
bool args_has(const struct args *args, const char *name);

/* The text of --help, for 80 columns. */
void args_help(const struct args_page *page, struct buf *out);

/* "--name VALUE", as help shows it. */
void args_put_name(const struct arg *arg, struct buf *out);

/**
 * args_put_wrapped() - @text in lines of at most 80 columns
 * @column:	where the first line goes on; the others are indented by @indent
 */
void args_put_wrapped(struct buf *out, const char *text, size_t column,
		      size_t indent);

/* A decimal number and nothing else. Return: false when it is none. */
bool args_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);
