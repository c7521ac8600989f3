/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.h - what killed writers left in a folder of snapshots
 *
 * Theory of operation
 *
 * A writer that is killed (a save, a merge, a squash, an import) leaves its
 * journal, <state>.lock, and perhaps names that the journal has noted
 * (files.h). The next writer in that place tidies up; where none comes, this
 * does the same. It looks at a folder and the directories in it, one deep, and
 * through no link. What it does with a file <state>.lock:
 *
 *   a writer holds it                   left: a snapshot is being written
 *   it is not ours: another user's, or  left. An empty file is ours only as
 *   it does not begin as a journal      state.json.lock
 *   its state is there, but no state    left: nobody knows which memory it has
 *   it notes a name elsewhere, or what  left: the next writer, who knows both
 *   cannot be understood                directories, does it
 *   it notes the memory of a state      left: that may be the only one
 *   that is gone
 *   else                                the memory that the state there needs
 *                                       gets its name; other names that are
 *                                       noted go, then the journal
 *
 * The lock is held meanwhile. What is done may be done again, and the journal
 * goes last, so that who is killed here leaves it to the next one.
 *
 * A snapshot is never removed, whoever names it: nobody knows who will. What
 * only looks like a leftover stays, and so do directories.
 */
#pragma once

#include "base/err.h"
#include "snapshot/journal.h"

enum gc_deed {
	GC_REMOVED,
	GC_NAMED, /* a memory got the name that it was on its way to */
	GC_LEFT,
};

/**
 * struct gc - zeroed but for the first two; embed it
 * @dry:	nothing is changed
 * @say:	what was done with the file @name in @dir, or would be; @why it
 *		was left
 * @nr_removed, @nr_bytes:	files, and what they took on the disk
 */
struct gc {
	bool dry;
	void (*say)(struct gc *gc, enum gc_deed deed, const char *dir,
		    const char *name, const char *why);
	struct journal_watch watch;
	const char *dir;
	unsigned int nr_removed;
	uint64_t nr_bytes;
};

/**
 * snapshot_gc() - in @dir and the directories in it
 *
 * Return: 0, also when something was left; -errno with a sentence when @dir
 * cannot be looked into, or a file not be removed.
 */
int snapshot_gc(struct gc *gc, const char *dir, struct err *err) __must_check;
