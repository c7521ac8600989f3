/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.h - the files of an image that is in parts: a folder, or a tar archive
 *
 * An archive is not unpacked: where each of its files lies is noted, and they
 * are read there.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

#define BUNDLE_MEMBERS_MAX 65536u

/* A file in an archive. */
struct bundle_member {
	char *name;
	char *link;
	uint64_t off;
	uint64_t size;
};

/**
 * struct bundle - one of the two
 * @dir:	the folder; -1
 * @archive:	the archive; -1. Neither is owned
 */
struct bundle {
	int dir;
	int archive;
	struct bundle_member *members;
	unsigned int nr;
};

/* A file in it. @fd is to be closed. */
struct bundle_file {
	int fd;
	uint64_t off;
	uint64_t size;
};

/* A folder. bundle_free() in any case. */
void bundle_of_folder(struct bundle *bundle, int dir);

/**
 * bundle_of_archive() - note what an archive has, which is not compressed
 *
 * Return: 0; as tar_next(), with a sentence. bundle_free() in any case.
 */
int bundle_of_archive(struct bundle *bundle, int archive, uint64_t size,
		      struct err *err) __must_check;

/* Has it this file? */
bool bundle_has(const struct bundle *bundle, const char *name);

/* Open it. Return: 0; -ENOENT, -errno, with a sentence. */
int bundle_open(const struct bundle *bundle, const char *name,
		struct bundle_file *file, struct err *err) __must_check;

/* All of a small file. Return: as bundle_open(); -EFBIG, with a sentence. */
int bundle_read(const struct bundle *bundle, const char *name, uint64_t max,
		struct buf *out, struct err *err) __must_check;

void bundle_free(struct bundle *bundle);
