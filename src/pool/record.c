// SPDX-License-Identifier: Apache-2.0
/*
 * record.c - what a daemon that starts again has to know (record.h)
 */
#include "pool/record.h"

#include "base/fd.h"
#include "snapshot/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPTIONAL (SCHEMA_NULL | SCHEMA_OMIT)

static const struct schema_field record_file_fields[] = {
	SCHEMA_STATE_UINT(struct record_file, dev),
	SCHEMA_STATE_UINT(struct record_file, ino),
	SCHEMA_STATE_UINT(struct record_file, size),
	SCHEMA_STATE_UINT(struct record_file, mtime_ns),
};
static const struct schema_object record_file_schema =
	SCHEMA_STATE_OF(struct record_file, record_file_fields);

static const struct schema_field record_source_fields[] = {
	SCHEMA_STATE_OBJECT(struct record_source, state, &record_file_schema),
	SCHEMA_STATE_OBJECT(struct record_source, memory, &record_file_schema),
};
static const struct schema_object record_source_schema =
	SCHEMA_STATE_OF(struct record_source, record_source_fields);

static const struct schema_name record_state_names[] = {
	{"starting", POOL_STARTING},
	{"ready", POOL_READY},
	{"leasing", POOL_LEASING},
	{"leased", POOL_LEASED},
};
static const struct schema_enum record_states =
	SCHEMA_NAMES(record_state_names);

/* clang-format off */
#define TEXT(member_, flags_) \
	{ .name = #member_, .type = SCHEMA_STRING, .flags = (flags_), \
	  SCHEMA_AT(struct record_member, member_) }

static const struct schema_field record_member_fields[] = {
	SCHEMA_STATE_UINT(struct record_member, v),
	TEXT(pool, SCHEMA_REQUIRED),
	SCHEMA_STATE_UINT(struct record_member, owner),
	SCHEMA_STATE_UINT(struct record_member, pid),
	SCHEMA_STATE_UINT(struct record_member, start),
	{ .name = "state", .type = SCHEMA_ENUM, .flags = SCHEMA_REQUIRED,
	  SCHEMA_AT(struct record_member, state), .names = &record_states },
	SCHEMA_STATE_OBJECT(struct record_member, source,
			    &record_source_schema),
	TEXT(name, OPTIONAL),
	TEXT(cgroup, OPTIONAL),
	SCHEMA_STATE_UINT(struct record_member, tied_pid),
	SCHEMA_STATE_UINT(struct record_member, tied_start),
};
const struct schema_object record_member_schema =
	SCHEMA_STATE_OF(struct record_member, record_member_fields);

static const struct schema_field record_group_field = {
	.type = SCHEMA_UINT, .size = sizeof(uint32_t), .range = &schema_u32,
};
static const struct schema_item record_groups =
	{&record_group_field, sizeof(uint32_t)};

static const struct schema_field record_pool_fields[] = {
	SCHEMA_STATE_UINT(struct record_pool, v),
	SCHEMA_STATE_UINT(struct record_pool, owner),
	SCHEMA_STATE_UINT(struct record_pool, gid),
	{ .name = "groups", .type = SCHEMA_LIST,
	  SCHEMA_AT(struct record_pool, groups), .item = &record_groups },
	SCHEMA_STATE_BOOL(struct record_pool, draining),
	SCHEMA_STATE_OBJECT(struct record_pool, create, &pool_create_schema),
};
const struct schema_object record_pool_schema =
	SCHEMA_STATE_OF(struct record_pool, record_pool_fields);
/* clang-format on */

int record_parse(const struct schema_object *schema, const char *text,
		 size_t len, void *base, struct err *err)
{
	struct schema_seen seen;
	int r;

	memset(base, 0, schema->size);
	r = schema_decode_text(schema, text, len, base, &seen, err);
	/* The version comes first in both. */
	if (r == 0 && *(const uint32_t *)base != RECORD_VERSION)
		r = err_set(err, -EINVAL, "A record of version %u",
			    *(const uint32_t *)base);
	return r;
}

static int record_load(int fd, struct buf *text, struct err *err)
{
	ssize_t n;

	if (!buf_reserve(text, RECORD_MAX + 1))
		return err_set(err, -ENOMEM, "Out of memory");
	n = pread(fd, text->data, RECORD_MAX + 1, 0);
	if (n < 0)
		return err_set(err, -errno, "Cannot read a record: %s",
			       err_name(errno));
	if ((size_t)n > RECORD_MAX)
		return err_set(err, -EINVAL, "A record is too long");
	text->len = (size_t)n;
	return 0;
}

int record_read(int dir, const char *name, const struct schema_object *schema,
		void *base, struct err *err)
{
	cleanup_buf struct buf text = {0};
	cleanup_fd int fd = openat(
		dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r;

	memset(base, 0, schema->size);
	if (fd < 0)
		return err_set(err, -errno, "Cannot open a record: %s",
			       err_name(errno));
	r = record_load(fd, &text, err);
	return r < 0 ? r : record_parse(schema, text.data, text.len, base, err);
}

int record_write(int dir, const char *name, const struct schema_object *schema,
		 const void *base)
{
	cleanup_buf struct buf text = {0};
	char new[NAME_MAX + 1];
	cleanup_fd int fd = -1;
	int n = snprintf(new, sizeof(new), "%s.new", name);
	int r;

	schema_encode(schema, base, &text);
	if (text.failed)
		return -ENOMEM;
	if (n < 0 || (size_t)n >= sizeof(new))
		return -ENAMETOOLONG;
	fd = openat(dir, new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_full(fd, text.data, text.len);
	if (r == 0 && renameat(dir, new, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, new, 0);
	return r;
}

/* ---- the snapshot ---- */

static void record_file_of(struct record_file *file, const char *path)
{
	struct stat st;

	*file = (struct record_file){0};
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	file->size = (uint64_t)st.st_size;
	file->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u +
			 (uint64_t)st.st_mtim.tv_nsec;
}

static void record_file_in(struct record_file *file, const char *dir,
			   const char *name)
{
	char path[1100]; /* what requests may hold, and a name */
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	*file = (struct record_file){0};
	if (n > 0 && (size_t)n < sizeof(path))
		record_file_of(file, path);
}

void record_source_of(struct record_source *source, const char *snapshot,
		      const char *memory)
{
	*source = (struct record_source){0};
	if (!snapshot)
		return;
	if (memory) {
		record_file_of(&source->state, snapshot);
		record_file_of(&source->memory, memory);
		return;
	}
	record_file_in(&source->state, snapshot, SNAPSHOT_STATE_NAME);
	record_file_in(&source->memory, snapshot, SNAPSHOT_MEMORY_NAME);
}

static bool record_file_same(const struct record_file *a,
			     const struct record_file *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns;
}

bool record_source_same(const struct record_source *a,
			const struct record_source *b)
{
	return record_file_same(&a->state, &b->state) &&
	       record_file_same(&a->memory, &b->memory);
}
