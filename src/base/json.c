// SPDX-License-Identifier: Apache-2.0
/*
 * json.c - read JSON piece by piece (theory of operation: json.h)
 */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void json_init(struct json *json, const char *text, size_t len, struct err *err)
{
	*json = (struct json){.text = text, .len = len, .err = err};
}

/* @pos counts the characters up to and with the one that is to blame. */
static int fail_at(struct json *json, size_t pos, const char *message)
{
	unsigned int line = 1;
	size_t start = 0;

	if (pos > json->len)
		pos = json->len;
	for (size_t i = 0; i < pos; i++) {
		if (json->text[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return err_set(json->err, -EINVAL, "%s at line %u column %zu", message,
		       line, pos - start);
}

int json_fail(struct json *json, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX - 64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail_at(json, json->pos, text);
}

/* The character that has not been consumed yet is to blame. */
static int fail_next(struct json *json, const char *text)
{
	return fail_at(json, json->pos + 1, text);
}

static int next_char(const struct json *json)
{
	return json->pos < json->len ? (unsigned char)json->text[json->pos]
				     : -1;
}

/* The place of the first character from @pos on that is no white space */
static inline size_t behind_space(const struct json *json, size_t pos)
{
	while (pos < json->len && json->text[pos] <= ' ' &&
	       (json->text[pos] == ' ' || json->text[pos] == '\n' ||
		json->text[pos] == '\t' || json->text[pos] == '\r'))
		pos++;
	return pos;
}

static inline void skip_space(struct json *json)
{
	json->pos = behind_space(json, json->pos);
}

enum json_kind json_peek(struct json *json)
{
	skip_space(json);
	switch (next_char(json)) {
	case -1:
		return JSON_AT_END;
	case 'n':
		return JSON_AT_NULL;
	case 't':
		return JSON_AT_TRUE;
	case 'f':
		return JSON_AT_FALSE;
	case '"':
		return JSON_AT_STRING;
	case '[':
		return JSON_AT_ARRAY;
	case '{':
		return JSON_AT_OBJECT;
	case '-':
	case '0' ... '9':
		return JSON_AT_NUMBER;
	default:
		return JSON_AT_OTHER;
	}
}

int json_read_literal(struct json *json)
{
	static const struct {
		enum json_kind kind;
		const char *text;
	} literals[] = {
		{JSON_AT_NULL, "null"},
		{JSON_AT_TRUE, "true"},
		{JSON_AT_FALSE, "false"},
	};
	enum json_kind kind = json_peek(json);
	const char *p = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(literals); i++)
		if (literals[i].kind == kind)
			p = literals[i].text;
	for (; p && *p; p++) {
		int c = next_char(json);

		if (c < 0)
			return json_fail(json, "EOF while parsing a value");
		json->pos++;
		if (c != (unsigned char)*p)
			return json_fail(json, "expected ident");
	}
	return p ? 0 : fail_next(json, "expected value");
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* At least one digit. */
static int read_digits(struct json *json)
{
	if (next_char(json) < 0)
		return json_fail(json, "EOF while parsing a value");
	if (!is_digit(next_char(json)))
		return fail_next(json, "invalid number");
	while (is_digit(next_char(json)))
		json->pos++;
	return 0;
}

/* Fraction and exponent. Return: 1 when there is one, 0 when not, -EINVAL. */
static int read_fraction(struct json *json)
{
	bool found = false;
	int c;

	if (next_char(json) == '.') {
		json->pos++;
		found = true;
		if (read_digits(json) < 0)
			return -EINVAL;
	}
	c = next_char(json);
	if (c == 'e' || c == 'E') {
		json->pos++;
		found = true;
		c = next_char(json);
		if (c == '+' || c == '-')
			json->pos++;
		if (read_digits(json) < 0)
			return -EINVAL;
	}
	return found;
}

static int set_float(struct json *json, size_t start,
		     struct json_number *number)
{
	char *copy = strndup(json->text + start, json->pos - start);

	if (!copy)
		return err_set(json->err, -ENOMEM, "Out of memory");
	number->kind = JSON_FLOAT;
	number->f = strtod(copy, NULL);
	free(copy);
	if (isinf(number->f))
		return json_fail(json, "number out of range");
	return 0;
}

int json_read_number(struct json *json, struct json_number *number)
{
	size_t start, digits;
	bool negative, fits = true;
	uint64_t u = 0;
	int r;

	*number = (struct json_number){0};
	skip_space(json);
	start = json->pos;
	negative = next_char(json) == '-';
	if (negative)
		json->pos++;
	digits = json->pos;
	r = read_digits(json);
	if (r < 0)
		return r;
	if (json->text[digits] == '0' && json->pos > digits + 1) {
		json->pos = digits + 1;
		return fail_next(json, "invalid number");
	}
	for (size_t i = digits; i < json->pos; i++)
		fits = fits && !__builtin_mul_overflow(u, 10, &u) &&
		       !__builtin_add_overflow(
			       u, (uint64_t)(json->text[i] - '0'), &u);
	r = read_fraction(json);
	if (r < 0)
		return r;
	/* "-0" is a float, as Firecracker's parser has it. */
	if (r > 0 || !fits || (negative && (u == 0 || u > 1ull << 63)))
		return set_float(json, start, number);
	number->u = u;
	if (negative) {
		number->kind = JSON_NEGATIVE;
		number->i = (int64_t)(0 - u);
	}
	return 0;
}

static int read_hex4(struct json *json, unsigned int *value)
{
	*value = 0;
	for (int i = 0; i < 4; i++) {
		int c = next_char(json);
		unsigned int digit;

		if (c < 0)
			return json_fail(json, "EOF while parsing a string");
		json->pos++;
		if (is_digit(c))
			digit = (unsigned int)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (unsigned int)((c | 0x20) - 'a') + 10;
		else
			return json_fail(json, "invalid escape");
		*value = *value << 4 | digit;
	}
	return 0;
}

/* @out: NULL for a string that only has to be a valid one */
static void json_add(struct buf *out, const void *text, size_t len)
{
	if (out && len > 0)
		buf_add(out, text, len);
}

static void add_code_point(struct buf *out, unsigned int c)
{
	unsigned char u[4];
	size_t n;

	if (c < 0x80) {
		u[0] = (unsigned char)c;
		n = 1;
	} else if (c < 0x800) {
		u[0] = (unsigned char)(0xc0 | c >> 6);
		n = 2;
	} else if (c < 0x10000) {
		u[0] = (unsigned char)(0xe0 | c >> 12);
		n = 3;
	} else {
		u[0] = (unsigned char)(0xf0 | c >> 18);
		n = 4;
	}
	for (size_t i = 1; i < n; i++)
		u[i] = (unsigned char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
	json_add(out, u, n);
}

/* Behind "\u". */
static int read_unicode(struct json *json, struct buf *out)
{
	unsigned int c, low;
	int r = read_hex4(json, &c);

	if (r < 0)
		return r;
	if (c >= 0xdc00 && c <= 0xdfff)
		return json_fail(json, "lone leading surrogate in hex escape");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (json->len - json->pos < 2 || next_char(json) != '\\' ||
		    json->text[json->pos + 1] != 'u')
			return json_fail(json, "unexpected end of hex escape");
		json->pos += 2;
		r = read_hex4(json, &low);
		if (r < 0)
			return r;
		if (low < 0xdc00 || low > 0xdfff)
			return json_fail(
				json, "lone leading surrogate in hex escape");
		c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
	}
	add_code_point(out, c);
	return 0;
}

/* Behind the backslash. */
static int read_escape(struct json *json, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	int c = next_char(json);
	const char *p;

	if (c < 0)
		return json_fail(json, "EOF while parsing a string");
	json->pos++;
	if (c == 'u')
		return read_unicode(json, out);
	p = c ? strchr(from, c) : NULL;
	if (!p)
		return json_fail(json, "invalid escape");
	json_add(out, &to[p - from], 1);
	return 0;
}

/* How many characters come next that mean only themselves. */
static size_t plain_run(const struct json *json)
{
	size_t end = json->pos;

	while (end < json->len) {
		unsigned char c = (unsigned char)json->text[end];

		if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
			break;
		end++;
	}
	return end - json->pos;
}

int json_read_plain(struct json *json, const char **text, size_t *len)
{
	skip_space(json);
	json->pos++; /* the quote */
	*text = json->text + json->pos;
	*len = plain_run(json);
	json->pos += *len;
	if (next_char(json) < 0)
		return json_fail(json, "EOF while parsing a string");
	if (next_char(json) != '"')
		return fail_next(json, "expected a string of plain characters");
	json->pos++;
	return 0;
}

int json_read_string(struct json *json, struct buf *out)
{
	skip_space(json);
	json->pos++; /* the quote */
	for (;;) {
		size_t n = plain_run(json);
		int c, r;

		json_add(out, json->text + json->pos, n);
		json->pos += n;
		c = next_char(json);
		if (c < 0)
			return json_fail(json, "EOF while parsing a string");
		if (c == '"')
			break;
		if (c < 0x20) {
			json->pos++;
			return json_fail(json, "control character "
					       "(\\u0000-\\u001F) found while "
					       "parsing a string");
		}
		if (c == '\\') {
			json->pos++;
			r = read_escape(json, out);
			if (r < 0)
				return r;
			continue;
		}
		n = utf8_next(json->text + json->pos, json->len - json->pos);
		if (n == 0)
			return json_fail(json, "invalid unicode code point");
		json_add(out, json->text + json->pos, n);
		json->pos += n;
	}
	json->pos++;
	return out && out->failed ? err_set(json->err, -ENOMEM, "Out of memory")
				  : 0;
}

int json_enter(struct json *json)
{
	skip_space(json);
	if (++json->depth >= JSON_DEPTH_MAX)
		return fail_next(json, "recursion limit exceeded");
	json->pos++;
	return 0;
}

int json_next_key(struct json *json, bool *first, struct buf *key)
{
	enum json_kind kind = json_peek(json);
	int c = next_char(json);
	int r;

	if (kind == JSON_AT_END)
		return json_fail(json, "EOF while parsing an object");
	if (c == '}') {
		json->pos++;
		json->depth--;
		return 0;
	}
	if (!*first) {
		if (c != ',')
			return fail_next(json, "expected `,` or `}`");
		json->pos++;
		kind = json_peek(json);
		if (kind == JSON_AT_END)
			return json_fail(json, "EOF while parsing a value");
		if (next_char(json) == '}')
			return fail_next(json, "trailing comma");
	}
	*first = false;
	if (kind != JSON_AT_STRING)
		return fail_next(json, "key must be a string");
	if (key)
		buf_clear(key);
	r = json_read_string(json, key);
	if (r < 0)
		return r;
	return 1;
}

bool json_take_key(struct json *json, bool *first, const char *key)
{
	size_t pos = behind_space(json, json->pos);
	const char *text = json->text;

	if (!*first) {
		if (pos == json->len || text[pos] != ',')
			return false;
		pos = behind_space(json, pos + 1);
	}
	if (pos == json->len || text[pos] != '"')
		return false;
	for (pos++; *key; key++, pos++)
		if (pos == json->len || text[pos] != *key)
			return false;
	if (json->len - pos < 2 || text[pos] != '"' || text[pos + 1] != ':')
		return false;
	json->pos = pos + 2;
	*first = false;
	return true;
}

bool json_take_item(struct json *json, bool *first)
{
	const char *p = json->text + json->pos;
	size_t comma = !*first;

	if (json->len - json->pos < 2 || (comma && *p != ',') ||
	    (p[comma] != '"' && !is_digit(p[comma])))
		return false;
	json->pos += comma;
	*first = false;
	return true;
}

/* 10^19 - 1 is the largest number of so many digits, and fits. */
#define UINT_DIGITS 19u

bool json_take_uint(struct json *json, uint64_t *value)
{
	const char *start = json->text + json->pos;
	const char *end = json->text + json->len, *p = start;
	uint64_t u = 0;

	while (p < end && *p >= '0' && *p <= '9' && p - start < UINT_DIGITS)
		u = u * 10 + (uint64_t)(*p++ - '0');
	if (p == start || (p - start > 1 && *start == '0') || p == end ||
	    (*p != ',' && *p != '}' && *p != ']'))
		return false;
	json->pos += (size_t)(p - start);
	*value = u;
	return true;
}

/* clang-format off */
/* One more than the value; 0: not a digit. */
static const uint8_t hex_digits[256] = {
	['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
	['a'] = 11, 12, 13, 14, 15, 16,
};
/* clang-format on */

/* Value of a digit; negative for any other character. Upper case is none. */
static inline int hex_value(char c)
{
	return hex_digits[(unsigned char)c] - 1;
}

bool json_take_hex(struct json *json, size_t digits, uint64_t *value)
{
	const char *start = json->text + json->pos;
	const char *end = json->text + json->len, *p = start + 3;
	uint64_t u = 0;
	int digit;

	if (end - start < 5 || memcmp(start, "\"0x", 3) != 0)
		return false;
	if (digits < (size_t)(end - p))
		end = p + digits;
	for (; p < end && (digit = hex_value(*p)) >= 0; p++)
		u = u << 4 | (uint64_t)digit;
	if (p == start + 3 || p == json->text + json->len || *p != '"')
		return false;
	json->pos += (size_t)(p - start) + 1;
	*value = u;
	return true;
}

bool json_take_bytes(struct json *json, uint8_t *bytes, size_t size, size_t *nr)
{
	const char *start = json->text + json->pos;
	const char *end = json->text + json->len, *p = start + 1;
	size_t i = 0;

	if (end - start < 2 || *start != '"')
		return false;
	for (; end - p >= 2 && i < size; p += 2) {
		int byte = hex_value(p[0]) * 16 | hex_value(p[1]);

		if (byte < 0)
			break;
		bytes[i++] = (uint8_t)byte;
	}
	if (p == end || *p != '"')
		return false;
	json->pos += (size_t)(p - start) + 1;
	*nr = i;
	return true;
}

int json_next_item(struct json *json, bool *first)
{
	enum json_kind kind = json_peek(json);
	int c = next_char(json);

	if (kind == JSON_AT_END)
		return json_fail(json, "EOF while parsing a list");
	if (c == ']') {
		json->pos++;
		json->depth--;
		return 0;
	}
	if (!*first) {
		if (c != ',')
			return fail_next(json, "expected `,` or `]`");
		json->pos++;
		kind = json_peek(json);
		if (kind == JSON_AT_END)
			return json_fail(json, "EOF while parsing a value");
		if (next_char(json) == ']')
			return fail_next(json, "trailing comma");
	}
	*first = false;
	return 1;
}

int json_colon(struct json *json)
{
	skip_space(json);
	if (next_char(json) < 0)
		return json_fail(json, "EOF while parsing an object");
	if (next_char(json) != ':')
		return fail_next(json, "expected `:`");
	json->pos++;
	return 0;
}

static int skip_scalar(struct json *json, enum json_kind kind)
{
	struct json_number number;

	switch (kind) {
	case JSON_AT_NUMBER:
		return json_read_number(json, &number);
	case JSON_AT_STRING:
		return json_read_string(json, NULL);
	case JSON_AT_END:
		return json_fail(json, "EOF while parsing a value");
	default:
		return json_read_literal(json);
	}
}

/* Recurses at most JSON_DEPTH_MAX times: json_enter() counts. */
int json_skip(struct json *json)
{
	enum json_kind kind = json_peek(json);
	bool first = true;
	int r;

	if (kind != JSON_AT_OBJECT && kind != JSON_AT_ARRAY)
		return skip_scalar(json, kind);
	r = json_enter(json);
	if (r < 0)
		return r;
	do {
		r = kind == JSON_AT_ARRAY ? json_next_item(json, &first)
					  : json_next_key(json, &first, NULL);
		if (r > 0 && kind == JSON_AT_OBJECT && json_colon(json) < 0)
			r = -EINVAL;
		if (r > 0 && json_skip(json) < 0)
			r = -EINVAL;
	} while (r > 0);
	return r;
}

int json_end(struct json *json)
{
	if (json_peek(json) != JSON_AT_END)
		return fail_next(json, "trailing characters");
	return 0;
}
