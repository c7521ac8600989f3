/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - what a store knows of a kernel or image: one JSON file a name
 */
#pragma once

#include "store/digest.h"

#include "base/buf.h"

#include <sys/stat.h>

#define RECORD_NAME_MAX      64
#define RECORD_REFERENCE_MAX 200
#define RECORD_FORMAT        1
/* What a record can name: a kernel or a root file system, a configuration,
 * modules. */
#define RECORD_FILES 3

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
 * struct record - a kernel or an image; strings are owned
 * @release:	as uname() shows it; NULL: the file does not say
 * @banner:	/proc/version's line; NULL: the same
 * @origin:	the file or the package that it came from
 * @added:	seconds since 1970
 * @memory:	bytes of guest memory that it takes up
 * @chain:	what an image's root file system was made of: the same chain,
 *		the same file system
 * @kernel, @rootfs: a kernel has the first, an image the second
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
	char *chain;
	bool has_kernel;
	struct record_file kernel;
	bool has_rootfs;
	struct record_file rootfs;
	bool has_config;
	struct record_file config;
	bool has_modules;
	struct record_file modules;
};

/* Letters, digits and . _ + - ~, none of the last four first: never a path. */
bool record_is_name(const char *name);

/* The same, also with : and single / inside, up to RECORD_REFERENCE_MAX. */
bool record_is_reference(const char *name);

/* Its kernel or its root file system. */
struct record_file *record_main(struct record *record);

/**
 * record_files() - the files that it names, its main one first
 *
 * Return: how many.
 */
unsigned int record_files(struct record *record,
			  struct record_file *files[static RECORD_FILES]);

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
