// SPDX-License-Identifier: Apache-2.0
/*
 * schema.c - JSON objects as tables: decoding (theory of operation: schema.h)
 */
#include "base/schema.h"

#include "base/schema_hex.h"
#include "base/schema_priv.h"

#include <errno.h>
#include <stdlib.h>

const struct schema_range schema_u8 = {"u8", UINT8_MAX};
const struct schema_range schema_u16 = {"u16", UINT16_MAX};
const struct schema_range schema_u32 = {"u32", UINT32_MAX};
const struct schema_range schema_u64 = {"u64", UINT64_MAX};
const struct schema_range schema_usize = {"usize", UINT64_MAX};

static int decode_value(const struct schema_field *field, enum schema_view view,
			struct json *json, void *value,
			struct schema_seen *seen);
static int decode_object(const struct schema_object *object,
			 enum schema_view view, struct json *json, void *base,
			 struct schema_seen *seen);

static int decode_bool(struct json *json, bool *value)
{
	enum json_kind kind = json_peek(json);
	int r;

	if (kind != JSON_AT_TRUE && kind != JSON_AT_FALSE)
		return schema_wrong_type(json, "type", "a boolean");
	r = json_read_literal(json);
	if (r == 0)
		*value = kind == JSON_AT_TRUE;
	return r;
}

static void store_uint(void *value, size_t size, uint64_t u)
{
	/* Little-endian: the low bytes come first. Most are of these sizes, for
	 * which no function is called. */
	if (size == sizeof(u))
		memcpy(value, &u, sizeof(u));
	else if (size == sizeof(uint32_t))
		memcpy(value, &u, sizeof(uint32_t));
	else
		memcpy(value, &u, size);
}

/*
 * A number that is written as schema_encode.c writes it. Nothing is consumed
 * when it is not, or when it is out of range.
 */
static inline bool schema_take_number(const struct schema_field *field,
				      struct json *json, void *value)
{
	size_t start = json->pos;
	uint64_t u;

	if (field->type == SCHEMA_BITS
		    ? json_take_hex(json, 2 * (size_t)field->size, &u)
		    : json_take_uint(json, &u) && u <= field->range->max) {
		store_uint(value, field->size, u);
		return true;
	}
	json->pos = start;
	return false;
}

static int decode_uint(const struct schema_field *field, struct json *json,
		       void *value)
{
	const struct schema_range *range = field->range;
	struct json_number n;
	size_t start;
	int r;

	if (schema_take_number(field, json, value))
		return 0;
	if (json_peek(json) != JSON_AT_NUMBER)
		return schema_wrong_type(json, "type", range->name);
	start = json->pos;
	r = json_read_number(json, &n);
	if (r < 0)
		return r;
	if (n.kind == JSON_UNSIGNED && n.u <= range->max) {
		store_uint(value, field->size, n.u);
		return 0;
	}
	json->pos = start;
	return schema_wrong_type(json, n.kind == JSON_FLOAT ? "type" : "value",
				 range->name);
}

static int decode_bits(const struct schema_field *field, struct json *json,
		       void *value)
{
	uint64_t bits;
	int r;

	if (schema_take_number(field, json, value))
		return 0;
	if (json_peek(json) != JSON_AT_STRING)
		return schema_wrong_type(json, "type", "a number in hex");
	r = schema_decode_bits(json, &bits, field->size);
	if (r == 0)
		store_uint(value, field->size, bits);
	return r;
}

/* A NUL-terminated string that holds no other NUL. */
static int schema_read_text(struct json *json, struct buf *text)
{
	int r;

	if (json_peek(json) != JSON_AT_STRING)
		return schema_wrong_type(json, "type", "a string");
	r = json_read_string(json, text);
	if (r < 0)
		return r;
	if (text->len > 0 && memchr(text->data, 0, text->len))
		return json_fail(json, "invalid value: string with a NUL "
				       "character, expected a string "
				       "without one");
	buf_add(text, "", 1);
	return text->failed ? err_set(json->err, -ENOMEM, "Out of memory") : 0;
}

static int decode_string(struct json *json, char **value)
{
	struct buf text = {0};
	int r = schema_read_text(json, &text);

	if (r < 0) {
		buf_free(&text);
		return r;
	}
	free(*value);
	*value = text.data;
	return 0;
}

/* @len: of @text, which may hold a NUL or, when it is empty, be NULL */
static bool same_text(const char *name, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] == '\0' || name[i] != text[i])
			return false;
	return name[len] == '\0';
}

static int decode_enum(const struct schema_field *field, enum schema_view view,
		       struct json *json, void *value)
{
	const struct schema_enum *names = field->names;
	struct buf text = {0};
	size_t i = 0;
	int r;

	if (json_peek(json) == JSON_AT_END)
		return json_fail(json, "EOF while parsing a value");
	if (json_peek(json) != JSON_AT_STRING) {
		json->pos++;
		return json_fail(json, "expected value");
	}
	r = json_read_string(json, &text);
	while (r == 0 && i < names->nr &&
	       !same_text(names->names[i].name, text.data, text.len))
		i++;
	if (r == 0 && i < names->nr) {
		store_uint(value, field->size, names->names[i].value);
	} else if (r == 0 && view == SCHEMA_SAVED && names->unset &&
		   same_text(names->unset, text.data, text.len)) {
		store_uint(value, field->size, 0);
	} else if (r == 0) {
		r = schema_unknown_variant(names, json, &text);
	}
	buf_free(&text);
	return r;
}

static int decode_parsed(const struct schema_field *field, struct json *json,
			 void *value)
{
	struct buf text = {0};
	struct err err = {0};
	int r = schema_read_text(json, &text);

	if (r == 0 && field->parser->parse(text.data, value, &err) < 0)
		r = json_fail(json, "%s", err.text);
	buf_free(&text);
	return r;
}

static int decode_bytes(const struct schema_field *field, struct json *json,
			void *value)
{
	if (json_peek(json) != JSON_AT_STRING)
		return schema_wrong_type(json, "type", "bytes in hex");
	return schema_decode_hex(json, value, field->size, NULL);
}

/* Room for one item more, zeroed; -ENOMEM. */
static int list_grow(struct schema_list *list, size_t size, void **item)
{
	/* Powers of two: the list grows when its length is one. */
	if ((list->nr & (list->nr - 1)) == 0) {
		size_t nr = list->nr ? 2 * list->nr : 1;
		void *items = reallocarray(list->items, nr, size);

		if (!items)
			return -ENOMEM;
		list->items = items;
	}
	*item = (char *)list->items + list->nr++ * size;
	memset(*item, 0, size);
	return 0;
}

static int decode_list(const struct schema_field *field, enum schema_view view,
		       struct json *json, struct schema_list *list,
		       struct schema_seen *seen)
{
	bool first = true;
	void *item;
	int r;

	if (json_peek(json) != JSON_AT_ARRAY)
		return schema_wrong_type(json, "type", "a sequence");
	schema_free_value(field, list);
	r = json_enter(json);
	while (r == 0) {
		r = json_next_item(json, &first);
		if (r <= 0)
			break;
		if (list_grow(list, field->item->size, &item) < 0)
			return err_set(json->err, -ENOMEM, "Out of memory");
		r = decode_value(field->item->field, view, json, item, seen);
	}
	return r;
}

static int next_item(struct json *json, bool *first)
{
	return json_take_item(json, first) ? 1 : json_next_item(json, first);
}

static unsigned int *count_of(const struct schema_field *field, char *base)
{
	if (!(field->flags & SCHEMA_COUNTED))
		return NULL;
	return (unsigned int *)(void *)(base + field->count);
}

static int decode_array(const struct schema_field *field, enum schema_view view,
			struct json *json, char *base, struct schema_seen *seen)
{
	size_t capacity = field->size / field->item->size;
	unsigned int *nr = count_of(field, base);
	char *item = base + field->offset;
	bool first = true;
	size_t i = 0;
	int r;

	if (json_peek(json) != JSON_AT_ARRAY)
		return schema_wrong_type(json, "type", "a sequence");
	r = json_enter(json);
	while (r == 0 && (r = next_item(json, &first)) > 0) {
		if (i == capacity)
			break;
		r = decode_value(field->item->field, view, json,
				 item + i++ * field->item->size, seen);
	}
	if (r < 0)
		return r;
	if (r > 0 || (!nr && i < capacity))
		return json_fail(json,
				 "invalid length %zu%s, expected an array of "
				 "%s%zu elements",
				 i, r > 0 ? " and more" : "",
				 nr ? "up to " : "", capacity);
	if (nr)
		*nr = (unsigned int)i;
	return 0;
}

static int decode_raw(struct json *json, struct schema_raw *raw)
{
	size_t start;
	int r;

	(void)json_peek(json);
	start = json->pos;
	r = json_skip(json);
	if (r == 0) {
		raw->text = json->text + start;
		raw->len = json->pos - start;
	}
	return r;
}

static int decode_map(const struct schema_field *field, struct json *json,
		      struct schema_list *list)
{
	struct schema_pair *pair = NULL;
	struct buf key = {0};
	bool first = true;
	int r;

	if (json_peek(json) != JSON_AT_OBJECT)
		return schema_wrong_type(json, "type", "a map");
	schema_free_value(field, list);
	r = json_enter(json);
	while (r == 0) {
		r = json_next_key(json, &first, &key);
		if (r <= 0)
			break;
		if (list_grow(list, sizeof(*pair), (void **)&pair) == 0)
			pair->key = strndup(key.len ? key.data : "", key.len);
		if (!pair || !pair->key) {
			r = err_set(json->err, -ENOMEM, "Out of memory");
			break;
		}
		r = json_colon(json);
		if (r == 0)
			r = decode_string(json, &pair->value);
	}
	buf_free(&key);
	return r;
}

static int decode_value(const struct schema_field *field, enum schema_view view,
			struct json *json, void *value,
			struct schema_seen *seen)
{
	struct schema_seen inner = {0};
	int r;

	switch (field->type) {
	case SCHEMA_BOOL:
		return decode_bool(json, value);
	case SCHEMA_UINT:
		return decode_uint(field, json, value);
	case SCHEMA_STRING:
		return decode_string(json, value);
	case SCHEMA_ENUM:
		return decode_enum(field, view, json, value);
	case SCHEMA_PARSED:
		return view == SCHEMA_SAVED ? decode_bytes(field, json, value)
					    : decode_parsed(field, json, value);
	case SCHEMA_LIST:
		return decode_list(field, view, json, value, seen);
	case SCHEMA_MAP:
		return decode_map(field, json, value);
	case SCHEMA_OBJECT:
		r = decode_object(field->object, view, json, value, &inner);
		seen->deprecated |= inner.deprecated;
		return r;
	case SCHEMA_BITS:
		return decode_bits(field, json, value);
	case SCHEMA_HEX:
		return decode_bytes(field, json, value);
	case SCHEMA_RAW:
		return decode_raw(json, value);
	case SCHEMA_ARRAY: /* decode_member() takes it */
	case SCHEMA_OURS:
		break;
	}
	return -EINVAL;
}

/* What needs more than the place of its value: the number of its items. */
static int decode_member(const struct schema_field *field,
			 enum schema_view view, struct json *json, char *base,
			 struct schema_seen *seen)
{
	if (field->type == SCHEMA_ARRAY)
		return decode_array(field, view, json, base, seen);
	if (field->type == SCHEMA_HEX && (field->flags & SCHEMA_COUNTED) &&
	    json_peek(json) == JSON_AT_STRING)
		return schema_decode_hex(json,
					 (uint8_t *)(base + field->offset),
					 field->size, count_of(field, base));
	return decode_value(field, view, json, base + field->offset, seen);
}

/* Looked for from @hint on: what we wrote ourselves comes in this order. */
static size_t find_field(const struct schema_object *object,
			 enum schema_view view, const char *name, size_t len,
			 size_t hint)
{
	for (size_t k = 0; k < object->nr; k++) {
		size_t i = hint + k < object->nr ? hint + k
						 : hint + k - object->nr;

		if (schema_in_view(&object->fields[i], view) &&
		    same_text(object->fields[i].name, name, len))
			return i;
	}
	return object->nr;
}

/* The value of a known field, behind its colon. */
static int decode_field(const struct schema_field *field, enum schema_view view,
			struct json *json, char *base, struct schema_seen *seen,
			uint64_t bit)
{
	unsigned int flags = schema_flags(field, view);
	bool *has = (bool *)(void *)(base + field->has);
	int r;

	if ((flags & SCHEMA_NULL) && json_peek(json) == JSON_AT_NULL) {
		if (flags & SCHEMA_HAS)
			*has = false;
		return json_read_literal(json);
	}
	r = decode_member(field, view, json, base, seen);
	if (r < 0)
		return r;
	if (flags & SCHEMA_HAS)
		*has = true;
	if (flags & SCHEMA_DEPRECATED)
		seen->deprecated = true;
	seen->fields |= bit;
	return 0;
}

/**
 * struct members - how far an object is read
 * @known:	fields that were there, by number
 * @hint:	the field that follows the last one in the schema
 * @key:	of the last member, unless it had the expected key
 */
struct members {
	enum schema_view view;
	uint64_t known;
	size_t hint;
	bool first;
	struct buf key;
};

/* The first field from @i on that the view has. */
static size_t skip_absent(const struct schema_object *object,
			  enum schema_view view, size_t i)
{
	while (i < object->nr && !schema_in_view(&object->fields[i], view))
		i++;
	return i;
}

/*
 * The next key, with its colon, and the number of its field. What we wrote
 * ourselves comes in the order of the schema.
 *
 * Return: 1, 0 at the end of the object, -EINVAL.
 */
static int next_member(const struct schema_object *object, struct json *json,
		       struct members *m, size_t *field)
{
	size_t i = m->hint;
	int r;

	*field = i;
	if (i < object->nr && !(m->known & 1ull << i) &&
	    json_take_key(json, &m->first, object->fields[i].name))
		return 1;
	r = json_next_key(json, &m->first, &m->key);
	if (r <= 0)
		return r;
	i = find_field(object, m->view, m->key.data, m->key.len, m->hint);
	if (i == object->nr && (!object->open || m->view == SCHEMA_SAVED))
		return schema_unknown_field(object, m->view, json, &m->key);
	if (i < object->nr && (m->known & 1ull << i))
		return json_fail(json, "duplicate field `%s`",
				 object->fields[i].name);
	*field = i;
	r = json_colon(json);
	return r < 0 ? r : 1;
}

static int decode_members(const struct schema_object *object,
			  enum schema_view view, struct json *json, void *base,
			  struct schema_seen *seen)
{
	struct members m = {
		.view = view,
		.hint = skip_absent(object, view, 0),
		.first = true,
	};
	size_t i;
	int r;

	while ((r = next_member(object, json, &m, &i)) > 0) {
		uint64_t bit = 1ull << i;

		if (i == object->nr)
			r = json_skip(json);
		else
			r = decode_field(&object->fields[i], view, json, base,
					 seen, bit);
		if (r < 0)
			break;
		if (i < object->nr) {
			m.known |= bit;
			m.hint = skip_absent(object, view, i + 1);
		}
	}
	if (m.key.data)
		buf_free(&m.key);
	return r < 0 ? r : schema_missing_field(object, view, json, m.known);
}

/*
 * The next value of a row by the short way: most of a saved state is numbers in
 * rows. Nothing is consumed when it is something else.
 */
static bool take_cell(const struct schema_field *field, struct json *json,
		      bool *first, char *base)
{
	size_t start = json->pos;
	bool was_first = *first;

	if ((field->type == SCHEMA_BITS || field->type == SCHEMA_UINT) &&
	    json_take_item(json, first) &&
	    schema_take_number(field, json, base + field->offset))
		return true;
	json->pos = start;
	*first = was_first;
	return false;
}

static int decode_row(const struct schema_object *object, enum schema_view view,
		      struct json *json, void *base, struct schema_seen *seen)
{
	bool first = true;
	size_t i = 0;
	int r;

	if (json_peek(json) != JSON_AT_ARRAY)
		return schema_wrong_type(json, "type",
					 "an array of a row's values");
	r = json_enter(json);
	while (r == 0 && i < object->nr &&
	       take_cell(&object->fields[i], json, &first, base))
		i++;
	while (r == 0 && (r = next_item(json, &first)) > 0) {
		if (i == object->nr)
			break;
		r = decode_member(&object->fields[i], view, json, base, seen);
		i++;
	}
	if (r < 0)
		return r;
	if (r > 0 || i < object->nr)
		return json_fail(json,
				 "invalid length %zu%s, expected struct %s "
				 "with %zu values",
				 i, r > 0 ? " and more" : "", object->name,
				 object->nr);
	return 0;
}

static int decode_object(const struct schema_object *object,
			 enum schema_view view, struct json *json, void *base,
			 struct schema_seen *seen)
{
	char expected[80];
	int r;

	assert(object->nr < 64);
	*seen = (struct schema_seen){0};
	if (object->row)
		return decode_row(object, view, json, base, seen);
	if (json_peek(json) == JSON_AT_ARRAY)
		return schema_refuse_array(object, view, json);
	if (json_peek(json) != JSON_AT_OBJECT) {
		(void)snprintf(expected, sizeof(expected), "struct %s",
			       object->name);
		return schema_wrong_type(json, "type", expected);
	}
	r = json_enter(json);
	return r < 0 ? r : decode_members(object, view, json, base, seen);
}

int schema_decode(const struct schema_object *object, struct json *json,
		  void *base, struct schema_seen *seen)
{
	return decode_object(object, object->view, json, base, seen);
}

int schema_decode_rest(const struct schema_object *object, struct json *json,
		       void *base, struct schema_seen *seen)
{
	assert(object->nr < 64);
	*seen = (struct schema_seen){0};
	json->depth++;
	return decode_members(object, object->view, json, base, seen);
}

int schema_decode_text(const struct schema_object *object, const char *text,
		       size_t len, void *base, struct schema_seen *seen,
		       struct err *err)
{
	struct json json;
	int r;

	json_init(&json, text, len, err);
	r = schema_decode(object, &json, base, seen);
	return r < 0 ? r : json_end(&json);
}
