// SPDX-License-Identifier: Apache-2.0
/*
 * test_json.c - the JSON reader: what it takes, what it refuses and how
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

static int skip_text(const char *text, size_t len, struct err *err)
{
	struct json json;
	int r;

	json_init(&json, text, len, err);
	r = json_skip(&json);
	return r < 0 ? r : json_end(&json);
}

static void good_texts(void **state)
{
	static const char *const texts[] = {
		"0",
		"-1",
		"18446744073709551615",
		"1.5",
		"1e5",
		"-0.0E-3",
		"1e-400",
		"true",
		"false",
		"null",
		"\"\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
		"\"\xc3\xa9\xf0\x9f\x98\x80\"",
		"[]",
		"[1,[2,[3]]]",
		"{}",
		" \t\r\n{ \"a\" : [ 1 , { } ] } \n",
		"123456789012345678901234567890",
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (skip_text(texts[i], strlen(texts[i]), &err) != 0)
			fail_msg("%s: %s", texts[i], err.text);
}

static void bad_texts(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} rows[] = {
		{"", "EOF while parsing a value at line 1 column 0"},
		{"{", "EOF while parsing an object at line 1 column 1"},
		{"[", "EOF while parsing a list at line 1 column 1"},
		{"[1", "EOF while parsing a list at line 1 column 2"},
		{"[1,", "EOF while parsing a value at line 1 column 3"},
		{"[1,]", "trailing comma at line 1 column 4"},
		{"[1 2]", "expected `,` or `]` at line 1 column 4"},
		{"{bad", "key must be a string at line 1 column 2"},
		{"{\"a\"", "EOF while parsing an object at line 1 column 4"},
		{"{\"a\" 1}", "expected `:` at line 1 column 6"},
		{"{\"a\":", "EOF while parsing a value at line 1 column 5"},
		{"{\"a\":1", "EOF while parsing an object at line 1 column 6"},
		{"{\"a\":1 \"b\"", "expected `,` or `}` at line 1 column 8"},
		{"{\"a\":1,}", "trailing comma at line 1 column 8"},
		{"\"abc", "EOF while parsing a string at line 1 column 4"},
		{"\"\\x\"", "invalid escape at line 1 column 3"},
		{"\"\\u12g4\"", "invalid escape at line 1 column 6"},
		{"\"\\ud800\"", "unexpected end of hex escape"},
		{"\"\\udc00\"", "lone leading surrogate in hex escape"},
		{"\"\\ud800\\u0041\"", "lone leading surrogate in hex escape"},
		{"\"a\nb\"", "control character (\\u0000-\\u001F)"},
		{"\"\xff\"", "invalid unicode code point"},
		{"\"\xc0\x80\"", "invalid unicode code point"},
		{"\"\xed\xa0\x80\"", "invalid unicode code point"},
		{"tru", "EOF while parsing a value"},
		{"trux", "expected ident"},
		{"nul1", "expected ident"},
		{"x", "expected value at line 1 column 1"},
		{"01", "invalid number"},
		{"-", "EOF while parsing a value"},
		{"-a", "invalid number"},
		{"1.", "EOF while parsing a value"},
		{"1.x", "invalid number"},
		{"1e", "EOF while parsing a value"},
		{"1e400", "number out of range at line 1 column 5"},
		{"+1", "expected value"},
		{".5", "expected value"},
		{"NaN", "expected value"},
		{"{}x", "trailing characters at line 1 column 3"},
		{"1 2", "trailing characters at line 1 column 3"},
		{"{\n\"a\": x}", "expected value at line 2 column 6"},
		{"/* c */ 1", "expected value"},
		{"'a'", "expected value"},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;

		memset(&err, 0, sizeof(err));
		assert_int_equal(skip_text(text, strlen(text), &err), -EINVAL);
		if (strncmp(err.text, rows[i].error, strlen(rows[i].error)))
			fail_msg("%s: \"%s\", not \"%s\"", text, err.text,
				 rows[i].error);
	}
}

/* A NUL is a byte like any other that does not belong there, and no end. */
static void raw_nul(void **state)
{
	static const struct {
		char text[8];
		size_t len;
	} rows[] = {
		{"9\0", 2},   {"{}\0", 3},    {"\0001", 2},
		{"[1\0]", 4}, {"\"a\0\"", 4},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(skip_text(rows[i].text, rows[i].len, &err),
				 -EINVAL);
}

/* No text is read behind its end: every prefix, without a byte behind it. */
static void every_prefix(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2.5e+3,true,null,\"\\u00e9\\ud83d\\ude00\\n\"],"
		"\"b\":{\"c\":false}}";
	struct err err;

	(void)state;
	for (size_t len = 0; len < strlen(text); len++) {
		char *copy = malloc(len + 1);

		assert_non_null(copy);
		memcpy(copy, text, len);
		copy[len] = '"';
		assert_int_equal(skip_text(copy, len, &err), -EINVAL);
		free(copy);
	}
	assert_int_equal(skip_text(text, strlen(text), &err), 0);
}

static void depth_is_limited(void **state)
{
	size_t size = 100000;
	char *text = malloc(size);
	struct err err;

	(void)state;
	assert_non_null(text);
	memset(text, '[', size);
	assert_int_equal(skip_text(text, size, &err), -EINVAL);
	assert_non_null(strstr(err.text, "recursion limit exceeded"));
	for (size_t deep = 120; deep < 135; deep++) {
		memset(text, '[', deep);
		memset(text + deep, ']', deep);
		assert_int_equal(skip_text(text, 2 * deep, &err) == 0,
				 deep < JSON_DEPTH_MAX);
	}
	free(text);
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		enum json_number_kind kind;
		uint64_t u;
		int64_t i;
	} rows[] = {
		{"0", JSON_UNSIGNED, 0, 0},
		{"9223372036854775808", JSON_UNSIGNED, 1ull << 63, 0},
		{"18446744073709551615", JSON_UNSIGNED, UINT64_MAX, 0},
		{"18446744073709551616", JSON_FLOAT, 0, 0},
		{"-1", JSON_NEGATIVE, 1, -1},
		{"-9223372036854775808", JSON_NEGATIVE, 1ull << 63, INT64_MIN},
		{"-9223372036854775809", JSON_FLOAT, 0, 0},
		{"-0", JSON_FLOAT, 0, 0},
		{"1.0", JSON_FLOAT, 0, 0},
		{"1e2", JSON_FLOAT, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_number n;
		struct json json;

		json_init(&json, rows[i].text, strlen(rows[i].text), NULL);
		assert_int_equal(json_read_number(&json, &n), 0);
		assert_int_equal(n.kind, rows[i].kind);
		if (n.kind != JSON_FLOAT)
			assert_int_equal(n.u, rows[i].u);
		assert_int_equal(n.i, rows[i].i);
	}
}

static void strings(void **state)
{
	static const char text[] =
		"\"a\\u0000b\\u00e9\\ud83d\\ude00\\/\xc3\xa9\"";
	static const char want[] = "a\0b\xc3\xa9\xf0\x9f\x98\x80/\xc3\xa9";
	struct buf out = {0};
	struct json json;

	(void)state;
	json_init(&json, text, strlen(text), NULL);
	assert_int_equal(json_read_string(&json, &out), 0);
	assert_int_equal(out.len, sizeof(want) - 1);
	assert_memory_equal(out.data, want, out.len);
	buf_free(&out);
}

/* What is written is read back the same, broken UTF-8 excepted. */
static void written_strings(void **state)
{
	char text[256];
	struct buf quoted = {0};
	struct buf back = {0};
	struct json json;

	(void)state;
	for (int i = 0; i < 128; i++)
		text[i] = (char)i;
	buf_add_json(&quoted, text, 128);
	json_init(&json, quoted.data, quoted.len, NULL);
	assert_int_equal(json_read_string(&json, &back), 0);
	assert_int_equal(back.len, 128);
	assert_memory_equal(back.data, text, 128);
	buf_clear(&quoted);
	buf_clear(&back);
	buf_add_json(&quoted, NULL, 0);
	assert_int_equal(quoted.len, 2);
	buf_clear(&quoted);
	buf_add_json(&quoted, "a\xff\xc3", 3);
	json_init(&json, quoted.data, quoted.len, NULL);
	assert_int_equal(json_read_string(&json, &back), 0);
	assert_int_equal(back.len, 7);
	assert_memory_equal(back.data, "a\xef\xbf\xbd\xef\xbf\xbd", 7);
	buf_free(&quoted);
	buf_free(&back);
}

/* The short way takes exactly what it promises, and else moves nothing. */
static void keys_taken(void **state)
{
	static const struct {
		const char *text;
		bool first;
		size_t end; /* 0: not taken */
	} rows[] = {
		{"\"key\":1", true, 6},   {" \n\t\"key\":1", true, 9},
		{",\"key\":1", false, 7}, {" , \"key\":1", false, 9},
		{",\"key\":1", true, 0},  {"\"key\":1", false, 0},
		{"\"key\" :1", true, 0},  {"\"ke\":1", true, 0},
		{"\"keys\":1", true, 0},  {"\"k\\u0065y\":1", true, 0},
		{"}", true, 0},           {"", true, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].text);

		for (size_t cut = 0; cut <= len; cut++) {
			char *text = strndup(rows[i].text, cut);
			bool first = rows[i].first;
			struct json json;
			bool want = rows[i].end && cut >= rows[i].end;

			json_init(&json, text, cut, NULL);
			assert_int_equal(json_take_key(&json, &first, "key"),
					 want);
			assert_int_equal(json.pos, want ? rows[i].end : 0);
			assert_int_equal(first, !want && rows[i].first);
			free(text);
		}
	}
}

static void numbers_taken(void **state)
{
	static const struct {
		const char *text;
		bool hex;
		size_t end;
		uint64_t value;
	} rows[] = {
		{"0,", false, 1, 0},
		{"7}", false, 1, 7},
		{"9999999999999999999]", false, 19, 9999999999999999999u},
		{"10000000000000000000]", false, 0, 0},
		{"01,", false, 0, 0},
		{"1.5,", false, 0, 0},
		{"1e3,", false, 0, 0},
		{"-1,", false, 0, 0},
		{" 1,", false, 0, 0},
		{"1", false, 0, 0},
		{"", false, 0, 0},
		{"\"0x0\"", true, 5, 0},
		{"\"0xab09\"", true, 8, 0xab09},
		{"\"0xab09f\"", true, 0, 0},
		{"\"0xAB\"", true, 0, 0},
		{"\"0x\"", true, 0, 0},
		{"\"00x1\"", true, 0, 0},
		{"\"0x1", true, 0, 0},
		{"", true, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = strndup(rows[i].text, strlen(rows[i].text));
		uint64_t value = 1234;
		struct json json;
		bool taken;

		json_init(&json, text, strlen(text), NULL);
		taken = rows[i].hex ? json_take_hex(&json, 4, &value)
				    : json_take_uint(&json, &value);
		assert_int_equal(taken, rows[i].end > 0);
		assert_int_equal(json.pos, rows[i].end);
		assert_int_equal(value, taken ? rows[i].value : 1234);
		free(text);
	}
}

static void bytes_taken(void **state)
{
	static const struct {
		const char *text;
		size_t end; /* 0: not taken */
		size_t nr;
		uint8_t last;
	} rows[] = {
		{"\"\"", 2, 0, 0},
		{"\"00ff0a\",", 8, 3, 0x0a},
		{"\"01020304\"]", 10, 4, 0x04},
		{"\"0102030405\"", 0, 0, 0},
		{"\"010203f\"", 0, 0, 0},
		{"\"0F\"", 0, 0, 0},
		{"\"0g\"", 0, 0, 0},
		{"\"g0\"", 0, 0, 0},
		{"\"\xff\xff\"", 0, 0, 0},
		{"\"0102", 0, 0, 0},
		{"\"010", 0, 0, 0},
		{"\"", 0, 0, 0},
		{" \"00\"", 0, 0, 0},
		{"12", 0, 0, 0},
		{"", 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = strndup(rows[i].text, strlen(rows[i].text));
		uint8_t bytes[5] = {0, 0, 0, 0, 0xee};
		struct json json;
		size_t nr = 0;

		json_init(&json, text, strlen(text), NULL);
		assert_int_equal(json_take_bytes(&json, bytes, 4, &nr),
				 rows[i].end > 0);
		assert_int_equal(json.pos, rows[i].end);
		assert_int_equal(nr, rows[i].nr);
		if (nr > 0)
			assert_int_equal(bytes[nr - 1], rows[i].last);
		assert_int_equal(bytes[4], 0xee);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts),
		cmocka_unit_test(bad_texts),
		cmocka_unit_test(raw_nul),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(numbers),
		cmocka_unit_test(strings),
		cmocka_unit_test(written_strings),
		cmocka_unit_test(keys_taken),
		cmocka_unit_test(numbers_taken),
		cmocka_unit_test(bytes_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
