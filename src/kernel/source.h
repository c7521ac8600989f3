/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - where a kernel is built from, and in
 *
 * Theory of operation
 *
 * A source is a folder of the user's, which nothing is written into, or it is
 * unpacked from a tarball into the cache, once. The cache is one folder of the
 * user's:
 *
 *   lock                held while something in it is found, made or removed
 *   source-KEY          an unpacked source; shared lock: it is built from
 *   build-KEY           what is built (build.h); exclusive lock: by somebody
 *   *.part              being unpacked, or removed: never a whole one
 *
 * A lock is of the folder itself, and its descriptor goes to the programs that
 * work there: as long as one of them lives, also after its volt was killed,
 * nobody else takes the folder for left over. All of it can go at any time that
 * nobody holds it: it is made again.
 */
#pragma once

#include "store/progress.h"

#include "base/err.h"

/**
 * struct source - one of them; zeroed at first, source_close() in any case
 * @folder:	of its Makefile
 * @id:		another one for another content, but of a user's folder its path
 * @what:	for a person: "linux-source-6.1_6.1.192-2", or the folder
 * @version:	"6.1.192"
 * @hold:	its lock; -1 or 0: none
 */
struct source {
	char *folder;
	char *id;
	char *what;
	char version[32];
	int hold;
};

void source_close(struct source *source);
#define cleanup_source __attribute__((cleanup(source_close)))

/**
 * source_of_folder() - a tree of the user's
 *
 * Return: 0; -EINVAL (it is none, or has been built in), -errno; with a
 * sentence.
 */
int source_of_folder(const char *path, struct source *source,
		     struct err *err) __must_check;

/**
 * source_of_tarball() - unpack it, unless it is unpacked already
 * @id:		its name in the cache; NULL: by its content
 *
 * Return: 0, or -errno with a sentence.
 */
int source_of_tarball(const char *path, const char *cache, const char *id,
		      struct progress *progress, struct source *source,
		      struct err *err) __must_check;

/* One that is unpacked already. Return: 0; -ENOENT; -errno; with a sentence. */
int source_of_cache(const char *cache, const char *id,
		    struct progress *progress, struct source *source,
		    struct err *err) __must_check;

/* Is it? */
bool source_is_cached(const char *cache, const char *id);

/**
 * source_version() - of the text of a Makefile: "6.1.192"
 * @version:	32 bytes
 */
bool source_version(const char *makefile, char version[static 32]);

/* The folder of the cache, and those above it. Return: 0, or -errno with a
 * sentence. */
int source_make_cache(const char *cache, struct err *err) __must_check;

/**
 * source_hold() - open and lock a folder; wait for who holds it
 * @fd:		stays open in programs that are run
 *
 * Return: 0, or -errno with a sentence.
 */
int source_hold(const char *path, bool shared, struct progress *progress,
		const char *what, int *fd, struct err *err) __must_check;

/* What nobody holds goes. @folders: how many. */
void source_clean_cache(const char *cache, uint64_t *folders);
