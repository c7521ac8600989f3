// SPDX-License-Identifier: Apache-2.0
/*
 * test_schema.c - objects by table: decoding, its errors, encoding
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/schema.h"

enum colour { RED = 1, GREEN, BLUE };

struct inner {
	uint16_t port;
	char *name;
};

struct outer {
	bool on;
	uint8_t small;
	uint64_t big;
	bool has_big;
	char *text;
	enum colour colour;
	uint8_t mac[2];
	struct inner inner;
	bool has_inner;
	struct schema_list names;
	struct schema_list inners;
	struct schema_list map;
	char *old;
	bool extra;
};

static const struct schema_name colour_names[] = {
	{"Red", RED},
	{"Green", GREEN},
	{"Blue", BLUE},
};
static const struct schema_enum colours = SCHEMA_NAMES(colour_names);

static int parse_mac(const char *text, void *value, struct err *err)
{
	uint8_t *mac = value;

	if (sscanf(text, "%hhx:%hhx", &mac[0], &mac[1]) != 2)
		return err_set(err, -EINVAL, "no MAC: %s", text);
	return 0;
}

static void show_mac(const void *value, struct buf *out)
{
	const uint8_t *mac = value;

	buf_addf(out, "\"%02x:%02x\"", mac[0], mac[1]);
}

static const struct schema_parser mac_parser = {parse_mac, show_mac};

/* clang-format off */
static const struct schema_field inner_fields[] = {
	{.name = "port", .type = SCHEMA_UINT, .flags = SCHEMA_REQUIRED,
	 SCHEMA_AT(struct inner, port), .range = &schema_u16},
	{.name = "name", .type = SCHEMA_STRING, .flags = SCHEMA_NULL,
	 SCHEMA_AT(struct inner, name)},
};

static const struct schema_object inner_schema = {
	"Inner", inner_fields, 2, sizeof(struct inner), false, false,
	SCHEMA_WHOLE,
};

static const struct schema_field name_field = {
	.type = SCHEMA_STRING, .size = sizeof(char *),
};
static const struct schema_item name_item = {&name_field, sizeof(char *)};

static const struct schema_field inner_field = {
	.type = SCHEMA_OBJECT, .size = sizeof(struct inner),
	.object = &inner_schema,
};
static const struct schema_item inner_item = {
	&inner_field, sizeof(struct inner),
};

static const struct schema_field outer_fields[] = {
	{.name = "on", .type = SCHEMA_BOOL, SCHEMA_AT(struct outer, on)},
	{.name = "small", .type = SCHEMA_UINT, .flags = SCHEMA_REQUIRED,
	 SCHEMA_AT(struct outer, small), .range = &schema_u8},
	{.name = "big", .type = SCHEMA_UINT,
	 .flags = SCHEMA_NULL | SCHEMA_HAS,
	 SCHEMA_AT(struct outer, big),
	 .has = offsetof(struct outer, has_big), .range = &schema_u64},
	{.name = "text", .type = SCHEMA_STRING, .flags = SCHEMA_NULL,
	 SCHEMA_AT(struct outer, text)},
	{.name = "colour", .type = SCHEMA_ENUM,
	 .flags = SCHEMA_NULL | SCHEMA_OMIT,
	 SCHEMA_AT(struct outer, colour), .names = &colours},
	{.name = "mac", .type = SCHEMA_PARSED,
	 SCHEMA_AT(struct outer, mac), .parser = &mac_parser},
	{.name = "inner", .type = SCHEMA_OBJECT,
	 .flags = SCHEMA_NULL | SCHEMA_HAS,
	 SCHEMA_AT(struct outer, inner),
	 .has = offsetof(struct outer, has_inner), .object = &inner_schema},
	{.name = "names", .type = SCHEMA_LIST,
	 SCHEMA_AT(struct outer, names), .item = &name_item},
	{.name = "inners", .type = SCHEMA_LIST,
	 SCHEMA_AT(struct outer, inners), .item = &inner_item},
	{.name = "map", .type = SCHEMA_MAP, SCHEMA_AT(struct outer, map)},
	{.name = "old", .type = SCHEMA_STRING,
	 .flags = SCHEMA_NULL | SCHEMA_DEPRECATED | SCHEMA_HIDDEN,
	 SCHEMA_AT(struct outer, old)},
	{.name = "extra", .type = SCHEMA_BOOL,
	 .flags = SCHEMA_EXTRA | SCHEMA_OMIT,
	 SCHEMA_AT(struct outer, extra)},
};

static const struct schema_object outer_schema = {
	"Outer", outer_fields, ARRAY_SIZE(outer_fields),
	sizeof(struct outer), false, false, SCHEMA_WHOLE,
};
/* clang-format on */

/* True when the field @name of @object is in @seen. */
static bool schema_has(const struct schema_object *object,
		       const struct schema_seen *seen, const char *name)
{
	size_t i = 0;

	while (strcmp(object->fields[i].name, name) != 0)
		i++;
	return seen->fields & 1ull << i;
}

static int decode(const char *text, struct outer *o, struct schema_seen *seen,
		  struct err *err)
{
	return schema_decode_text(&outer_schema, text, strlen(text), o, seen,
				  err);
}

static void round_trip(void **state)
{
	static const char text[] =
		"{\"on\":true,\"small\":255,\"big\":18446744073709551615,"
		"\"text\":\"a\\\"b\",\"colour\":\"Blue\",\"mac\":\"0a:ff\","
		"\"inner\":{\"port\":65535,\"name\":null},"
		"\"names\":[\"x\",\"\",\"z\"],"
		"\"inners\":[{\"port\":1,\"name\":\"n\"},"
		"{\"port\":2,\"name\":null}],"
		"\"map\":{\"k\":\"v\",\"l\":\"\"},\"extra\":true}";
	struct schema_seen seen;
	struct outer o = {0};
	struct buf out = {0};
	struct err err;

	(void)state;
	if (decode(text, &o, &seen, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(o.big, UINT64_MAX);
	assert_int_equal(o.colour, BLUE);
	assert_true(schema_has(&outer_schema, &seen, "map"));
	assert_false(schema_has(&outer_schema, &seen, "old"));
	schema_encode(&outer_schema, &o, &out);
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.data, text, out.len);
	buf_free(&out);
	schema_free(&outer_schema, &o);
	assert_null(o.text);
	assert_null(o.names.items);
}

static void unset_values(void **state)
{
	static const char want[] =
		"{\"on\":false,\"small\":0,\"big\":null,\"text\":null,"
		"\"mac\":\"00:00\",\"inner\":null,\"names\":[],"
		"\"inners\":[],\"map\":{}}";
	struct outer o = {0};
	struct buf out = {0};

	(void)state;
	schema_encode(&outer_schema, &o, &out);
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.data, want, out.len);
	buf_free(&out);
}

/* Absent and null leave what was there; a value replaces it. */
static void patching(void **state)
{
	struct schema_seen seen;
	struct outer o = {0};
	struct err err;

	(void)state;
	assert_int_equal(decode("{\"small\":1,\"text\":\"a\",\"big\":5}", &o,
				&seen, &err),
			 0);
	assert_int_equal(decode("{\"small\":2,\"text\":null}", &o, &seen, &err),
			 0);
	assert_string_equal(o.text, "a");
	assert_int_equal(o.small, 2);
	assert_int_equal(o.big, 5);
	assert_false(schema_has(&outer_schema, &seen, "text"));
	assert_int_equal(decode("{\"small\":2,\"text\":\"b\",\"big\":null}", &o,
				&seen, &err),
			 0);
	assert_string_equal(o.text, "b");
	assert_false(o.has_big);
	schema_free(&outer_schema, &o);
}

static void deprecated_fields(void **state)
{
	struct schema_seen seen;
	struct outer o = {0};
	struct err err;

	(void)state;
	assert_int_equal(decode("{\"small\":1,\"old\":null}", &o, &seen, &err),
			 0);
	assert_false(seen.deprecated);
	assert_int_equal(decode("{\"small\":1,\"old\":\"x\"}", &o, &seen, &err),
			 0);
	assert_true(seen.deprecated);
	schema_free(&outer_schema, &o);
}

static void errors(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} rows[] = {
		{"null", "invalid type: null, expected struct Outer"},
		{"7", "invalid type: integer `7`, expected struct Outer"},
		{"\"a\"", "invalid type: string \"a\", expected struct Outer"},
		{"[]", "invalid length 0, expected struct Outer with 11 "
		       "elements at line 1 column 2"},
		{"[1]", "invalid type: sequence, expected struct Outer"},
		{"{}", "missing field `small` at line 1 column 2"},
		{"{\"x\":1}", "unknown field `x`, expected one of `on`, "
			      "`small`, `big`"},
		{"{\"small\":1,\"small\":2}",
		 "duplicate field `small` at line 1 column 18"},
		{"{\"text\":null,\"text\":null}", "duplicate field `text`"},
		{"{\"small\":256}", "invalid value: integer `256`, expected u8 "
				    "at line 1 column 12"},
		{"{\"small\":-1}", "invalid value: integer `-1`, expected u8"},
		{"{\"small\":1.5}",
		 "invalid type: floating point `1.5`, expected u8"},
		{"{\"small\":1e2}", "invalid type: floating point `100.0`"},
		{"{\"small\":99999999999999999999}",
		 "invalid type: floating point `1e+20`, expected u8"},
		{"{\"small\":\"1\"}",
		 "invalid type: string \"1\", expected u8"},
		{"{\"small\":null}", "invalid type: null, expected u8"},
		{"{\"small\":true}",
		 "invalid type: boolean `true`, expected u8"},
		{"{\"small\":[]}", "invalid type: sequence, expected u8"},
		{"{\"small\":{}}", "invalid type: map, expected u8"},
		{"{\"on\":1}", "invalid type: integer `1`, expected a boolean"},
		{"{\"text\":1}",
		 "invalid type: integer `1`, expected a string"},
		{"{\"text\":\"a\\u0000\"}", "invalid value: string with a NUL"},
		{"{\"colour\":\"Pink\"}",
		 "unknown variant `Pink`, expected one of `Red`, `Green`, "
		 "`Blue` at line 1 column 16"},
		{"{\"colour\":1}", "expected value"},
		{"{\"mac\":\"zz\"}", "no MAC: zz at line 1"},
		{"{\"mac\":5}", "invalid type: integer `5`, expected a string"},
		{"{\"inner\":{}}", "missing field `port`"},
		{"{\"inner\":{\"x\":1}}",
		 "unknown field `x`, expected `port` or `name`"},
		{"{\"inner\":5}",
		 "invalid type: integer `5`, expected struct Inner"},
		{"{\"names\":[1]}",
		 "invalid type: integer `1`, expected a string"},
		{"{\"names\":{}}", "invalid type: map, expected a sequence"},
		{"{\"inners\":[{\"port\":1},{}]}", "missing field `port`"},
		{"{\"map\":{\"a\":1}}",
		 "invalid type: integer `1`, expected a string"},
		{"{\"map\":[]}", "invalid type: sequence, expected a map"},
		{"{\"small\":1} x", "trailing characters at line 1 column 13"},
		{"{\"small\"", "EOF while parsing an object"},
	};
	struct schema_seen seen;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct outer o = {0};
		struct err err = {0};

		assert_int_equal(decode(rows[i].text, &o, &seen, &err),
				 -EINVAL);
		if (strncmp(err.text, rows[i].error, strlen(rows[i].error)))
			fail_msg("%s: \"%s\", not \"%s\"", rows[i].text,
				 err.text, rows[i].error);
		schema_free(&outer_schema, &o);
	}
}

static void open_objects_ignore_the_unknown(void **state)
{
	struct schema_object open = inner_schema;
	struct schema_seen seen;
	struct inner inner = {0};
	struct err err;

	(void)state;
	open.open = true;
	assert_int_equal(
		schema_decode_text(&open,
				   "{\"x\":[{\"y\":1}],\"port\":5,\"x\":2}", 30,
				   &inner, &seen, &err),
		0);
	assert_int_equal(inner.port, 5);
}

struct point {
	uint32_t x;
	uint16_t bits;
};

struct saved {
	uint64_t reg;
	uint8_t blob[8];
	uint8_t text[4];
	unsigned int text_len;
	uint32_t pins[3];
	struct point points[2];
	unsigned int nr_points;
	struct schema_raw raw;
};

static const struct schema_field point_fields[] = {
	{.name = "x",
	 .type = SCHEMA_UINT,
	 .flags = SCHEMA_REQUIRED,
	 SCHEMA_AT(struct point, x),
	 .range = &schema_u32},
	{.name = "bits",
	 .type = SCHEMA_BITS,
	 .flags = SCHEMA_REQUIRED,
	 SCHEMA_AT(struct point, bits)},
};
static const struct schema_object point_schema = {
	.name = "Point",
	.fields = point_fields,
	.nr = 2,
	.size = sizeof(struct point),
};
static const struct schema_field pin_field = {
	.type = SCHEMA_BITS,
	.size = sizeof(uint32_t),
};
static const struct schema_item pin_item = {&pin_field, sizeof(uint32_t)};
static const struct schema_field a_point = {
	.type = SCHEMA_OBJECT,
	.object = &point_schema,
};
static const struct schema_item point_item = {&a_point, sizeof(struct point)};

static const struct schema_field saved_fields[] = {
	{.name = "reg",
	 .type = SCHEMA_BITS,
	 .flags = SCHEMA_REQUIRED,
	 SCHEMA_AT(struct saved, reg)},
	{.name = "blob", .type = SCHEMA_HEX, SCHEMA_AT(struct saved, blob)},
	{.name = "text",
	 .type = SCHEMA_HEX,
	 .flags = SCHEMA_COUNTED,
	 .count = offsetof(struct saved, text_len),
	 SCHEMA_AT(struct saved, text)},
	{.name = "pins",
	 .type = SCHEMA_ARRAY,
	 SCHEMA_AT(struct saved, pins),
	 .item = &pin_item},
	{.name = "points",
	 .type = SCHEMA_ARRAY,
	 .flags = SCHEMA_COUNTED,
	 .count = offsetof(struct saved, nr_points),
	 SCHEMA_AT(struct saved, points),
	 .item = &point_item},
	{.name = "raw", .type = SCHEMA_RAW, SCHEMA_AT(struct saved, raw)},
};
static const struct schema_object saved_schema = {
	.name = "Saved",
	.fields = saved_fields,
	.nr = ARRAY_SIZE(saved_fields),
	.size = sizeof(struct saved),
};

static void saved_state_comes_back(void **state)
{
	static const char text[] =
		"{\"reg\":\"0xfedcba9876543210\",\"blob\":\"00ff0a\","
		"\"text\":\"6100\",\"pins\":[\"0x0\",\"0xffffffff\","
		"\"0x1f\"],\"points\":[{\"x\":7,\"bits\":\"0xabcd\"}],"
		"\"raw\":{\"any\":[1,\"]\"]}}";
	struct schema_seen seen;
	struct saved s = {.blob = {[7] = 9}};
	cleanup_buf struct buf out = {0};
	struct err err;

	(void)state;
	assert_int_equal(schema_decode_text(&saved_schema, text, strlen(text),
					    &s, &seen, &err),
			 0);
	assert_int_equal(s.reg, 0xfedcba9876543210);
	assert_memory_equal(s.blob, ((uint8_t[8]){0, 0xff, 10}), 8);
	assert_int_equal(s.text_len, 2);
	assert_memory_equal(s.text, "a\0", 2);
	assert_int_equal(s.pins[1], 0xffffffff);
	assert_int_equal(s.pins[2], 0x1f);
	assert_int_equal(s.nr_points, 1);
	assert_int_equal(s.points[0].x, 7);
	assert_int_equal(s.points[0].bits, 0xabcd);
	assert_memory_equal(s.raw.text, "{\"any\":[1,\"]\"]}", s.raw.len);
	schema_encode(&saved_schema, &s, &out);
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.data, text, out.len);
}

/* Written by somebody else: any order, spaces, escapes in keys. */
static void saved_state_of_another_hand(void **state)
{
	static const char text[] =
		" { \"points\" : [ { \"bits\" : \"0x00ab\" , \"x\" : 7 } ],\n"
		"\t\"pins\":[\"0x0\" , \"0x1\", \"0x2\" ],\"blob\":\"01\","
		"\"r\\u0065g\":\"0x1\" ,\"text\":\"\"}";
	static const char same[] =
		"{\"reg\":\"0x1\",\"blob\":\"01\",\"text\":\"\",\"pins\":["
		"\"0x0\",\"0x1\",\"0x2\"],\"points\":[{\"x\":7,\"bits\":"
		"\"0xab\"}]}";
	static const char twice[] = "{\"reg\":\"0x1\",\"reg\":\"0x1\"}";
	struct schema_seen seen;
	struct saved a = {0}, b = {0};
	struct err err;

	(void)state;
	assert_int_equal(schema_decode_text(&saved_schema, text, strlen(text),
					    &a, &seen, &err),
			 0);
	assert_int_equal(schema_decode_text(&saved_schema, same, strlen(same),
					    &b, &seen, &err),
			 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(schema_decode_text(&saved_schema, twice, strlen(twice),
					    &a, &seen, &err),
			 -EINVAL);
	assert_string_equal(err.text,
			    "duplicate field `reg` at line 1 column 18");
}

static void saved_state_that_does_not_fit(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} rows[] = {
		{"{}", "missing field `reg`"},
		{"{\"reg\":5}", "invalid type: integer `5`, expected a number "
				"in hex"},
		{"{\"reg\":\"\"}", "invalid value: expected \"0x\""},
		{"{\"reg\":\"0x\"}", "invalid value: expected \"0x\""},
		{"{\"reg\":\"12\"}", "invalid value: expected \"0x\""},
		{"{\"reg\":\"0x12345678123456781\"}",
		 "invalid value: expected \"0x\" and 1 to 16 hex digits"},
		{"{\"reg\":\"0x1G\"}", "invalid value: not a hex digit"},
		{"{\"reg\":\"0xA\"}", "invalid value: not a hex digit"},
		{"{\"reg\":\"0x\\u0031\"}", "expected a string of plain "
					    "characters"},
		{"{\"reg\":\"0x1", "EOF while parsing a string"},
		{"{\"blob\":\"001122334455667788\"}",
		 "invalid length 18, expected an even number of up to 16"},
		{"{\"blob\":\"012\"}", "invalid length 3, expected an even"},
		{"{\"blob\":\"0g\"}", "invalid value: not a hex digit"},
		{"{\"blob\":[]}", "invalid type: sequence, expected bytes in "
				  "hex"},
		{"{\"text\":7}", "invalid type: integer `7`, expected bytes"},
		{"{\"text\":\"0011223344\"}",
		 "invalid length 10, expected an even number of up to 8"},
		{"{\"pins\":[\"0x1\",\"0x1\"]}",
		 "invalid length 2, expected an array of 3 elements"},
		{"{\"pins\":[\"0x1\",\"0x1\",\"0x1\",\"0x1\"]}",
		 "invalid length 3 and more, expected an array of 3"},
		{"{\"pins\":[\"0x123456789\"]}",
		 "invalid value: expected \"0x\" and 1 to 8 hex digits"},
		{"{\"pins\":{}}", "invalid type: map, expected a sequence"},
		{"{\"points\":[{\"x\":1,\"bits\":\"0x1\"},"
		 "{\"x\":1,\"bits\":\"0x1\"},{\"x\":1,\"bits\":\"0x1\"}]}",
		 "invalid length 2 and more, expected an array of up to 2"},
		{"{\"points\":[{\"x\":1}]}", "missing field `bits`"},
		{"{\"raw\":[1,}", "expected value"},
		{"{\"raw\":", "EOF while parsing a value"},
	};
	struct schema_seen seen;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct saved s = {0};
		struct err err = {0};

		assert_int_equal(schema_decode_text(&saved_schema, rows[i].text,
						    strlen(rows[i].text), &s,
						    &seen, &err),
				 -EINVAL);
		if (strncmp(err.text, rows[i].error, strlen(rows[i].error)))
			fail_msg("%s: \"%s\", not \"%s\"", rows[i].text,
				 err.text, rows[i].error);
	}
}

static const struct schema_object row_schema = {
	.name = "Row",
	.fields = point_fields,
	.nr = 2,
	.size = sizeof(struct point),
	.row = true,
};

static void rows_have_no_names(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} rows[] = {
		{"[7,\"0xab\"]", NULL},
		{" [ 7 , \"0xab\" ] ", NULL},
		{"[]", "invalid length 0, expected struct Row with 2 values"},
		{"[7]", "invalid length 1, expected struct Row with 2 values"},
		{"[7,\"0xab\",1]",
		 "invalid length 2 and more, expected struct Row with 2"},
		{"[7,\"0xab\",[]]", "invalid length 2 and more"},
		{"[7,\"0xab\",]", "trailing comma"},
		{"[7\"0xab\"]", "expected `,` or `]`"},
		{"[,7]", "expected value"},
		{"[7,", "EOF while parsing a value"},
		{"[7", "EOF while parsing a list"},
		{"[", "EOF while parsing a list"},
		{"[\"0xab\",7]", "invalid type: string"},
		{"[-7,\"0xab\"]", "invalid value: integer `-7`, expected u"},
		{"[99999999999999,\"0xab\"]", "invalid value: integer"},
		{"[7,\"0x11112222333344445\"]", "invalid value: expected"},
		{"{\"x\":7,\"bits\":\"0xab\"}",
		 "invalid type: map, expected an array"},
	};
	struct schema_seen seen;
	struct point p;
	cleanup_buf struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};
		const char *error = rows[i].error;
		int r;

		p = (struct point){0};
		r = schema_decode_text(&row_schema, rows[i].text,
				       strlen(rows[i].text), &p, &seen, &err);
		assert_int_equal(r, error ? -EINVAL : 0);
		if (error && strncmp(err.text, error, strlen(error)) != 0)
			fail_msg("%s: \"%s\", not \"%s\"", rows[i].text,
				 err.text, error);
		if (!error)
			assert_true(p.x == 7 && p.bits == 0xab);
	}
	p = (struct point){.x = 8, .bits = 0xcd};
	schema_encode(&row_schema, &p, &out);
	assert_int_equal(out.len, strlen("[8,\"0xcd\"]"));
	assert_memory_equal(out.data, "[8,\"0xcd\"]", out.len);
}

static void keys_in_any_order(void **state)
{
	static const char text[] = "{\"bits\":\"0x1\",\"x\":2}";
	struct schema_seen seen;
	struct point p = {0};
	struct err err;

	(void)state;
	assert_int_equal(schema_decode_text(&point_schema, text, strlen(text),
					    &p, &seen, &err),
			 0);
	assert_int_equal(p.x, 2);
	assert_int_equal(p.bits, 1);
}

/* ---- views ---- */

struct thing {
	char *name;
	bool has_size;
	uint32_t size;
	enum colour colour;
	uint8_t mac[2];
	int fd;
};

static const struct schema_enum thing_colours = {
	.names = colour_names,
	.nr = 3,
	.unset = "none",
};

#define THING(member_, type_, whole_, patch_, saved_, ...) \
	{.name = #member_,                                 \
	 .type = (type_),                                  \
	 .flags = (whole_),                                \
	 .patch = (patch_),                                \
	 .saved = (saved_),                                \
	 SCHEMA_AT(struct thing, member_),                 \
	 __VA_ARGS__}
#define NOT  SCHEMA_ABSENT
#define MUST SCHEMA_REQUIRED

/* clang-format off */
static const struct schema_field thing_fields[] = {
	THING(name, SCHEMA_STRING, MUST, NOT, MUST),
	THING(has_size, SCHEMA_BOOL, NOT, NOT, MUST),
	THING(size, SCHEMA_UINT, SCHEMA_NULL | SCHEMA_HAS, MUST, MUST,
	      .has = offsetof(struct thing, has_size), .range = &schema_u32),
	THING(colour, SCHEMA_ENUM, SCHEMA_OMIT, NOT, MUST,
	      .names = &thing_colours),
	THING(mac, SCHEMA_PARSED, 0, NOT, MUST, .parser = &mac_parser),
	THING(fd, SCHEMA_OURS, NOT, NOT, NOT),
};
#define THING_VIEW(view_)                                                     \
	{                                                                     \
		.name = "Thing", .fields = thing_fields,                      \
		.nr = ARRAY_SIZE(thing_fields), .size = sizeof(struct thing), \
		.open = true, .view = (view_)                                 \
	}
static const struct schema_object thing_views[] = {
	[SCHEMA_WHOLE] = THING_VIEW(SCHEMA_WHOLE),
	[SCHEMA_PATCH] = THING_VIEW(SCHEMA_PATCH),
	[SCHEMA_SAVED] = THING_VIEW(SCHEMA_SAVED),
};

/* One struct, three forms of it. */
static void each_view_has_its_form(void **state)
{
	static const char *const forms[] = {
		"{\"name\":\"a\",\"size\":null,\"mac\":\"0a:0b\"}",
		"{\"size\":7}",
		("{\"name\":\"a\",\"has_size\":false,\"size\":7,"
		 "\"colour\":\"none\",\"mac\":\"0a0b\"}"),
	};
	char name[] = "a";
	const struct thing thing = {
		.name = name, .size = 7, .mac = {10, 11}, .fd = 3,
	};

	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(thing_views); v++) {
		struct thing back = {.size = 9, .fd = 4};
		struct buf out = {0}, again = {0};
		struct schema_seen seen;
		struct err err = {0};

		schema_encode(&thing_views[v], &thing, &out);
		buf_add(&out, "", 1);
		assert_string_equal(out.data, forms[v]);
		assert_int_equal(schema_decode_text(&thing_views[v], out.data,
						    out.len - 1, &back, &seen,
						    &err), 0);
		schema_encode(&thing_views[v], &back, &again);
		buf_add(&again, "", 1);
		assert_string_equal(again.data, forms[v]);
		assert_int_equal(back.fd, 4);
		schema_free(&thing_views[v], &back);
		buf_free(&out);
		buf_free(&again);
	}
}

static void a_view_lists_its_own_fields(void **state)
{
	const struct {
		enum schema_view view;
		const char *text;
		const char *error; /* NULL: it is fine */
	} rows[] = {
		{SCHEMA_WHOLE, "{\"name\":\"a\",\"odd\":1}", NULL},
		{SCHEMA_WHOLE, "{\"name\":\"a\",\"has_size\":1}", NULL},
		{SCHEMA_WHOLE, "{\"name\":\"a\",\"fd\":1}", NULL},
		{SCHEMA_WHOLE, "{\"name\":\"a\",\"colour\":\"none\"}",
		 "unknown variant `none`, expected one of `Red`, `Green`, "
		 "`Blue`"},
		{SCHEMA_WHOLE, "{\"size\":1}", "missing field `name`"},
		{SCHEMA_PATCH, "{}", "missing field `size`"},
		{SCHEMA_PATCH, "[]",
		 "invalid length 0, expected struct Thing with 1 element"},
		{SCHEMA_SAVED, "{\"name\":\"a\",\"odd\":1}",
		 "unknown field `odd`, expected one of `name`, `has_size`, "
		 "`size`, `colour`, `mac`"},
		{SCHEMA_SAVED, "{\"name\":\"a\"}",
		 "missing field `has_size`"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct thing thing = {0};
		struct schema_seen seen;
		struct err err = {0};
		int r = schema_decode_text(&thing_views[rows[i].view],
					   rows[i].text, strlen(rows[i].text),
					   &thing, &seen, &err);

		assert_int_equal(r, rows[i].error ? -EINVAL : 0);
		if (rows[i].error)
			assert_non_null(strstr(err.text, rows[i].error));
		schema_free(&thing_views[rows[i].view], &thing);
	}
}
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(unset_values),
		cmocka_unit_test(patching),
		cmocka_unit_test(deprecated_fields),
		cmocka_unit_test(errors),
		cmocka_unit_test(open_objects_ignore_the_unknown),
		cmocka_unit_test(saved_state_comes_back),
		cmocka_unit_test(saved_state_of_another_hand),
		cmocka_unit_test(saved_state_that_does_not_fit),
		cmocka_unit_test(rows_have_no_names),
		cmocka_unit_test(keys_in_any_order),
		cmocka_unit_test(each_view_has_its_form),
		cmocka_unit_test(a_view_lists_its_own_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
