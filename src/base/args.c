// SPDX-License-Identifier: Apache-2.0
/*
 * args.c - reading a command line (theory of operation: args.h)
 */
#include "base/args.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * struct parser - a command line on its way
 * @seen:	bit i: option i of the page
 */
struct parser {
	const struct args_page *page;
	void *base;
	struct args *args;
	uint64_t seen;
	struct err *err;
};

bool args_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || *end || n < min || n > max)
		return false;
	*out = n;
	return true;
}

/* "512", "512M", "2G", "524288K": MiB */
static bool parse_size(const char *text, uint64_t *mib)
{
	static const char units[] = "KMGT";
	uint64_t unit = MIB(1);
	uint64_t n, bytes;
	const char *p;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	if (*end) {
		p = strchr(units, toupper((unsigned char)*end));
		if (!p || end[1])
			return false;
		unit = KIB(1) << (10 * (p - units));
	}
	if (__builtin_mul_overflow(n, unit, &bytes) || bytes < MIB(1) ||
	    bytes % MIB(1) != 0)
		return false;
	*mib = bytes / MIB(1);
	return true;
}

static bool parse_choice(const struct arg *arg, const char *text,
			 unsigned int *value)
{
	for (unsigned int i = 0; arg->choices[i]; i++) {
		if (strcmp(arg->choices[i], text) == 0) {
			*value = i;
			return true;
		}
	}
	return false;
}

static int bad_value(struct parser *p, const struct arg *arg, const char *text)
{
	char range[64];
	const char *expected =
		arg->kind == ARG_CHOICE ? arg->value
		: arg->kind == ARG_SIZE
			? "a size in MiB, or one such as 512M or 2G"
			: "a number";

	if (arg->kind == ARG_NUMBER && arg->max) {
		(void)snprintf(range, sizeof(range),
			       "a number from %llu to %llu",
			       (unsigned long long)arg->min,
			       (unsigned long long)arg->max);
		expected = range;
	}
	err_set(p->err, -EINVAL,
		"The argument '%s' does not take '%s': expected %s.", arg->name,
		text, expected);
	err_plain(p->err, "--%s takes %s, not '%s'", arg->name, expected, text);
	return -EINVAL;
}

static int add_to_list(struct parser *p, const struct arg *arg,
		       const char *text)
{
	struct arg_list *list = (void *)((char *)p->base + arg->offset);

	if (list->nr == ARGS_LIST_MAX) {
		err_set(p->err, -EINVAL,
			"The argument '%s' was provided more than %d times.",
			arg->name, ARGS_LIST_MAX);
		err_plain(p->err, "--%s is given more than %d times", arg->name,
			  ARGS_LIST_MAX);
		return -EINVAL;
	}
	list->text[list->nr++] = text;
	return 0;
}

static int args_set_value(struct parser *p, const struct arg *arg,
			  const char *text)
{
	void *at = (char *)p->base + arg->offset;
	bool good = true;

	switch (arg->kind) {
	case ARG_FLAG:
		*(bool *)at = true;
		break;
	case ARG_TEXT:
		*(const char **)at = text;
		break;
	case ARG_NUMBER:
		good = args_number(text, arg->min,
				   arg->max ? arg->max : UINT64_MAX, at);
		break;
	case ARG_SIZE:
		good = parse_size(text, at);
		break;
	case ARG_CHOICE:
		good = parse_choice(arg, text, at);
		break;
	case ARG_LIST:
		return add_to_list(p, arg, text);
	}
	if (!good)
		return bad_value(p, arg, text);
	if (arg->has)
		*(bool *)((char *)p->base + arg->has) = true;
	return 0;
}

static int unexpected(struct parser *p, const char *word, const char *shown)
{
	err_set(p->err, -EINVAL,
		"Found argument '%s' which wasn't expected, or isn't valid in "
		"this context.",
		word);
	err_plain(p->err, "%s '%s'%s",
		  *shown == '-' ? "there is no option" : "one word too many:",
		  shown,
		  p->page->rest == ARGS_REST_PASS
			  ? " (options of volt-vmm come after --)"
			  : "");
	return -EINVAL;
}

static int ambiguous(struct parser *p, const char *word, const char *first,
		     const char *second)
{
	return err_set(p->err, -EINVAL,
		       "'%s' is short for --%s and for --%s: write it out",
		       word, first, second);
}

/*
 * The option that @len bytes at @name name, or begin to.
 *
 * Return: 0, or -EINVAL with the mistake.
 */
static int args_find(struct parser *p, const char *word, const char *name,
		     size_t len, const struct arg **out)
{
	const struct args_page *page = p->page;
	const struct arg *found = NULL, *second = NULL;

	for (size_t i = 0; i <= page->nr_args; i++) {
		const struct arg *arg =
			i < page->nr_args ? &page->args[i] : &args_help_arg;

		if (strncmp(arg->name, name, len) != 0)
			continue;
		if (arg->name[len] == '\0') {
			*out = arg;
			return 0;
		}
		if (found)
			second = arg;
		else
			found = arg;
	}
	if (!found || len == 0)
		return unexpected(p, name, word);
	if (second)
		return ambiguous(p, word, found->name, second->name);
	*out = found;
	return 0;
}

static int check_once(struct parser *p, const struct arg *arg)
{
	uint64_t bit = UINT64_C(1) << (arg - p->page->args);

	if ((p->seen & bit) && arg->kind != ARG_LIST) {
		err_set(p->err, -EINVAL,
			"The argument '%s' was provided more than once.",
			arg->name);
		err_plain(p->err, "--%s is given more than once", arg->name);
		return -EINVAL;
	}
	p->seen |= bit;
	return 0;
}

static int no_value(struct parser *p, const struct arg *arg)
{
	err_set(p->err, -EINVAL,
		"The argument '%s' requires a value, but none was supplied.",
		arg->name);
	err_plain(p->err, "--%s needs a value: --%s %s", arg->name, arg->name,
		  arg->value);
	return -EINVAL;
}

/* What was given: @text is behind "=", or NULL; then argv[*i] moves on to the
 * value. */
static int take_given(struct parser *p, const struct arg *arg, const char *text,
		      int argc, char **argv, int *i)
{
	int r = check_once(p, arg);

	if (r < 0)
		return r;
	if (arg->kind == ARG_FLAG && text)
		return err_set(p->err, -EINVAL, "--%s takes no value",
			       arg->name);
	if (arg->kind != ARG_FLAG && !text) {
		text = *i + 1 < argc ? argv[++*i] : NULL;
		if (!text || strncmp(text, "--", 2) == 0)
			return no_value(p, arg);
	}
	if (p->args->nr_given == ARGS_GIVEN_MAX)
		return err_set(p->err, -EINVAL, "There are too many options");
	p->args->given[p->args->nr_given].arg = arg;
	p->args->given[p->args->nr_given++].text = text;
	return args_set_value(p, arg, text);
}

/* The option at argv[*i], which moves on to its value. */
static int take_option(struct parser *p, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	const char *name = word + 2;
	const char *text = strchr(name, '=');
	const struct arg *arg = NULL;
	size_t len = text ? (size_t)(text++ - name) : strlen(name);
	int r = args_find(p, word, name, len, &arg);

	if (r < 0 || !arg)
		return r;
	if (arg == &args_help_arg) {
		p->args->help = true;
		return 0;
	}
	return take_given(p, arg, text, argc, argv, i);
}

static const struct arg *args_find_letter(const struct args_page *page,
					  char letter)
{
	for (size_t i = 0; i < page->nr_args; i++)
		if (page->args[i].letter == letter)
			return &page->args[i];
	return NULL;
}

/* "-i", "-it", "-e VALUE": only the last one may have a value. */
static int take_letters(struct parser *p, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	int r = 0;

	if (strcmp(word, "-h") == 0) {
		p->args->help = true;
		return 0;
	}
	for (const char *at = word + 1; *at && r == 0; at++) {
		const struct arg *arg = args_find_letter(p->page, *at);

		if (!arg || (arg->kind != ARG_FLAG && at[1]))
			return unexpected(p, word, word);
		r = take_given(p, arg, NULL, argc, argv, i);
	}
	return r;
}

static int args_take_word(struct parser *p, char *word)
{
	if (p->args->nr_words == p->page->nr_words)
		return unexpected(p, word, word);
	p->args->words[p->args->nr_words++] = word;
	return 0;
}

static int take_rest(struct parser *p, char **words)
{
	int r = 0;

	if (p->page->rest == ARGS_REST_PASS)
		p->args->rest = words;
	if (p->page->rest == ARGS_REST_WORDS)
		for (; *words && r == 0; words++)
			r = args_take_word(p, *words);
	return r;
}

static int take_command(struct parser *p, char **words)
{
	p->args->command = words;
	return 0;
}

static int args_take_all(struct parser *p, int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc && r == 0 && !p->args->help; i++) {
		char *word = argv[i];

		if (strcmp(word, "--") == 0)
			return take_rest(p, argv + i + 1);
		if (strncmp(word, "--", 2) == 0)
			r = take_option(p, argc, argv, &i);
		else if (word[0] == '-' && word[1])
			r = take_letters(p, argc, argv, &i);
		else if (p->page->command)
			return take_command(p, argv + i);
		else
			r = args_take_word(p, word);
	}
	return r;
}

bool args_has(const struct args *args, const char *name)
{
	for (unsigned int i = 0; i < args->nr_given; i++)
		if (strcmp(args->given[i].arg->name, name) == 0)
			return true;
	return false;
}

static int args_check_rules(struct parser *p)
{
	for (size_t i = 0; i < p->page->nr_args; i++) {
		const struct arg *arg = &p->page->args[i];

		if (!((p->seen >> i) & 1))
			continue;
		if (arg->forbids && args_has(p->args, arg->forbids)) {
			err_set(p->err, -EINVAL,
				"Argument '%s' cannot be used together with "
				"argument '%s'.",
				arg->name, arg->forbids);
			err_plain(p->err, "--%s does not go with --%s",
				  arg->name, arg->forbids);
			return -EINVAL;
		}
		if (arg->needs && !args_has(p->args, arg->needs)) {
			err_set(p->err, -EINVAL,
				"Argument '%s' required, but not found.",
				arg->needs);
			err_plain(p->err, "--%s needs --%s", arg->name,
				  arg->needs);
			return -EINVAL;
		}
	}
	return 0;
}

bool args_asks_for(int argc, char **argv, const char *word)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

/* The same of a page whose words are a command. A value may say anything; so it
 * is told from a word as args_take_all() tells it. */
static bool args_asks_for_help(const struct args_page *page, int argc,
			       char **argv)
{
	struct err ignored;
	struct parser p = {.page = page, .err = &ignored};

	if (!page->command)
		return args_asks_for(argc, argv, "--help");
	for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *word = argv[i];
		const struct arg *arg = NULL;

		if (strcmp(word, "--") == 0)
			return false;
		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
			return true;
		if (strncmp(word, "--", 2) != 0)
			arg = args_find_letter(page, word[strlen(word) - 1]);
		else if (strchr(word, '=') ||
			 args_find(&p, word, word + 2, strlen(word + 2), &arg) <
				 0)
			continue;
		if (arg && arg->kind != ARG_FLAG && arg != &args_help_arg &&
		    i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0)
			i++;
	}
	return false;
}

int args_parse(const struct args_page *page, int argc, char **argv, void *base,
	       struct args *args, struct err *err)
{
	struct parser p = {
		.page = page, .base = base, .args = args, .err = err};
	int r;

	assert(page->nr_args <= 64 && page->nr_words <= ARGS_WORDS_MAX);
	*args = (struct args){.help = args_asks_for_help(page, argc, argv)};
	args->rest = args->command = argv + argc;
	if (args->help)
		return 0;
	r = args_take_all(&p, argc, argv);
	if (r < 0 || args->help)
		return r;
	return args_check_rules(&p);
}
