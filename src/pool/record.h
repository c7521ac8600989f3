/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - what a daemon that starts again has to know
 *
 * Theory of operation
 *
 * A record is a file of one JSON object, one for each pool and one beside the
 * directory of each member, which is its owner's. It is written beside and
 * renamed, so that it is there as a whole or not at all, whenever the daemon is
 * killed. It is not flushed to a disk: what it tells of does not outlive the
 * host, and its folder is one of a tmpfs.
 *
 * A record is a file that only this user could write, but it may be of another
 * version, or damaged: its values are checked like any other's.
 */
#pragma once

#include "client/pool_wire.h"

#include <sys/types.h>

#define RECORD_VERSION 1
#define RECORD_MAX     KIB(64)
#define RECORD_GROUPS  64

/**
 * struct record_file - which file a path named, and as of when
 */
struct record_file {
	uint64_t dev;
	uint64_t ino;
	uint64_t size;
	uint64_t mtime_ns;
};

/**
 * struct record_source - the snapshot that a clone is of; zeroed: of none
 */
struct record_source {
	struct record_file state;
	struct record_file memory;
};

/**
 * struct record_member - of one VM
 * @pool, @owner:	whose
 * @pid, @start:	its process, and when that started, in ticks since boot
 * @state:	POOL_READY: nobody's, whatever it is at; POOL_LEASED; any other
 *		is one that a lease was cut off in
 * @name:	of the lease
 * @cgroup:	directory of its own cgroup, if it has one
 * @tied_pid, @tied_start:	the process that it goes with; 0: none
 */
struct record_member {
	uint32_t v;
	char *pool;
	uint32_t owner;
	uint32_t pid;
	uint64_t start;
	enum pool_state state;
	struct record_source source;
	char *name;
	char *cgroup;
	uint32_t tied_pid;
	uint64_t tied_start;
};

/**
 * struct record_pool - of a pool
 * @groups:	supplementary groups that its members run with: list of uint32_t
 */
struct record_pool {
	uint32_t v;
	uint32_t owner;
	uint32_t gid;
	struct schema_list groups;
	bool draining;
	struct pool_create create;
};

extern const struct schema_object record_member_schema;
extern const struct schema_object record_pool_schema;

/**
 * record_parse() - read a record of either kind
 * @schema:	one of the two
 * @base:	schema_free() it in any case
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int record_parse(const struct schema_object *schema, const char *text,
		 size_t len, void *base, struct err *err) __must_check;

/**
 * record_read() - the same from the file @name in the directory @dir
 *
 * Return: 0; -ENOENT when there is none; -EINVAL or -errno; with a sentence.
 */
int record_read(int dir, const char *name, const struct schema_object *schema,
		void *base, struct err *err) __must_check;

/* Write it, and rename it to @name. Return: 0 or -errno. */
int record_write(int dir, const char *name, const struct schema_object *schema,
		 const void *base) __must_check;

/* What files are there for a pool? All zero for one that is missing. */
void record_source_of(struct record_source *source, const char *snapshot,
		      const char *memory);

static inline bool record_source_there(const struct record_source *s)
{
	return s->state.ino != 0 && s->memory.ino != 0;
}

bool record_source_same(const struct record_source *a,
			const struct record_source *b);
