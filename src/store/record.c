// SPDX-License-Identifier: Apache-2.0
/*
 * record.c - what a store knows of a kernel or image: one JSON file a name
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
#define OF_KERNEL(kind, member, ...)                \
	FIELD(#member, kind, struct record, member, \
	      .flags = SCHEMA_OMIT | SCHEMA_HAS,    \
	      .has = offsetof(struct record, has_kernel), __VA_ARGS__)
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
	OF_KERNEL(SCHEMA_BOOL, pvh),
	OF_KERNEL(SCHEMA_UINT, memory, .range = &schema_u64),
	TEXT(struct record, chain, SCHEMA_OMIT | SCHEMA_NULL),
	PART(kernel, has_kernel),
	PART(rootfs, has_rootfs),
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

bool record_is_reference(const char *name)
{
	char part[RECORD_REFERENCE_MAX + 1];
	size_t len = strlen(name);

	if (len == 0 || len > RECORD_REFERENCE_MAX ||
	    strchr("/:", name[len - 1]))
		return false;
	while (*name) {
		size_t n = strcspn(name, "/:");

		memcpy(part, name, n);
		part[n] = '\0';
		if (n > RECORD_NAME_MAX || !record_is_name(part))
			return false;
		name += n + (name[n] != '\0');
	}
	return true;
}

struct record_file *record_main(struct record *record)
{
	return record->has_rootfs ? &record->rootfs : &record->kernel;
}

unsigned int record_files(struct record *record,
			  struct record_file *files[static RECORD_FILES])
{
	unsigned int nr = 0;

	files[nr++] = record_main(record);
	if (record->has_config)
		files[nr++] = &record->config;
	if (record->has_modules)
		files[nr++] = &record->modules;
	return nr;
}

static bool record_is_file(const struct record_file *file)
{
	return file->sha256 && digest_is_one(file->sha256) && file->size > 0;
}

int record_parse(const char *text, size_t len, struct record *record,
		 struct err *err)
{
	struct record_file *files[RECORD_FILES];
	struct schema_seen seen;
	unsigned int nr;
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
	nr = record_files(record, files);
	while (nr > 0 && record_is_file(files[nr - 1]))
		nr--;
	if (record->has_kernel == record->has_rootfs || nr > 0 ||
	    !(record->has_rootfs ? record_is_reference(record->name)
				 : record_is_name(record->name)))
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
