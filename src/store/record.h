/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - what the store knows of a kernel: one JSON file a name
 */
#pragma once

#include "store/digest.h"

#include "base/buf.h"

#include <sys/stat.h>

#define RECORD_NAME_MAX 64
#define RECORD_FORMAT   1

/**
 * struct record_file - a file of the store by its content
 * @sha256:	its name; owned
 * @inode, @ctime_ns: of the file when its content was last looked at: while
 *		they stay, so does the content (store.h)
 */
struct record_file {
	char *sha256;
	uint64_t size;
	uint64_t inode;
	uint64_t ctime_ns;
};

/**
 * struct record - a kernel; strings are owned
 * @release:	as uname() shows it; NULL: the file does not say
 * @banner:	/proc/version's line; NULL: the same
 * @origin:	the file or the package that it came from
 * @added:	seconds since 1970
 * @memory:	bytes of guest memory that it takes up
 * @config:	its configuration, with @has_config
 * @modules:	drivers that are modules (modules.h), with @has_modules
 */
struct record {
	uint64_t format;
	char *name;
	char *release;
	char *banner;
	char *origin;
	uint64_t added;
	bool pinned;
	bool pvh;
	uint64_t memory;
	struct record_file kernel;
	bool has_config;
	struct record_file config;
	bool has_modules;
	struct record_file modules;
};

/* Letters, digits and . _ + - ~, none of the last four first: never a path. */
bool record_is_name(const char *name);

/**
 * record_parse() - the record in a text, checked
 *
 * Return: 0; -EINVAL with a sentence. @record is to be freed in any case.
 */
int record_parse(const char *text, size_t len, struct record *record,
		 struct err *err) __must_check;

void record_print(const struct record *record, struct buf *out);

void record_free(struct record *record);

#define cleanup_record __attribute__((cleanup(record_free)))

/* Note that the content was looked at, of the file that @st is of. */
void record_note(struct record_file *file, const struct stat *st);

/* Is the file that @st is of the one that was noted, and unchanged? */
bool record_unchanged(const struct record_file *file, const struct stat *st);
