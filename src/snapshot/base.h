/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - which file may be the base of a diff: the one place where that is
 * decided
 *
 * A restore that puts a chain together (chain.h) and a list that says whether
 * it could (list.h) ask here, each with what it knows of the files. The rules:
 *
 *   moment   a base holds the moment that the diff differs from, and it is
 *            known to: by its label, or by its state and the proof in that
 *   size     all files of a chain are of one size
 *   owner    it is root's, ours, or of the owner of the snapshot that is to be
 *            restored: in a directory like /tmp others could put one there
 *   rank     of several a whole one is taken, as it ends the chain; else one
 *            whose own base is there
 */
#pragma once

#include "image/identity.h"

#include <sys/types.h>

/**
 * struct base_file - what is known of a file that may be one
 * @moment:	that it holds; 0: not known
 * @needs:	what it differs from; 0: it is whole
 * @known:	it is what @moment says: @size, label or proof agree
 * @size:	of the file, bytes
 * @owner:	of the file
 */
struct base_file {
	uint64_t moment;
	uint64_t needs;
	bool known;
	uint64_t size;
	uid_t owner;
};

/**
 * struct base_wanted - what a chain needs
 * @moment:	not 0
 * @size:	of the memory of the snapshot, bytes
 * @owner:	of the memory file of the snapshot
 */
struct base_wanted {
	uint64_t moment;
	uint64_t size;
	uid_t owner;
};

/* Ascending: what comes later says more. */
enum base_fit {
	BASE_OTHER,   /* it holds another moment */
	BASE_WRONG,   /* it is damaged, or of another size */
	BASE_STRANGE, /* it is another user's */
	BASE_FITS,
};

enum base_fit base_fit(const struct base_file *file,
		       const struct base_wanted *wanted);

/* Whose files are not taken: neither root's nor ours nor @owner's. */
bool base_is_strange(uid_t file, uid_t owner);

/**
 * base_rank() - how good one that fits is; of the best the first one is taken
 * @has_base:	what it differs from is there, too
 */
unsigned int base_rank(const struct base_file *file, bool has_base);
