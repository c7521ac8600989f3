// SPDX-License-Identifier: Apache-2.0
/*
 * schema_errors.c - what decoding says of JSON that does not fit
 *
 * The words are those of Firecracker's parser, where it has some: clients read
 * them.
 */
#include "base/schema_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* How much of a client's own text an error repeats. */
#define QUOTE_MAX 200u

static void add_float(struct buf *out, double f)
{
	char text[64];
	int digits = 1;

	if (f == trunc(f) && fabs(f) < 1e16) {
		buf_addf(out, "%.1f", f);
		return;
	}
	/* The shortest text that is the same number again. */
	do {
		(void)snprintf(text, sizeof(text), "%.*g", digits, f);
	} while (++digits <= 17 && strtod(text, NULL) != f);
	buf_add_str(out, text);
}

/* The value that comes next, as an error names it; consumes it. */
static int schema_errors_describe(struct json *json, struct buf *out)
{
	struct buf text = {0};
	struct json_number n;
	int r = 0;

	switch (json_peek(json)) {
	case JSON_AT_NULL:
		buf_add_str(out, "null");
		return json_read_literal(json);
	case JSON_AT_TRUE:
		buf_add_str(out, "boolean `true`");
		return json_read_literal(json);
	case JSON_AT_FALSE:
		buf_add_str(out, "boolean `false`");
		return json_read_literal(json);
	case JSON_AT_NUMBER:
		r = json_read_number(json, &n);
		if (r < 0)
			return r;
		buf_add_str(out, n.kind == JSON_FLOAT ? "floating point `"
						      : "integer `");
		if (n.kind == JSON_FLOAT)
			add_float(out, n.f);
		else if (n.kind == JSON_NEGATIVE)
			buf_addf(out, "%lld", (long long)n.i);
		else
			buf_addf(out, "%llu", (unsigned long long)n.u);
		buf_add(out, "`", 1);
		return 0;
	case JSON_AT_STRING:
		r = json_read_string(json, &text);
		buf_add_str(out, "string ");
		if (r == 0)
			buf_add_json(out, text.data,
				     text.len < QUOTE_MAX ? text.len
							  : QUOTE_MAX);
		buf_free(&text);
		return r;
	case JSON_AT_ARRAY:
		buf_add_str(out, "sequence");
		return 0;
	case JSON_AT_OBJECT:
		buf_add_str(out, "map");
		return 0;
	default:
		return json_skip(json); /* its error is the right one */
	}
}

int schema_wrong_type(struct json *json, const char *what, const char *expected)
{
	struct buf got = {0};
	int r = schema_errors_describe(json, &got);

	if (r == 0)
		r = json_fail(json, "invalid %s: %.*s, expected %s", what,
			      (int)got.len, got.len ? got.data : "", expected);
	buf_free(&got);
	return r;
}

/* "expected `a`", "expected `a` or `b`", "expected one of `a`, `b`, `c`" */
static void add_expected(struct buf *out, size_t nr,
			 const char *(*name)(const void *table, size_t i),
			 const void *table)
{
	buf_add_str(out, nr > 2 ? "expected one of " : "expected ");
	for (size_t i = 0; i < nr; i++)
		buf_addf(out, "%s`%s`",
			 i == 0    ? ""
			 : nr == 2 ? " or "
				   : ", ",
			 name(table, i));
}

/* Fields of a view that error texts know of. */
struct listed {
	const struct schema_object *object;
	enum schema_view view;
};

static bool schema_errors_is_listed(const struct listed *list, size_t i)
{
	return !(schema_flags(&list->object->fields[i], list->view) &
		 (SCHEMA_EXTRA | SCHEMA_ABSENT));
}

static size_t nr_listed(const struct listed *list)
{
	size_t nr = 0;

	for (size_t i = 0; i < list->object->nr; i++)
		nr += schema_errors_is_listed(list, i);
	return nr;
}

static const char *field_name(const void *table, size_t n)
{
	const struct listed *list = table;
	size_t i = 0;

	while (n > 0 || !schema_errors_is_listed(list, i))
		n -= schema_errors_is_listed(list, i++);
	return list->object->fields[i].name;
}

static const char *enum_name(const void *table, size_t i)
{
	return ((const struct schema_enum *)table)->names[i].name;
}

static int schema_errors_unknown(struct json *json, const char *what,
				 const struct buf *got,
				 const struct buf *expected)
{
	size_t len = got->len < QUOTE_MAX ? got->len : QUOTE_MAX;

	return json_fail(json, "unknown %s `%.*s`, %.*s", what, (int)len,
			 len ? got->data : "", (int)expected->len,
			 expected->len ? expected->data : "");
}

int schema_unknown_variant(const struct schema_enum *names, struct json *json,
			   const struct buf *text)
{
	struct buf expected = {0};
	int r;

	add_expected(&expected, names->nr, enum_name, names);
	r = schema_errors_unknown(json, "variant", text, &expected);
	buf_free(&expected);
	return r;
}

int schema_unknown_field(const struct schema_object *object,
			 enum schema_view view, struct json *json,
			 const struct buf *key)
{
	const struct listed list = {object, view};
	struct buf expected = {0};
	size_t nr = nr_listed(&list);
	int r;

	if (nr > 0)
		add_expected(&expected, nr, field_name, &list);
	else
		buf_add_str(&expected, "there are no fields");
	r = schema_errors_unknown(json, "field", key, &expected);
	buf_free(&expected);
	return r;
}

/* Firecracker's parser takes an array for a struct; nobody sends one. */
int schema_refuse_array(const struct schema_object *object,
			enum schema_view view, struct json *json)
{
	const struct listed list = {object, view};
	bool first = true;
	int r = json_enter(json);

	if (r == 0)
		r = json_next_item(json, &first);
	if (r < 0)
		return r;
	if (r == 0)
		return json_fail(json,
				 "invalid length 0, expected struct %s with "
				 "%zu element%s",
				 object->name, nr_listed(&list),
				 nr_listed(&list) == 1 ? "" : "s");
	return json_fail(json, "invalid type: sequence, expected struct %s",
			 object->name);
}

int schema_missing_field(const struct schema_object *object,
			 enum schema_view view, struct json *json,
			 uint64_t known)
{
	for (size_t i = 0; i < object->nr; i++)
		if ((schema_flags(&object->fields[i], view) &
		     SCHEMA_REQUIRED) &&
		    !(known & 1ull << i))
			return json_fail(json, "missing field `%s`",
					 object->fields[i].name);
	return 0;
}
