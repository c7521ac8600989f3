/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields.h - how a field of the configuration is described: one line
 *
 * Each struct of the configuration has one table with a line for each of its
 * members. The line tells all who read or write the member what it is, in
 * three columns of enum schema_flags:
 *
 *   KIND(member, whole, patch, saved, what the kind needs)
 *
 *   whole	a body of PUT, an item of the config file, an answer to GET
 *   patch	a body of PATCH
 *   saved	the configuration in a snapshot
 *
 * A column says NO when its reader does not know the field; `whole` and `saved`
 * must say why: NOT("..."). A member that is no value, a descriptor say, has a
 * line as well: OURS(member, "why"). tests/unit/test_config.c walks all tables;
 * it fails for a member without a line, and for a NO without a reason.
 *
 * Each file says whose members they are: #define CONFIG_OF struct x_config.
 */
#pragma once

#include "base/schema.h"

/* What stands in a column. */
#define MUST     SCHEMA_REQUIRED
#define MAY      0
#define MAY_NULL SCHEMA_NULL
#define OPTIONAL (SCHEMA_NULL | SCHEMA_HAS) /* HAS(): was it there? */
#define NO       SCHEMA_ABSENT
/* The reason is for who reads the table; it must be a string, and costs
 * nothing. The bit beside SCHEMA_ABSENT is for the test. */
#define NOT(why) (SCHEMA_ABSENT | SCHEMA_HIDDEN | 0 * (int)sizeof(why ""))

#define CONFIG_FIELD(kind_, member_, whole_, patch_, saved_, ...) \
	{.name = #member_,                                        \
	 .type = (kind_),                                         \
	 .flags = (whole_),                                       \
	 .patch = (patch_),                                       \
	 .saved = (saved_),                                       \
	 SCHEMA_AT(CONFIG_OF, member_),                           \
	 __VA_ARGS__}
#define HAS(member_) .has = offsetof(CONFIG_OF, member_)

#define TEXT(...)    CONFIG_FIELD(SCHEMA_STRING, __VA_ARGS__)
#define BOOL(...)    CONFIG_FIELD(SCHEMA_BOOL, __VA_ARGS__)
#define NUMBER(member_, whole_, patch_, saved_, range_, ...)       \
	CONFIG_FIELD(SCHEMA_UINT, member_, whole_, patch_, saved_, \
		     .range = (range_), __VA_ARGS__)
#define CHOICE(member_, whole_, patch_, saved_, names_, ...)       \
	CONFIG_FIELD(SCHEMA_ENUM, member_, whole_, patch_, saved_, \
		     .names = (names_), __VA_ARGS__)
#define PARSED(member_, whole_, patch_, saved_, parser_, ...)        \
	CONFIG_FIELD(SCHEMA_PARSED, member_, whole_, patch_, saved_, \
		     .parser = (parser_), __VA_ARGS__)
#define OBJECT(member_, whole_, patch_, saved_, object_, ...)        \
	CONFIG_FIELD(SCHEMA_OBJECT, member_, whole_, patch_, saved_, \
		     .object = (object_), __VA_ARGS__)
#define LIST(member_, whole_, patch_, saved_, item_, ...)          \
	CONFIG_FIELD(SCHEMA_LIST, member_, whole_, patch_, saved_, \
		     .item = (item_), __VA_ARGS__)
#define OURS(member_, why_) \
	CONFIG_FIELD(SCHEMA_OURS, member_, NOT(why_), NO, NOT(why_))

/* The object of a table, as one view has it. */
#define CONFIG_OBJECT(name_, fields_, view_, ...) \
	{.name = (name_),                         \
	 .fields = (fields_),                     \
	 .nr = ARRAY_SIZE(fields_),               \
	 .size = sizeof(CONFIG_OF),               \
	 .view = (view_),                         \
	 __VA_ARGS__}
