/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar.h - the entries of a tar archive, one after the other, nothing believed
 *
 * Reads the old form, ustar, GNU's (long names, sparse files, numbers in base
 * 256) and pax (paths, sizes, times, SCHILY.xattr, sparse files of the three
 * versions). It extracts nothing: an entry is told, its bytes are read.
 *
 * Bounds: a path or link has up to TAR_PATH_MAX bytes, what a pax or a long
 * name header holds up to TAR_EXTRA_MAX, a sparse file up to TAR_RUNS_MAX
 * pieces. Of two headers that say the same the last wins; a size that the
 * archive does not hold is an archive that is cut off. A sentence about an
 * entry names it.
 *
 * Reference: POSIX.1-2017, pax; GNU tar manual, "Basic Tar Format" and
 * "Storing Sparse Files"; star(5) for SCHILY.xattr.
 */
#pragma once

#include "oci/flow.h"

#include "base/buf.h"

#define TAR_PATH_MAX  4096u
#define TAR_EXTRA_MAX MIB(1)
#define TAR_RUNS_MAX  65536u

enum tar_type {
	TAR_FILE,
	TAR_LINK, /* a hard one */
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCK,
	TAR_FOLDER,
	TAR_FIFO,
};

/* A piece of a file that is not a hole. */
struct tar_run {
	uint64_t off;
	uint64_t len;
};

/**
 * struct tar_entry - one of them; all of it is the reader's
 * @xattrs:	pairs, as xattrs_next() reads them
 * @size:	with holes
 * @runs:	without, in order, none empty
 */
struct tar_entry {
	enum tar_type type;
	const char *path;
	const char *link;
	const struct buf *xattrs;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t major;
	uint32_t minor;
	int64_t mtime;
	uint32_t mtime_ns;
	uint64_t size;
	const struct tar_run *runs;
	unsigned int nr_runs;
};

/* What a header of its own says of the entry that follows. */
struct tar_words {
	struct buf path;
	struct buf link;
	struct buf xattrs;
	struct buf sparse_path;
	bool has_size;
	bool has_uid;
	bool has_gid;
	bool has_mtime;
	bool has_real;
	uint64_t size;
	uint64_t uid;
	uint64_t gid;
	int64_t mtime;
	uint32_t mtime_ns;
	uint64_t real;
	uint64_t sparse_off;
	unsigned int sparse_major;
	bool sparse;
};

/**
 * struct tar - an archive that is read
 * @left:	bytes of the entry that were not read yet
 * @pad:	and those behind it, to the next block
 */
struct tar {
	struct flow *flow;
	struct err *err;
	uint64_t left;
	uint64_t pad;
	struct tar_words all;
	struct tar_words next;
	struct buf path;
	struct buf link;
	struct tar_run *runs;
	unsigned int nr_runs;
	uint64_t run_bytes;
};

void tar_begin(struct tar *tar, struct flow *flow, struct err *err);

/**
 * tar_next() - the next entry
 *
 * Return: 1; 0 at the end; -EBADMSG, -ENODATA, -EFBIG, -ENAMETOOLONG, -errno,
 * with a sentence.
 */
int tar_next(struct tar *tar, struct tar_entry *entry) __must_check;

/* The next @len bytes of its pieces. Return: 0; as flow_read(), with a
 * sentence. */
int tar_read(struct tar *tar, void *to, size_t len) __must_check;

void tar_end(struct tar *tar);

/* A name of an archive as a person may read it, cut. */
struct tar_shown {
	char text[200];
};

struct tar_shown tar_show(const char *name);
