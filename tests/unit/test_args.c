// SPDX-License-Identifier: Apache-2.0
/*
 * test_args.c - command lines by a table, and text of others made harmless
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/clean.h"

struct opts {
	const char *text;
	const char *metrics;
	uint64_t size;
	uint64_t number;
	unsigned int choice;
	bool flag;
	bool has_number;
	struct arg_list list;
};

#define AT(member) .offset = offsetof(struct opts, member)

static const struct arg table[] = {
	{.name = "memory",
	 .kind = ARG_SIZE,
	 .value = "SIZE",
	 AT(size),
	 .help = "so much"},
	{.name = "metrics",
	 .kind = ARG_TEXT,
	 .value = "PATH",
	 AT(metrics),
	 .help = "a file whose name is that of the metrics, and whose help is "
		 "so long that it takes two lines"},
	{.name = "text",
	 .letter = 't',
	 .kind = ARG_TEXT,
	 .value = "TEXT",
	 AT(text),
	 .help = "words"},
	{.name = "text-mode",
	 .letter = 'm',
	 .kind = ARG_FLAG,
	 AT(flag),
	 .needs = "text",
	 .help = "a flag"},
	{.name = "number",
	 .kind = ARG_NUMBER,
	 .value = "N",
	 .min = 2,
	 .max = 32,
	 AT(number),
	 .has = offsetof(struct opts, has_number),
	 .help = "how many"},
	{.name = "choice",
	 .kind = ARG_CHOICE,
	 .value = "a|b",
	 ARG_CHOICES("a", "b"),
	 AT(choice),
	 .forbids = "number",
	 .help = "which"},
	{.name = "list",
	 .kind = ARG_LIST,
	 .value = "X",
	 AT(list),
	 .help = "many"},
};

static struct args_page page = {
	.name = "prog",
	.usage = "[OPTIONS] WORD\nOTHER",
	.about = "It does\nthis.\n\n  as is\n",
	.args = table,
	.nr_args = ARRAY_SIZE(table),
	.nr_words = 1,
	.exit = "0 good; 1 bad",
};

/* Splits at blanks; "~" stands for an empty word. */
static int parse(const char *line, struct opts *opts, struct args *args,
		 struct err *err)
{
	static char words[512];
	static char *argv[48];
	char *save = NULL;
	int argc = 0;

	(void)snprintf(words, sizeof(words), "prog %s", line);
	for (char *w = strtok_r(words, " ", &save); w;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(w, "~") == 0 ? w + 1 : w;
	argv[argc] = NULL;
	*opts = (struct opts){0};
	return args_parse(&page, argc, argv, opts, args, err);
}

static void good_lines(void **state)
{
	struct opts o;
	struct args a;
	struct err err;

	(void)state;
	assert_int_equal(parse("--text x --text-mode w", &o, &a, &err), 0);
	assert_string_equal(o.text, "x");
	assert_true(o.flag);
	assert_int_equal(a.nr_words, 1);
	assert_string_equal(a.words[0], "w");
	assert_true(args_has(&a, "text") && !args_has(&a, "list"));
	/* An exact name wins over one that it begins. */
	assert_int_equal(parse("--text=--x=y --mem 2G", &o, &a, &err), 0);
	assert_string_equal(o.text, "--x=y");
	assert_int_equal(o.size, 2048);
	assert_int_equal(
		parse("--num=32 --li a --list=b --lis ~", &o, &a, &err), 0);
	assert_int_equal(o.number, 32);
	assert_true(o.has_number);
	assert_int_equal(o.list.nr, 3);
	assert_string_equal(o.list.text[1], "b");
	assert_string_equal(o.list.text[2], "");
	assert_int_equal(parse("--choice b -- --text", &o, &a, &err), 0);
	assert_int_equal(o.choice, 1);
	assert_string_equal(a.words[0], "--text");
	assert_null(a.rest[0]);
	assert_int_equal(parse("-", &o, &a, &err), 0);
	page.rest = ARGS_REST_PASS;
	assert_int_equal(parse("w -- --text x", &o, &a, &err), 0);
	assert_null(o.text);
	assert_string_equal(a.rest[0], "--text");
	page.rest = ARGS_REST_IGNORE;
	assert_int_equal(parse("-- --text x", &o, &a, &err), 0);
	assert_int_equal(a.nr_words, 0);
	page.rest = ARGS_REST_WORDS;
}

static void help_wins(void **state)
{
	static const char *const lines[] = {
		"--help", "-h", "--nonsense --help", "w --hel", "--text --help",
	};
	struct opts o;
	struct args a;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(lines[i], &o, &a, &err), 0);
		assert_true(a.help);
	}
	assert_int_equal(parse("-- --help", &o, &a, &err), 0);
	assert_false(a.help);
}

/* A page whose words are a command: the first of them ends the options. */
static void commands(void **state)
{
	static const struct {
		const char *line;
		bool help;
		int r;
		const char *first;
	} rows[] = {
		{"image ls --help", false, 0, "image"},
		{"--text-mode --text x image -- -h", false, 0, "image"},
		{"-mt x image", false, 0, "image"},
		{"-t x -m image -t", false, 0, "image"},
		{"--help image", true, 0, NULL},
		{"-t x --help image", true, 0, NULL},
		{"--nonsense --help image", true, 0, NULL},
		{"-z --help", true, 0, NULL},
		{"--text image --help", true, 0, NULL},
		{"--text=x image --help", false, 0, "image"},
		{"-t --help", true, 0, NULL},
		{"-m -- --help", false, -EINVAL, NULL}, /* -m needs -t */
		{"-tm x image", false, -EINVAL, NULL},
		{"-z image", false, -EINVAL, NULL},
		{"-t", false, -EINVAL, NULL},
		{"-mm image", false, -EINVAL, NULL},
	};
	struct opts o;
	struct args a;
	struct err err;

	(void)state;
	page.command = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].line, &o, &a, &err), rows[i].r);
		assert_int_equal(a.help, rows[i].help);
		if (rows[i].first)
			assert_string_equal(a.command[0], rows[i].first);
	}
	assert_int_equal(parse("-mt x image a b", &o, &a, &err), 0);
	assert_true(o.flag);
	assert_string_equal(o.text, "x");
	assert_string_equal(a.command[2], "b");
	assert_null(a.command[3]);
	assert_int_equal(parse("--text x", &o, &a, &err), 0);
	assert_null(a.command[0]);
	page.command = false;
}

static void bad_lines(void **state)
{
	static const struct {
		const char *line;
		const char *plain;
	} rows[] = {
		{"--nope", "there is no option '--nope'"},
		{"--", NULL},
		{"---", "there is no option '---'"},
		{"--=x", "there is no option '--=x'"},
		{"-x", "there is no option '-x'"},
		{"-text", "there is no option '-text'"},
		{"a b", "one word too many: 'b'"},
		{"-- a b", "one word too many: 'b'"},
		{"--me 5", "'--me' is short for --memory and for --metrics: "
			   "write it out"},
		{"--text", "--text needs a value: --text TEXT"},
		{"--text --list", "--text needs a value: --text TEXT"},
		{"--text a --tex b", "'--tex' is short for --text and for "
				     "--text-mode: write it out"},
		{"--text a --text=b", "--text is given more than once"},
		{"--text-mode=1 --text x", "--text-mode takes no value"},
		{"--text-mode", "--text-mode needs --text"},
		{"--choice a --number 2", "--choice does not go with --number"},
		{"--choice c", "--choice takes a|b, not 'c'"},
		{"--choice ~", "--choice takes a|b, not ''"},
		{"--number 1", "--number takes a number from 2 to 32, not '1'"},
		{"--number=33", "--number takes a number from 2 to 32, not "
				"'33'"},
		{"--number=-2", "--number takes a number from 2 to 32, not "
				"'-2'"},
		{"--number=2x", "--number takes a number from 2 to 32, not "
				"'2x'"},
		{"--memory 1K", "--memory takes a size in MiB, or one such as "
				"512M or 2G, not '1K'"},
		{"--memory=99999999999999999999",
		 "--memory takes a size in MiB, or one such as 512M or 2G, "
		 "not '99999999999999999999'"},
		{"--memory=17592186044416",
		 "--memory takes a size in MiB, or one such as 512M or 2G, "
		 "not '17592186044416'"},
		{"--list 1 --list 2 --list 3 --list 4 --list 5 --list 6 "
		 "--list 7 --list 8 --list 9 --list 10 --list 11 --list 12 "
		 "--list 13 --list 14 --list 15 --list 16 --list 17",
		 "--list is given more than 16 times"},
	};
	struct opts o;
	struct args a;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = parse(rows[i].line, &o, &a, &err);

		assert_int_equal(r, rows[i].plain ? -EINVAL : 0);
		if (rows[i].plain)
			assert_string_equal(err_for_person(&err),
					    rows[i].plain);
	}
}

static void help_text(void **state)
{
	static const char want[] =
		"Usage: prog [OPTIONS] WORD\n"
		"       prog OTHER\n"
		"\n"
		"It does this.\n"
		"\n"
		"  as is\n"
		"\n"
		"Options:\n"
		"  --memory SIZE       so much\n"
		"  --metrics PATH      a file whose name is that of the "
		"metrics, and whose help\n"
		"                      is so long that it takes two lines\n"
		"  --text TEXT         words\n"
		"  --text-mode         a flag\n"
		"  --number N          how many\n"
		"  --choice a|b        which\n"
		"  --list X            many\n"
		"  --help              this text; -h does the same\n"
		"\n"
		"Exit code: 0 good; 1 bad\n";
	cleanup_buf struct buf out = {0};

	(void)state;
	args_help(&page, &out);
	buf_add(&out, "", 1);
	assert_false(out.failed);
	assert_string_equal(out.data, want);
}

static void cleaned(void **state)
{
	static const struct {
		const char *from;
		const char *to;
	} rows[] = {
		{"", ""},
		{"plain \\ text", "plain \\ text"},
		{"two\nlines\r\tand", "two\\nlines\\r\\tand"},
		{"\x1b[2J\a\x7f", "\\x1b[2J\\x07\\x7f"},
		{"gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x98\x80",
		 "gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xc2\x9b\x33\x31m", "\\xc2\\x9b31m"},
		{"\xe2\x80\xae"
		 "abc",
		 "\\xe2\\x80\\xae"
		 "abc"},
		{"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},
		{"\xff\xfe", "\\xff\\xfe"},
		{"\xc3", "\\xc3"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
		{"\xc0\xaf", "\\xc0\\xaf"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].from);
		cleanup_buf struct buf buf = {0};

		assert_int_equal(
			clean_text(out, sizeof(out), rows[i].from, len),
			strlen(rows[i].to));
		assert_string_equal(out, rows[i].to);
		buf_add_clean(&buf, rows[i].from, len);
		assert_int_equal(buf.len, strlen(rows[i].to));
		/* Cut between two characters, whatever the room. */
		for (size_t size = 1; size < sizeof(out); size++) {
			char *tight = malloc(size);
			size_t n;

			assert_non_null(tight);
			n = clean_text(tight, size, rows[i].from, len);
			assert_true(n < size);
			assert_int_equal(tight[n], 0);
			assert_memory_equal(tight, rows[i].to, n);
			free(tight);
		}
	}
	assert_int_equal(clean_text(out, 0, "x", 1), 0);
	assert_int_equal(clean_text(out, sizeof(out), "a\0b", 3), 6);
	assert_string_equal(out, "a\\x00b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines), cmocka_unit_test(help_wins),
		cmocka_unit_test(commands),   cmocka_unit_test(bad_lines),
		cmocka_unit_test(help_text),  cmocka_unit_test(cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
