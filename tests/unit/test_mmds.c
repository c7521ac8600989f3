// SPDX-License-Identifier: Apache-2.0
/*
 * test_mmds.c - the metadata service: its document, tokens and answers
 *
 * Every exchange that a Linux guest had with a real Firecracker is had again
 * (tests/conformance/mmds.jsonl), byte for byte, over TCP.
 */
#include "mmds_kit.h"

#include "mmds/document.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN_MARK   "@TOKEN@"
#define TOKEN_ANSWER "@TOKEN of 48 bytes@"

/* ---- documents ---- */

static void is_read_as(const char *text, const char *canonical)
{
	struct buf out = {0};
	struct err err = {0};

	assert_int_equal(document_read(text, strlen(text), &out, &err), 0);
	assert_int_equal(out.len, strlen(canonical));
	assert_memory_equal(out.data, canonical, out.len);
	buf_free(&out);
}

static void test_one_text_of_a_value(void **state)
{
	(void)state;
	is_read_as(" { \"b\" : 1 , \"a\" : [ true , null , \"x\" ] } ",
		   "{\"a\":[true,null,\"x\"],\"b\":1}");
	is_read_as("{\"a\":1,\"b\":2,\"a\":{\"z\":0,\"\":1}}",
		   "{\"a\":{\"\":1,\"z\":0},\"b\":2}");
	is_read_as("\"\\u00e9\\n\\u0001\\/\"", "\"\xc3\xa9\\n\\u0001/\"");
	is_read_as("[]", "[]");
	is_read_as("{}", "{}");
	is_read_as("{\"ab\":1,\"a\":2,\"b\":3}", "{\"a\":2,\"ab\":1,\"b\":3}");
}

static void test_numbers(void **state)
{
	static const char *const pairs[][2] = {
		{"0", "0"},
		{"-0", "-0.0"},
		{"18446744073709551615", "18446744073709551615"},
		{"18446744073709551616", "1.8446744073709552e19"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"1.5", "1.5"},
		{"1e2", "100.0"},
		{"100.0", "100.0"},
		{"1e15", "1000000000000000.0"},
		{"1e16", "1e16"},
		{"123456789012345680", "123456789012345680"},
		{"0.1", "0.1"},
		{"0.00001", "0.00001"},
		{"0.000001", "1e-6"},
		{"1.25e-7", "1.25e-7"},
		{"5e-324", "5e-324"},
		{"1.7976931348623157e308", "1.7976931348623157e308"},
		{"0.30000000000000004", "0.30000000000000004"},
		{"-12.50", "-12.5"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		is_read_as(pairs[i][0], pairs[i][1]);
}

static void test_what_is_no_document(void **state)
{
	static const char *const texts[] = {
		"",         "{",   "{bad",  "[1,]",      "{\"a\":1,}",  "nul",
		"\"\x01\"", "1 2", "1e999", "{\"a\" 1}", "\"\\ud800\"",
	};
	char deep[300];

	(void)state;
	memset(deep, '[', sizeof(deep));
	for (size_t i = 0; i <= ARRAY_SIZE(texts); i++) {
		const char *text = i < ARRAY_SIZE(texts) ? texts[i] : deep;
		size_t len =
			i < ARRAY_SIZE(texts) ? strlen(text) : sizeof(deep);
		struct buf out = {0};
		struct err err = {0};

		assert_int_equal(document_read(text, len, &out, &err), -EINVAL);
		assert_true(strlen(err.text) > 0);
		buf_free(&out);
	}
}

static void merges_to(const char *target, const char *patch, const char *wanted)
{
	struct buf a = {0}, b = {0}, out = {0};
	struct err err = {0};

	assert_int_equal(document_read(target, strlen(target), &a, &err), 0);
	assert_int_equal(document_read(patch, strlen(patch), &b, &err), 0);
	document_merge((struct document_piece){a.data, a.len},
		       (struct document_piece){b.data, b.len}, &out);
	assert_false(out.failed);
	assert_int_equal(out.len, strlen(wanted));
	assert_memory_equal(out.data, wanted, out.len);
	buf_free(&a);
	buf_free(&b);
	buf_free(&out);
}

/* The examples of RFC 7396, appendix A, and nested ones. */
static void test_merge(void **state)
{
	static const char *const rows[][3] = {
		{"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
		{"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
		{"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
		{"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		 "{\"a\":{\"b\":\"d\"}}"},
		{"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
		{"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
		{"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
		{"{\"a\":\"foo\"}", "null", "null"},
		{"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
		{"{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}"},
		{"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
		{"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}",
		 "{\"a\":{\"bb\":{}}}"},
		{"{\"b\":1,\"d\":2}", "{\"a\":0,\"c\":1,\"e\":3}",
		 "{\"a\":0,\"b\":1,\"c\":1,\"d\":2,\"e\":3}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		merges_to(rows[i][0], rows[i][1], rows[i][2]);
}

static bool finds(const char *pointer, const char *wanted)
{
	static const char text[] =
		"{\"\":1,\"a/b\":2,\"arr\":[10,[20],\"x\"],\"m~n\":3,"
		"\"o\":{\"k\":{\"z\":null}}}";
	struct document_piece document = {text, strlen(text)}, piece;

	return document_find(document, pointer, strlen(pointer), &piece) &&
	       piece.len == strlen(wanted) &&
	       memcmp(piece.text, wanted, piece.len) == 0;
}

/* RFC 6901, 5, and what is no pointer. */
static void test_pointers(void **state)
{
	static const char *const none[] = {
		"/x",
		"/arr/3",
		"/arr/01",
		"/arr/-",
		"/arr/+1",
		"/arr/",
		"/arr/1x",
		"o",
		"/o/k/z/y",
		"/a/b",
		"/arr/18446744073709551616",
	};

	(void)state;
	assert_true(finds("/", "1"));
	assert_true(finds("/a~1b", "2"));
	assert_true(finds("/m~0n", "3"));
	assert_true(finds("/arr/0", "10"));
	assert_true(finds("/arr/1/0", "20"));
	assert_true(finds("/arr/2", "\"x\""));
	assert_true(finds("/o/k", "{\"z\":null}"));
	assert_true(finds("/o/k/z", "null"));
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		struct document_piece piece = {"{\"arr\":[1,2,3],\"o\":1}", 0};

		piece.len = strlen(piece.text);
		assert_false(
			document_find(piece, none[i], strlen(none[i]), &piece));
	}
}

static void test_the_limit(void **state)
{
	struct mmds mmds = {0};
	struct err err = {0};
	struct buf out = {0};

	(void)state;
	mmds.limit = 9;
	assert_int_equal(mmds_patch(&mmds, "{}", 2, &err), -ENODATA);
	assert_string_equal(err.text,
			    "The MMDS data store is not initialized.");
	/* It counts the compact text, not what came. */
	assert_int_equal(mmds_put(&mmds, "{ \"a\" : 123 }", 13, &err), 0);
	assert_int_equal(mmds_put(&mmds, "{\"a\":1234}", 10, &err), -E2BIG);
	assert_int_equal(mmds_patch(&mmds, "{\"b\":1}", 7, &err), -E2BIG);
	assert_int_equal(mmds_put(&mmds, "{bad", 4, &err), -EINVAL);
	mmds_get(&mmds, &out);
	assert_int_equal(out.len, 9);
	assert_memory_equal(out.data, "{\"a\":123}", 9);
	buf_free(&out);
	mmds_fini(&mmds);
}

/* ---- tokens ---- */

/* The reference's vectors: key 00 01 .. 0f, texts "", 00, 00 01. */
static void test_siphash(void **state)
{
	static const uint8_t wanted[3][SIPHASH_BYTES] = {
		{0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6,
		 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93},
		{0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76,
		 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45},
		{0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3,
		 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4},
	};
	uint8_t key[SIPHASH_BYTES], text[64], out[SIPHASH_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		siphash(key, text, i, out);
		assert_memory_equal(out, wanted[i], sizeof(out));
	}
}

static void test_a_token_ends_and_cannot_be_made(void **state)
{
	const uint64_t now = 5000000000, hour = 3600ull * 1000000000;
	struct mmds_tokens ours = {0}, theirs = {0};
	char token[MMDS_TOKEN_CHARS], other[MMDS_TOKEN_CHARS];

	(void)state;
	assert_int_equal(mmds_tokens_init(&ours), 0);
	assert_int_equal(mmds_tokens_init(&theirs), 0);
	mmds_token_make(&ours, 3600, now, token);
	mmds_token_make(&ours, 3600, now, other);
	assert_memory_not_equal(token, other, sizeof(token));
	assert_true(mmds_token_is_good(&ours, token, sizeof(token), now));
	assert_true(mmds_token_is_good(&ours, token, sizeof(token),
				       now + hour - 1));
	assert_false(
		mmds_token_is_good(&ours, token, sizeof(token), now + hour));
	assert_false(mmds_token_is_good(&theirs, token, sizeof(token), now));
	assert_false(mmds_token_is_good(&ours, token, sizeof(token) - 1, now));
	for (size_t i = 0; i < sizeof(token); i++) {
		char old = token[i];

		token[i] = old == 'A' ? 'B' : 'A';
		assert_false(
			mmds_token_is_good(&ours, token, sizeof(token), now));
		token[i] = i % 2 ? '\0' : '=';
		assert_false(
			mmds_token_is_good(&ours, token, sizeof(token), now));
		token[i] = old;
	}
}

/* ---- what Firecracker answered ---- */

/* Of a JSON string its code points as bytes: latin-1. */
static size_t latin1(const json_t *value, char *out, size_t size)
{
	const unsigned char *at = (const void *)json_string_value(value);
	size_t n = json_string_length(value), len = 0;

	for (size_t i = 0; i < n; i++) {
		assert_true(len < size);
		if (at[i] < 0x80) {
			out[len++] = (char)at[i];
		} else {
			out[len++] =
				(char)((at[i] & 3) << 6 | (at[i + 1] & 63));
			i++;
		}
	}
	return len;
}

/* Put @token in the place of the first mark. */
static size_t with_token(char *text, size_t len, size_t size, const char *token)
{
	const size_t n = strlen(TOKEN_MARK);
	char *at = memmem(text, len, TOKEN_MARK, n);

	if (!at)
		return len;
	assert_true(len + MMDS_TOKEN_CHARS < size);
	memmove(at + MMDS_TOKEN_CHARS, at + n, len - (size_t)(at - text) - n);
	memcpy(at, token, MMDS_TOKEN_CHARS);
	return len + MMDS_TOKEN_CHARS - n;
}

/* A token in an answer becomes the mark that the recording has. */
static void hide_token(struct buf *got)
{
	char *body = memmem(got->data, got->len, "\r\n\r\n", 4);

	if (!body || !memmem(got->data, got->len, "-seconds: ", 10) ||
	    memcmp(got->data, "HTTP/1.1 200", 12) != 0)
		return;
	body += 4;
	assert_int_equal(got->data + got->len - body, MMDS_TOKEN_CHARS);
	memcpy(body, TOKEN_ANSWER, strlen(TOKEN_ANSWER));
	got->len -= MMDS_TOKEN_CHARS - strlen(TOKEN_ANSWER);
}

/* In pieces of segments, as a guest's kernel would. */
static void say_all(struct guest *g, const char *text, size_t len)
{
	for (size_t at = 0; at < len; at += 1000)
		guest_say(g, text + at, len - at > 1000 ? 1000 : len - at);
}

static bool play(struct guest *g, const json_t *row, char *token)
{
	static char send[8192], receive[16384];
	const json_t *version = json_object_get(row, "version");
	size_t len = latin1(json_object_get(row, "send"), send, sizeof(send));
	size_t wanted = latin1(json_object_get(row, "receive"), receive,
			       sizeof(receive));
	bool equal;

	g->mmds.version = strcmp(json_string_value(version), "V2") == 0
				  ? MMDS_V2
				  : MMDS_V1;
	g->mmds.imds_compat = json_is_true(json_object_get(row, "imds_compat"));
	guest_new_connection(g);
	guest_connect(g);
	len = with_token(send, len, sizeof(send), token);
	say_all(g, send, len);
	if (json_is_true(json_object_get(row, "token")))
		memcpy(token, g->got.data + g->got.len - MMDS_TOKEN_CHARS,
		       MMDS_TOKEN_CHARS);
	hide_token(&g->got);
	equal = g->got.len == wanted &&
		memcmp(g->got.data, receive, wanted) == 0 && !g->reset &&
		!g->fin;
	if (!equal)
		print_message("%.*s\nwanted: %.*s\ngot: %.*s\n\n", (int)len,
			      send, (int)wanted, receive, (int)g->got.len,
			      g->got.data ? g->got.data : "");
	guest_send(g, TCP_RST, NULL, 0);
	return equal;
}

static void test_all_recorded_exchanges(void **state)
{
	const char *path = getenv("VOLT_MMDS_ROWS");
	FILE *file = path ? fopen(path, "re") : NULL;
	char token[MMDS_TOKEN_CHARS] = {0};
	unsigned int rows = 0, equal = 0;
	char *line = NULL;
	size_t size = 0;
	struct guest g;

	(void)state;
	assert_non_null(file);
	guest_init(&g, 0);
	guest_document(&g, "{\"latest\": {\"meta-data\": {\"ami-id\": "
			   "\"ami-1\", \"n\": 1, \"f\": 1.5, \"arr\": [1, "
			   "\"two\"], \"bool\": true, \"nul\": null, "
			   "\"obj\": {\"k\": \"v\"}, \"sp ace\": \"v\", "
			   "\"multi\": \"line1\\nline2\", \"quote\": "
			   "\"a\\\"b\", \"empty\": \"\", \"eobj\": {}, "
			   "\"earr\": []}, \"user-data\": \"hello\"}, "
			   "\"top\": \"t\", \"uni\": \"\\u00e9\\u4e2d\"}");
	while (getline(&line, &size, file) > 0) {
		json_t *row = json_loads(line, 0, NULL);

		assert_non_null(row);
		rows++;
		equal += play(&g, row, token);
		json_decref(row);
	}
	free(line);
	(void)fclose(file);
	guest_fini(&g);
	print_message("%u of %u exchanges are equal\n", equal, rows);
	assert_int_equal(rows, 462);
	assert_int_equal(equal, rows);
}

static void test_without_a_document(void **state)
{
	static const char get[] = "GET /x HTTP/1.1\r\n\r\n";
	struct guest g;

	(void)state;
	guest_init(&g, 0);
	guest_connect(&g);
	guest_say(&g, get, strlen(get));
	assert_memory_equal(g.got.data, "HTTP/1.1 404 ", 13);
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_text_of_a_value),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_what_is_no_document),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_the_limit),
		cmocka_unit_test(test_siphash),
		cmocka_unit_test(test_a_token_ends_and_cannot_be_made),
		cmocka_unit_test(test_all_recorded_exchanges),
		cmocka_unit_test(test_without_a_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
