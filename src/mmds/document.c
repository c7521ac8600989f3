// SPDX-License-Identifier: Apache-2.0
/*
 * document.c - JSON documents as canonical text (document.h)
 */
#include "mmds/document.h"

#include "base/json.h"
#include "mmds/number.h"

#include <errno.h>
#include <stdlib.h>

/* ---- any text becomes the canonical one ---- */

/**
 * struct member - of an object that is being read; both in its buffer
 */
struct member {
	const struct buf *text;
	size_t key_at, key_len;
	size_t value_at, value_len;
};

static int read_value(struct json *json, struct buf *out);

static int read_literal(struct json *json, struct buf *out)
{
	size_t start = json->pos;
	int r = json_read_literal(json);

	if (r == 0)
		buf_add(out, json->text + start, json->pos - start);
	return r;
}

static int document_read_number(struct json *json, struct buf *out)
{
	struct json_number number;
	int r = json_read_number(json, &number);

	if (r == 0)
		document_add_number(out, &number);
	return r;
}

static int read_string(struct json *json, struct buf *out)
{
	struct buf text cleanup_buf = {0};
	int r = json_read_string(json, &text);

	if (r < 0)
		return r;
	out->failed |= text.failed;
	buf_add_json(out, text.data, text.len);
	return 0;
}

static int read_array(struct json *json, struct buf *out)
{
	bool first = true;
	int r = json_enter(json);

	buf_add(out, "[", 1);
	for (bool begun = false; r == 0; begun = true) {
		r = json_next_item(json, &first);
		if (r <= 0)
			break;
		if (begun)
			buf_add(out, ",", 1);
		r = read_value(json, out);
	}
	buf_add(out, "]", 1);
	return r;
}

/* By key; of equal ones the later first. */
static int member_order(const void *a, const void *b)
{
	const struct member *one = a, *two = b;
	size_t len = one->key_len < two->key_len ? one->key_len : two->key_len;
	int order = 0;

	if (len > 0)
		order = memcmp(one->text->data + one->key_at,
			       two->text->data + two->key_at, len);
	if (order == 0)
		order = (one->key_len > two->key_len) -
			(one->key_len < two->key_len);
	if (order == 0)
		order = (one->value_at < two->value_at) -
			(one->value_at > two->value_at);
	return order;
}

static bool same_key(const struct member *a, const struct member *b)
{
	return a->key_len == b->key_len &&
	       (a->key_len == 0 ||
		memcmp(a->text->data + a->key_at, b->text->data + b->key_at,
		       a->key_len) == 0);
}

static void add_members(struct member *members, size_t nr, struct buf *out)
{
	const struct member *last = NULL;

	if (nr > 1)
		qsort(members, nr, sizeof(*members), member_order);
	buf_add(out, "{", 1);
	for (size_t i = 0; i < nr; i++) {
		const struct member *m = &members[i];

		if (last && same_key(last, m))
			continue;
		if (last)
			buf_add(out, ",", 1);
		buf_add_json(out, m->text->data + m->key_at, m->key_len);
		buf_add(out, ":", 1);
		buf_add(out, m->text->data + m->value_at, m->value_len);
		last = m;
	}
	buf_add(out, "}", 1);
}

/* Keys and values of an object, one behind the other, into @text. */
static int read_members(struct json *json, struct buf *text,
			struct buf *members)
{
	struct buf key cleanup_buf = {0};
	bool first = true;
	int r = json_enter(json);

	while (r == 0) {
		struct member m = {.text = text};

		r = json_next_key(json, &first, &key);
		if (r <= 0)
			break;
		text->failed |= key.failed;
		m.key_at = text->len;
		m.key_len = key.len;
		buf_add(text, key.data, key.len);
		r = json_colon(json);
		m.value_at = text->len;
		if (r == 0)
			r = read_value(json, text);
		m.value_len = text->len - m.value_at;
		buf_add(members, &m, sizeof(m));
	}
	return r;
}

static int read_object(struct json *json, struct buf *out)
{
	struct buf members cleanup_buf = {0};
	struct buf text cleanup_buf = {0};
	int r = read_members(json, &text, &members);

	if (r < 0)
		return r;
	if (text.failed || members.failed)
		out->failed = true;
	else
		add_members((void *)members.data,
			    members.len / sizeof(struct member), out);
	return 0;
}

static int read_value(struct json *json, struct buf *out)
{
	switch (json_peek(json)) {
	case JSON_AT_NUMBER:
		return document_read_number(json, out);
	case JSON_AT_STRING:
		return read_string(json, out);
	case JSON_AT_ARRAY:
		return read_array(json, out);
	case JSON_AT_OBJECT:
		return read_object(json, out);
	case JSON_AT_NULL:
	case JSON_AT_TRUE:
	case JSON_AT_FALSE:
		return read_literal(json, out);
	default:
		return json_skip(json); /* says what is wrong */
	}
}

int document_read(const char *text, size_t len, struct buf *out,
		  struct err *err)
{
	struct json json;
	int r;

	json_init(&json, text, len, err);
	r = read_value(&json, out);
	if (r == 0)
		r = json_end(&json);
	if (r == 0 && out->failed)
		r = err_set(err, -ENOMEM, "Out of memory");
	return r;
}

/* ---- along a canonical text ---- */

/**
 * struct cursor - the members of an object, one after the other
 * @key:	of the present member
 * @value:	its value
 * @more:	there is a present member
 */
struct cursor {
	struct json json;
	bool first;
	bool more;
	struct buf key;
	struct document_piece value;
};

static bool piece_is_object(struct document_piece piece)
{
	return piece.len > 0 && piece.text[0] == '{';
}

/* The text is our own, so nothing but memory can fail. */
static void cursor_next(struct cursor *c)
{
	size_t start;

	c->more = json_next_key(&c->json, &c->first, &c->key) > 0 &&
		  !c->key.failed && json_colon(&c->json) == 0;
	if (!c->more)
		return;
	start = c->json.pos;
	c->more = json_skip(&c->json) == 0;
	c->value = (struct document_piece){c->json.text + start,
					   c->json.pos - start};
}

/* At the first member; what is no object has none. */
static void cursor_init(struct cursor *c, struct document_piece object)
{
	*c = (struct cursor){.first = true};
	json_init(&c->json, object.text, object.len, NULL);
	if (piece_is_object(object) && json_enter(&c->json) == 0)
		cursor_next(c);
}

static void cursor_fini(struct cursor *c)
{
	buf_free(&c->key);
}

/* Which of two present members comes first: below 0 @a, above 0 @b. */
static int cursor_order(const struct cursor *a, const struct cursor *b)
{
	size_t len = a->key.len < b->key.len ? a->key.len : b->key.len;
	int order;

	if (!a->more || !b->more)
		return b->more - a->more;
	order = len > 0 ? memcmp(a->key.data, b->key.data, len) : 0;
	return order ? order
		     : (a->key.len > b->key.len) - (a->key.len < b->key.len);
}

static bool piece_is_null(struct document_piece piece)
{
	return piece.len == 4 && memcmp(piece.text, "null", 4) == 0;
}

static void merge_member(const struct buf *key, struct document_piece target,
			 const struct document_piece *patch, bool *begun,
			 struct buf *out)
{
	if (patch && piece_is_null(*patch))
		return;
	if (*begun)
		buf_add(out, ",", 1);
	*begun = true;
	buf_add_json(out, key->data, key->len);
	buf_add(out, ":", 1);
	if (patch)
		document_merge(target, *patch, out);
	else
		buf_add(out, target.text, target.len);
}

static void merge_objects(struct cursor *target, struct cursor *patch,
			  struct buf *out)
{
	static const struct document_piece nothing = {"null", 4};
	bool begun = false;

	while (target->more || patch->more) {
		int order = cursor_order(target, patch);
		const struct cursor *from = order <= 0 ? target : patch;

		merge_member(&from->key, order <= 0 ? target->value : nothing,
			     order >= 0 ? &patch->value : NULL, &begun, out);
		if (order <= 0)
			cursor_next(target);
		if (order >= 0)
			cursor_next(patch);
	}
}

void document_merge(struct document_piece target, struct document_piece patch,
		    struct buf *out)
{
	struct cursor a, b;

	if (!piece_is_object(patch)) {
		buf_add(out, patch.text, patch.len);
		return;
	}
	cursor_init(&a, target);
	cursor_init(&b, patch);
	buf_add(out, "{", 1);
	merge_objects(&a, &b, out);
	buf_add(out, "}", 1);
	out->failed |= a.key.failed || b.key.failed;
	cursor_fini(&a);
	cursor_fini(&b);
}

/* Does a pointer's token mean @key? "~1" stands for "/", "~0" for "~". */
static bool token_is(const char *token, size_t len, const struct buf *key)
{
	size_t at = 0;

	for (size_t i = 0; i < len; i++, at++) {
		char c = token[i];

		if (c == '~' && i + 1 < len &&
		    (token[i + 1] == '0' || token[i + 1] == '1'))
			c = token[++i] == '1' ? '/' : '~';
		if (at >= key->len || key->data[at] != c)
			return false;
	}
	return at == key->len;
}

static bool find_member(struct document_piece object, const char *token,
			size_t len, struct document_piece *found)
{
	struct cursor c;
	bool there = false;

	for (cursor_init(&c, object); c.more && !there; cursor_next(&c)) {
		there = token_is(token, len, &c.key);
		*found = c.value;
	}
	cursor_fini(&c);
	return there;
}

/* Return: false when the token is no index. */
static bool token_index(const char *token, size_t len, size_t *index)
{
	size_t value = 0;

	if (len == 0 || (token[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (token[i] < '0' || token[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, token[i] - '0', &value))
			return false;
	}
	*index = value;
	return true;
}

static bool find_item(struct document_piece array, const char *token,
		      size_t len, struct document_piece *found)
{
	bool first = true;
	struct json json;
	size_t index;

	json_init(&json, array.text, array.len, NULL);
	if (!token_index(token, len, &index) || json_enter(&json) < 0)
		return false;
	while (json_next_item(&json, &first) > 0) {
		size_t start = json.pos;

		if (json_skip(&json) < 0)
			return false;
		if (index-- > 0)
			continue;
		*found = (struct document_piece){array.text + start,
						 json.pos - start};
		return true;
	}
	return false;
}

bool document_find(struct document_piece document, const char *pointer,
		   size_t len, struct document_piece *found)
{
	const char *end = pointer + len;

	*found = document;
	while (pointer < end) {
		const char *token = pointer + 1;
		const char *slash;
		size_t n;

		if (*pointer != '/')
			return false;
		slash = memchr(token, '/', (size_t)(end - token));
		n = (size_t)((slash ? slash : end) - token);
		if (piece_is_object(*found)
			    ? !find_member(*found, token, n, found)
			    : found->text[0] != '[' ||
				      !find_item(*found, token, n, found))
			return false;
		pointer = token + n;
	}
	return true;
}

bool document_show(struct document_piece value, struct buf *out)
{
	struct json json;
	struct cursor c;

	if (value.text[0] == '"') {
		json_init(&json, value.text, value.len, NULL);
		return json_read_string(&json, out) == 0;
	}
	if (!piece_is_object(value))
		return false;
	cursor_init(&c, value);
	for (bool begun = false; c.more; begun = true) {
		if (begun)
			buf_add(out, "\n", 1);
		buf_add(out, c.key.data, c.key.len);
		if (piece_is_object(c.value))
			buf_add(out, "/", 1);
		cursor_next(&c);
	}
	out->failed |= c.key.failed;
	cursor_fini(&c);
	return true;
}
