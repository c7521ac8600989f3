/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - JSON objects as tables: one decoder, one encoder
 *
 * Theory of operation
 *
 * A struct schema_object lists the fields of one JSON object and where each of
 * them lives in a C struct. The API's bodies, the config file, the answers to
 * GET and the state of a snapshot all go through such tables, so a field is
 * described once. Decoding is strict in the way of Firecracker's parser
 * (serde): the errors and their order are its own, so that clients which match
 * them keep working.
 *
 * Values and their places:
 *
 *   SCHEMA_BOOL    bool
 *   SCHEMA_UINT    an unsigned integer of any width, with a range and its name
 *   SCHEMA_STRING  char *, owned, NULL when unset
 *   SCHEMA_ENUM    an enum, from a table of names; 0 may mean unset
 *   SCHEMA_PARSED  any value type that is a string in JSON (MAC address, level)
 *   SCHEMA_OBJECT  a struct with a schema of its own; @row: an array in JSON
 *   SCHEMA_LIST    struct schema_list of any of these
 *   SCHEMA_MAP     struct schema_list of struct schema_pair (string to string)
 *
 * and for saved state, which owns no memory:
 *
 *   SCHEMA_BITS    an unsigned integer of any width, in JSON "0x1f"
 *   SCHEMA_HEX     bytes, in JSON a string of hex digits. Of fixed size: zeros
 *                  at the end may be, and are, left out. SCHEMA_COUNTED: up to
 *                  that size, their number beside them
 *   SCHEMA_ARRAY   a C array of BOOL, UINT, BITS, HEX of fixed size or OBJECT.
 *                  All of it, or SCHEMA_COUNTED: up to that many
 *   SCHEMA_RAW     struct schema_raw: any value, as text that the caller
 *                  decodes later by a schema that depends on another field
 *
 * An optional value that has no natural "unset" (numbers, objects) has a bool
 * beside it, named by SCHEMA_HAS; decoding sets it, encoding reads it.
 *
 * One struct may have several views: what a client sends as a whole (and is
 * shown), what it sends to change it, and saved state. A field has flags for
 * each; SCHEMA_ABSENT says that the view does not have it. The view is that of
 * the outermost object. Most tables have one view, the first.
 *
 * Saved state differs from the others in form, too: SCHEMA_PARSED is
 * its bytes, as SCHEMA_HEX; an enum's 0 may have a name that no client knows;
 * no object is open.
 *
 * Decoding touches only the fields that are present, so the struct may hold
 * defaults or, for PATCH, the present configuration. JSON null counts as absent
 * where the field allows it.
 */
#pragma once

#include "base/json.h"

enum schema_type {
	SCHEMA_BOOL,
	SCHEMA_UINT,
	SCHEMA_STRING,
	SCHEMA_ENUM,
	SCHEMA_PARSED,
	SCHEMA_OBJECT,
	SCHEMA_LIST,
	SCHEMA_MAP,
	SCHEMA_BITS,
	SCHEMA_HEX,
	SCHEMA_ARRAY,
	SCHEMA_RAW,
	SCHEMA_OURS, /* not in JSON at all: there to be accounted for */
};

enum schema_view {
	SCHEMA_WHOLE,
	SCHEMA_PATCH,
	SCHEMA_SAVED,
};

enum schema_flags {
	SCHEMA_REQUIRED = 1 << 0,
	SCHEMA_NULL = 1 << 1,       /* null is allowed: absent */
	SCHEMA_DEPRECATED = 1 << 2, /* its use is told to the client */
	SCHEMA_HIDDEN = 1 << 3,     /* never encoded */
	SCHEMA_OMIT = 1 << 4,       /* left out, not null, when unset */
	SCHEMA_HAS = 1 << 5,        /* @has is the offset of its bool */
	SCHEMA_COUNTED = 1 << 6,    /* @count is the offset of its number */
	SCHEMA_EXTRA = 1 << 7,      /* ours, not Firecracker's: errors do not
				     * list it; comes after all others */
	SCHEMA_ABSENT = 1 << 8,     /* the view has no such field */
};

/* Range of an integer, and what errors call it. */
struct schema_range {
	const char *name;
	uint64_t max;
};

extern const struct schema_range schema_u8;
extern const struct schema_range schema_u16;
extern const struct schema_range schema_u32;
extern const struct schema_range schema_u64;
extern const struct schema_range schema_usize;

struct schema_name {
	const char *name;
	unsigned int value;
};

/* Names in the order in which errors list them; @unset: of 0, in saved state
 * only, when it is not among them. */
struct schema_enum {
	const struct schema_name *names;
	size_t nr;
	const char *unset;
};

#define SCHEMA_NAMES(table) {.names = (table), .nr = ARRAY_SIZE(table)}

/**
 * struct schema_parser - a value that is a string in JSON
 * @parse:	-EINVAL with the whole error text when @text is no such value
 * @show:	adds the JSON text of the value
 */
struct schema_parser {
	int (*parse)(const char *text, void *value, struct err *err);
	void (*show)(const void *value, struct buf *out);
};

/* A list in a config struct: owned, @items is an array of @nr. */
struct schema_list {
	size_t nr;
	void *items;
};

/* What a SCHEMA_MAP holds; both strings owned. */
struct schema_pair {
	char *key;
	char *value;
};

/* What a SCHEMA_RAW holds: borrowed; from decoding, a piece of the text. */
struct schema_raw {
	const char *text;
	size_t len;
};

struct schema_object;
struct schema_field;

/**
 * struct schema_item - what a SCHEMA_LIST or a SCHEMA_ARRAY holds
 * @field:	of an item, with offset 0
 */
struct schema_item {
	const struct schema_field *field;
	size_t size;
};

/**
 * struct schema_field - one member of an object
 * @flags, @patch, @saved: enum schema_flags in each view
 * @size:	of the C value
 * @has:	offset of a bool, with SCHEMA_HAS
 * @count:	offset of an unsigned int, with SCHEMA_COUNTED
 *
 * Small, because a program that is loaded anywhere writes all pointers of its
 * tables when it starts: each page of them is one that it copies.
 */
struct schema_field {
	const char *name;
	enum schema_type type : 5;
	unsigned int flags : 9;
	unsigned int patch : 9;
	unsigned int saved : 9;
	uint32_t offset;
	uint32_t size;
	union {
		uint32_t has;
		uint32_t count;
	};
	union {
		const struct schema_range *range;
		const struct schema_enum *names;
		const struct schema_parser *parser;
		const struct schema_object *object;
		const struct schema_item *item;
	};
};

/**
 * struct schema_object - one JSON object and its C struct
 * @name:	of the struct in error texts
 * @open:	unknown fields are ignored instead of refused
 * @row:	in JSON an array of its values in this order, without names: for
 *		the rows of tables in saved state. No field may be left out
 * @view:	of it and of the objects in it, when it is the outermost
 */
struct schema_object {
	const char *name;
	const struct schema_field *fields;
	size_t nr;
	size_t size;
	bool open;
	bool row;
	enum schema_view view;
};

/* The flags of @field in a view. */
static inline unsigned int schema_flags(const struct schema_field *field,
					enum schema_view view)
{
	return view == SCHEMA_WHOLE   ? field->flags
	       : view == SCHEMA_PATCH ? field->patch
				      : field->saved;
}

/* Place of a field: SCHEMA_AT(struct machine_config, smt). */
#define SCHEMA_AT(type, member) \
	.offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)

/*
 * Saved state, one line a field: all of it required. The JSON name is that of
 * the C member, or @name_ where the member is nested.
 */
#define SCHEMA_SIZEOF(type_, member) sizeof(((type_ *)NULL)->member)
#define SCHEMA_STATE(name_, kind, type_, member)                   \
	.name = (name_), .type = (kind), .flags = SCHEMA_REQUIRED, \
	SCHEMA_AT(type_, member)
#define SCHEMA_STATE_UINT_NAMED(name_, type_, member)               \
	{SCHEMA_STATE(name_, SCHEMA_UINT, type_, member),           \
	 .range = SCHEMA_SIZEOF(type_, member) == 1   ? &schema_u8  \
		  : SCHEMA_SIZEOF(type_, member) == 2 ? &schema_u16 \
		  : SCHEMA_SIZEOF(type_, member) == 4 ? &schema_u32 \
						      : &schema_u64}
#define SCHEMA_STATE_UINT(type_, member) \
	SCHEMA_STATE_UINT_NAMED(#member, type_, member)
#define SCHEMA_STATE_BOOL(type_, member) \
	{SCHEMA_STATE(#member, SCHEMA_BOOL, type_, member)}
#define SCHEMA_STATE_BITS(type_, member) \
	{SCHEMA_STATE(#member, SCHEMA_BITS, type_, member)}
#define SCHEMA_STATE_HEX(type_, member) \
	{SCHEMA_STATE(#member, SCHEMA_HEX, type_, member)}
#define SCHEMA_STATE_OBJECT(type_, member, object_)           \
	{SCHEMA_STATE(#member, SCHEMA_OBJECT, type_, member), \
	 .object = (object_)}
/* A whole array, or as many items of it as @count_ says. */
#define SCHEMA_STATE_ARRAY(type_, member, item_) \
	{SCHEMA_STATE(#member, SCHEMA_ARRAY, type_, member), .item = (item_)}
#define SCHEMA_STATE_COUNTED(kind, type_, member, count_, ...) \
	{.name = #member,                                      \
	 .type = (kind),                                       \
	 .flags = SCHEMA_REQUIRED | SCHEMA_COUNTED,            \
	 SCHEMA_AT(type_, member),                             \
	 .count = offsetof(type_, count_),                     \
	 __VA_ARGS__}
/* The object of a table of fields. */
#define SCHEMA_STATE_OF(type_, fields_) \
	{.name = #type_,                \
	 .fields = (fields_),           \
	 .nr = ARRAY_SIZE(fields_),     \
	 .size = sizeof(type_)}
#define SCHEMA_STATE_ROW_OF(type_, fields_) \
	{.name = #type_,                    \
	 .fields = (fields_),               \
	 .nr = ARRAY_SIZE(fields_),         \
	 .size = sizeof(type_),             \
	 .row = true}
/* Initialises a struct schema_item of objects. */
#define SCHEMA_STATE_ITEM(type_, object_)       \
	{.field =                               \
		 &(const struct schema_field){  \
			 .type = SCHEMA_OBJECT, \
			 .object = (object_),   \
		 },                             \
	 .size = sizeof(type_)}

/**
 * struct schema_seen - what a text contained
 * @fields:	bit i: field i of the outermost object is there and not null
 * @deprecated:	a SCHEMA_DEPRECATED field is there, at any depth
 */
struct schema_seen {
	uint64_t fields;
	bool deprecated;
};

/**
 * schema_decode() - read one value of @object into @base
 *
 * On failure @base may be partly filled: schema_free() it in any case.
 *
 * Return: 0, or -EINVAL with Firecracker's sentence.
 */
int schema_decode(const struct schema_object *object, struct json *json,
		  void *base, struct schema_seen *seen) __must_check;

/**
 * schema_decode_rest() - the same, from the first key on
 *
 * For an object whose first members the caller has read by itself, up to and
 * with the comma.
 *
 * Return: as schema_decode().
 */
int schema_decode_rest(const struct schema_object *object, struct json *json,
		       void *base, struct schema_seen *seen) __must_check;

/* A whole text: the object and nothing behind it. Return: as schema_decode().
 */
int schema_decode_text(const struct schema_object *object, const char *text,
		       size_t len, void *base, struct schema_seen *seen,
		       struct err *err) __must_check;

/* The JSON text of @base. */
void schema_encode(const struct schema_object *object, const void *base,
		   struct buf *out);

/* Free every string and list in @base and set it to NULL. */
void schema_free(const struct schema_object *object, void *base);
