// SPDX-License-Identifier: Apache-2.0
/*
 * record.c - what the store knows of a kernel: one JSON file a name
 */
#include "store/record.h"

#include "base/schema.h"

#include <errno.h>

#define NS_PER_S UINT64_C(1000000000)

#define FIELD(name_, kind, type_, member, ...) \
	{.name = (name_), .type = (kind), SCHEMA_AT(type_, member), __VA_ARGS__}
#define NUMBER(type_, member)                                                \
	FIELD(#member, SCHEMA_UINT, type_, member, .flags = SCHEMA_REQUIRED, \
	      .range = &schema_u64)
#define FLAG(type_, member) \
	FIELD(#member, SCHEMA_BOOL, type_, member, .flags = SCHEMA_REQUIRED)
#define TEXT(type_, member, flags_) \
	FIELD(#member, SCHEMA_STRING, type_, member, .flags = (flags_))
#define PART(member, has_)                                     \
	FIELD(#member, SCHEMA_OBJECT, struct record, member,   \
	      .flags = SCHEMA_OMIT | SCHEMA_HAS | SCHEMA_NULL, \
	      .has = offsetof(struct record, has_), .object = &file_object)

static const struct schema_field file_fields[] = {
	TEXT(struct record_file, sha256, SCHEMA_REQUIRED),
	NUMBER(struct record_file, size),
	NUMBER(struct record_file, inode),
	NUMBER(struct record_file, ctime_ns),
};

static const struct schema_object file_object =
	SCHEMA_STATE_OF(struct record_file, file_fields);

static const struct schema_field record_fields[] = {
	NUMBER(struct record, format),
	TEXT(struct record, name, SCHEMA_REQUIRED),
	TEXT(struct record, release, SCHEMA_OMIT | SCHEMA_NULL),
	TEXT(struct record, banner, SCHEMA_OMIT | SCHEMA_NULL),
	TEXT(struct record, origin, SCHEMA_REQUIRED),
	NUMBER(struct record, added),
	FLAG(struct record, pinned),
	FLAG(struct record, pvh),
	NUMBER(struct record, memory),
	FIELD("kernel", SCHEMA_OBJECT, struct record, kernel,
	      .flags = SCHEMA_REQUIRED, .object = &file_object),
	PART(config, has_config),
	PART(modules, has_modules),
};

static const struct schema_object record_object =
	SCHEMA_STATE_OF(struct record, record_fields);

bool record_is_name(const char *name)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t len = strlen(name);

	if (len == 0 || len > RECORD_NAME_MAX || !strchr(first, name[0]))
		return false;
	for (; *name; name++)
		if (!strchr(first, *name) && !strchr("._+-~", *name))
			return false;
	return true;
}

static bool is_file(const struct record_file *file)
{
	return digest_is_one(file->sha256) && file->size > 0;
}

int record_parse(const char *text, size_t len, struct record *record,
		 struct err *err)
{
	struct schema_seen seen;
	int r;

	*record = (struct record){0};
	r = schema_decode_text(&record_object, text, len, record, &seen, err);
	if (r < 0)
		return r;
	if (record->format != RECORD_FORMAT)
		return err_set(err, -EINVAL,
			       "its format is %llu, and this is a Volt that "
			       "knows %d",
			       (unsigned long long)record->format,
			       RECORD_FORMAT);
	if (!record_is_name(record->name) || !is_file(&record->kernel) ||
	    (record->has_config && !is_file(&record->config)) ||
	    (record->has_modules && !is_file(&record->modules)))
		return err_set(err, -EINVAL,
			       "a name or a digest in it is none");
	return 0;
}

void record_print(const struct record *record, struct buf *out)
{
	schema_encode(&record_object, record, out);
	buf_add_str(out, "\n");
}

void record_free(struct record *record)
{
	schema_free(&record_object, record);
}

static uint64_t ctime_of(const struct stat *st)
{
	return (uint64_t)st->st_ctim.tv_sec * NS_PER_S +
	       (uint64_t)st->st_ctim.tv_nsec;
}

void record_note(struct record_file *file, const struct stat *st)
{
	file->size = (uint64_t)st->st_size;
	file->inode = st->st_ino;
	file->ctime_ns = ctime_of(st);
}

bool record_unchanged(const struct record_file *file, const struct stat *st)
{
	return file->size == (uint64_t)st->st_size &&
	       file->inode == st->st_ino && file->ctime_ns == ctime_of(st);
}
