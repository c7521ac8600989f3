/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - whose a memory file is: the one place where that is decided
 *
 * Theory of operation
 *
 * Four ids make the label of a memory file and stand in its state, too:
 *
 *   id      of the two files; random, new for each that are written
 *   moment  of the VM that they hold; a merge writes new files of an old moment
 *   base    the moment that a diff differs from; 0: the memory is whole
 *   run     of the process that saved: what it knows of its VM ends with it
 *
 * The label is an extended attribute of the memory file, together with the
 * file's time of modification. While that is the same the attribute decides by
 * itself, and costs a restore no call that it does not make anyway. A file that
 * was written to since, or copied so that the attribute got lost (cp, tar, scp;
 * file systems that have none), is compared with the proof in the state
 * (proof.h). What fails that is refused.
 *
 * Files of format 2.0 have an attribute without a time, and no proof. Where the
 * attribute is missing they are believed, as they always were.
 */
#pragma once

#include "base/err.h"
#include "image/label.h"
#include "image/proof.h"

#include <sys/stat.h>

/**
 * struct snapshot_identity - how the memory of a snapshot is known
 * @size:	of the memory file, bytes
 */
struct snapshot_identity {
	struct snapshot_label label;
	uint64_t size;
	struct memory_proof proof;
};

/* Behind the last write to the file; nothing where there are no attributes. */
void snapshot_label_set(int fd, const struct snapshot_label *label);

enum snapshot_label_worth {
	LABEL_NONE,
	LABEL_OLD,  /* of format 2.0: @id and @base only */
	LABEL_SURE, /* and the file is as it was when it got it */
};

/* Return: an enum snapshot_label_worth; @label is zero with LABEL_NONE. */
enum snapshot_label_worth snapshot_label_get(int fd,
					     struct snapshot_label *label);

/* The same, of a file whose @st the caller has asked for. Return: as above. */
enum snapshot_label_worth snapshot_label_of(int fd, const struct stat *st,
					    struct snapshot_label *label);

/**
 * snapshot_identify() - is the file @fd the memory of snapshot @who?
 * @name:	for the sentence
 *
 * Return: MEMORY_WHOLE; MEMORY_PART when it is that of a diff by itself;
 * -EINVAL with a sentence that says why it is neither; -errno.
 */
int snapshot_identify(int fd, const struct snapshot_identity *who,
		      const char *name, struct err *err) __must_check;
