// SPDX-License-Identifier: Apache-2.0
/*
 * schema_encode.c - JSON objects as tables: encoding (schema.h)
 */
#include "base/schema_hex.h"
#include "base/schema_priv.h"

static void encode_value(const struct schema_field *field,
			 enum schema_view view, const void *value,
			 struct buf *out);
static void encode_object(const struct schema_object *object,
			  enum schema_view view, const void *base,
			  struct buf *out);

static uint64_t load_uint(const void *value, size_t size)
{
	uint64_t u = 0;

	memcpy(&u, value, size);
	return u;
}

static bool is_set(const struct schema_field *field, unsigned int flags,
		   const char *base)
{
	const void *value = base + field->offset;

	if (flags & SCHEMA_HAS)
		return *(const bool *)(const void *)(base + field->has);
	if (field->type == SCHEMA_STRING)
		return *(char *const *)value != NULL;
	if (field->type == SCHEMA_ENUM && (flags & (SCHEMA_NULL | SCHEMA_OMIT)))
		return load_uint(value, field->size) != 0;
	if (field->type == SCHEMA_BOOL && flags & SCHEMA_OMIT)
		return *(const bool *)value;
	return true;
}

static void encode_list(const struct schema_field *field, enum schema_view view,
			const struct schema_list *list, struct buf *out)
{
	buf_add(out, "[", 1);
	for (size_t i = 0; i < list->nr; i++) {
		if (i > 0)
			buf_add(out, ",", 1);
		encode_value(field->item->field, view,
			     (const char *)list->items + i * field->item->size,
			     out);
	}
	buf_add(out, "]", 1);
}

static void encode_array(const struct schema_field *field,
			 enum schema_view view, const char *base,
			 struct buf *out)
{
	const char *item = base + field->offset;
	size_t nr = field->size / field->item->size;

	if (field->flags & SCHEMA_COUNTED)
		nr = *(const unsigned int *)(const void *)(base + field->count);
	buf_add(out, "[", 1);
	for (size_t i = 0; i < nr; i++) {
		if (i > 0)
			buf_add(out, ",", 1);
		encode_value(field->item->field, view,
			     item + i * field->item->size, out);
	}
	buf_add(out, "]", 1);
}

static void encode_map(const struct schema_list *list, struct buf *out)
{
	const struct schema_pair *pairs = list->items;

	buf_add(out, "{", 1);
	for (size_t i = 0; i < list->nr; i++) {
		if (i > 0)
			buf_add(out, ",", 1);
		buf_add_json(out, pairs[i].key, strlen(pairs[i].key));
		buf_add(out, ":", 1);
		buf_add_json(out, pairs[i].value, strlen(pairs[i].value));
	}
	buf_add(out, "}", 1);
}

static void encode_enum(const struct schema_enum *names, enum schema_view view,
			uint64_t value, struct buf *out)
{
	for (size_t i = 0; i < names->nr; i++) {
		if (names->names[i].value == value) {
			buf_addf(out, "\"%s\"", names->names[i].name);
			return;
		}
	}
	if (view == SCHEMA_SAVED && value == 0 && names->unset)
		buf_addf(out, "\"%s\"", names->unset);
	else
		buf_add_str(out, "null");
}

static void encode_value(const struct schema_field *field,
			 enum schema_view view, const void *value,
			 struct buf *out)
{
	const char *text;

	switch (field->type) {
	case SCHEMA_BOOL:
		buf_add_str(out, *(const bool *)value ? "true" : "false");
		break;
	case SCHEMA_UINT:
		buf_addf(out, "%llu",
			 (unsigned long long)load_uint(value, field->size));
		break;
	case SCHEMA_STRING:
		text = *(char *const *)value;
		buf_add_json(out, text, strlen(text));
		break;
	case SCHEMA_ENUM:
		encode_enum(field->names, view, load_uint(value, field->size),
			    out);
		break;
	case SCHEMA_PARSED:
		if (view == SCHEMA_SAVED)
			schema_encode_hex(value, field->size, NULL, out);
		else
			field->parser->show(value, out);
		break;
	case SCHEMA_OBJECT:
		encode_object(field->object, view, value, out);
		break;
	case SCHEMA_LIST:
		encode_list(field, view, value, out);
		break;
	case SCHEMA_MAP:
		encode_map(value, out);
		break;
	case SCHEMA_BITS:
		schema_encode_bits(load_uint(value, field->size), out);
		break;
	case SCHEMA_HEX:
		schema_encode_hex(value, field->size, NULL, out);
		break;
	case SCHEMA_RAW:
		buf_add(out, ((const struct schema_raw *)value)->text,
			((const struct schema_raw *)value)->len);
		break;
	case SCHEMA_ARRAY: /* encode_member() takes it */
	case SCHEMA_OURS:
		break;
	}
}

static void encode_member(const struct schema_field *field,
			  enum schema_view view, const char *base,
			  struct buf *out)
{
	if (field->type == SCHEMA_ARRAY)
		encode_array(field, view, base, out);
	else if (field->type == SCHEMA_HEX && (field->flags & SCHEMA_COUNTED))
		schema_encode_hex(
			(const uint8_t *)(base + field->offset), field->size,
			(const unsigned int *)(const void *)(base +
							     field->count),
			out);
	else
		encode_value(field, view, base + field->offset, out);
}

static void encode_row(const struct schema_object *object,
		       enum schema_view view, const void *base, struct buf *out)
{
	buf_add(out, "[", 1);
	for (size_t i = 0; i < object->nr; i++) {
		if (i > 0)
			buf_add(out, ",", 1);
		encode_member(&object->fields[i], view, base, out);
	}
	buf_add(out, "]", 1);
}

static void encode_object(const struct schema_object *object,
			  enum schema_view view, const void *base,
			  struct buf *out)
{
	bool first = true;

	if (object->row) {
		encode_row(object, view, base, out);
		return;
	}
	buf_add(out, "{", 1);
	for (size_t i = 0; i < object->nr; i++) {
		const struct schema_field *field = &object->fields[i];
		unsigned int flags = schema_flags(field, view);
		bool set;

		if (flags & (SCHEMA_HIDDEN | SCHEMA_ABSENT))
			continue;
		set = is_set(field, flags, base);
		if (!set && (flags & SCHEMA_OMIT))
			continue;
		buf_addf(out, "%s\"%s\":", first ? "" : ",", field->name);
		first = false;
		if (set)
			encode_member(field, view, base, out);
		else
			buf_add_str(out, "null");
	}
	buf_add(out, "}", 1);
}

void schema_encode(const struct schema_object *object, const void *base,
		   struct buf *out)
{
	encode_object(object, object->view, base, out);
}
