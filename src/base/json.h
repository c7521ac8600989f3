/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - read JSON piece by piece, with serde's error texts
 *
 * Theory of operation
 *
 * Bodies, config files and the state of snapshots are decoded straight from
 * their text into C structs: the schema (schema.h) asks for the value it
 * expects next, and gets it or an error. There is no tree in between, which
 * keeps three promises that clients of Firecracker's API rely on: errors come
 * in the order of the text and in the words of Firecracker's parser, integers
 * keep all 64 bits, and a hostile text costs no memory. Free-form documents,
 * which need a tree, are the business of a library.
 *
 * The grammar is RFC 8259, strictly: UTF-8, no comments, no trailing commas,
 * nesting up to JSON_DEPTH_MAX.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 128

/**
 * struct json - a text and how far it is read
 * @depth:	open objects and arrays
 * @err:	filled by the first failure
 */
struct json {
	const char *text;
	size_t len;
	size_t pos;
	unsigned int depth;
	struct err *err;
};

enum json_kind {
	JSON_AT_END,
	JSON_AT_NULL,
	JSON_AT_TRUE,
	JSON_AT_FALSE,
	JSON_AT_NUMBER,
	JSON_AT_STRING,
	JSON_AT_ARRAY,
	JSON_AT_OBJECT,
	JSON_AT_OTHER, /* no value starts so */
};

enum json_number_kind {
	JSON_UNSIGNED,
	JSON_NEGATIVE,
	JSON_FLOAT, /* also integers beyond 64 bits */
};

struct json_number {
	enum json_number_kind kind;
	uint64_t u;
	int64_t i;
	double f;
};

/* At the start of @text, which is borrowed, as @err is. */
void json_init(struct json *json, const char *text, size_t len,
	       struct err *err);

/**
 * json_fail() - "<text> at line L column C", of the place read last
 *
 * Return: -EINVAL.
 */
int json_fail(struct json *json, const char *fmt, ...) __printf_like(2, 3);

/* Skip white space; the kind of what comes next. Consumes nothing else. */
enum json_kind json_peek(struct json *json);

/*
 * Each of these reads one value of the kind that json_peek() told. They return
 * 0, or -EINVAL with a sentence. json_read_string() appends to @out; NULL: the
 * string only has to be a valid one.
 */
int json_read_literal(struct json *json) __must_check;
int json_read_number(struct json *json,
		     struct json_number *number) __must_check;
int json_read_string(struct json *json, struct buf *out) __must_check;

/**
 * json_read_plain() - a string, where it stands in the text
 *
 * For values that are plain ASCII by nature (numbers in hex): a string with an
 * escape is refused. The caller judges the characters.
 *
 * Return: 0, *@text and *@len; or -EINVAL with a sentence.
 */
int json_read_plain(struct json *json, const char **text,
		    size_t *len) __must_check;

/* Any value. Return: 0; -EINVAL with a sentence for what is none. */
int json_skip(struct json *json) __must_check;

/* Consume "{" or "[", which json_peek() has told. Return: 0; -EINVAL with a
 * sentence when that is one level too deep. */
int json_enter(struct json *json) __must_check;

/**
 * json_next_key() - the next member of the object
 * @first:	true before the first; cleared
 * @key:	replaced by the key; or NULL. json_colon() comes next.
 *
 * Return: 1 with a key, 0 after the closing brace, -EINVAL with a sentence.
 */
int json_next_key(struct json *json, bool *first, struct buf *key) __must_check;

/**
 * json_take_key() - the next member, if it has this key
 * @first:	as for json_next_key()
 * @key:	characters that need no escape
 *
 * For texts that came from a program whose keys have a known order: nothing is
 * copied. Only `"key":` is recognised; anything else is for json_next_key().
 *
 * Return: whether key and colon were consumed; if not, nothing was.
 */
bool json_take_key(struct json *json, bool *first, const char *key);

/* The same for items: whether one follows that is a number or a string. */
bool json_take_item(struct json *json, bool *first);

/*
 * The same for values: an unsigned decimal number of up to 19 digits, and one
 * of up to @digits hex digits in a string, as schema.h writes them.
 */
bool json_take_uint(struct json *json, uint64_t *value);
bool json_take_hex(struct json *json, size_t digits, uint64_t *value);

/*
 * And a string of hex digits, two for each of @bytes, of which there are up to
 * @size. Return: whether it was one; @bytes may be overwritten when it was not.
 */
bool json_take_bytes(struct json *json, uint8_t *bytes, size_t size,
		     size_t *nr);

/* The colon between key and value. Return: 0 or -EINVAL with a sentence. */
int json_colon(struct json *json) __must_check;

/* Return: 1 when an element follows, 0 after the closing bracket, -EINVAL with
 * a sentence. */
int json_next_item(struct json *json, bool *first) __must_check;

/* Nothing but white space may follow. Return: 0 or -EINVAL with a sentence. */
int json_end(struct json *json) __must_check;
