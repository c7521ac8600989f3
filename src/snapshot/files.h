/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - the two files of a snapshot, replaced together
 *
 * Theory of operation
 *
 * A snapshot is a state file and a memory file (DIR/state.json and
 * DIR/memory.snap, or two paths of a client's choice). Two files cannot be
 * replaced in one step, so the state decides: it has a random id, and its
 * memory is <memory>.<id> if that exists, else <memory>. A new snapshot (B)
 * takes the place of an old one (A) so:
 *
 *   what is done                         the state that is there finds
 *   <state>.lock appears, and is locked  A: <memory>
 *   memory and state are written and     A: <memory>
 *   synced, without names where the
 *   file system can (O_TMPFILE)
 *   <memory>.B, <state>.B.tmp appear     A: <memory>
 *   <memory>.A appears, a second name    A: <memory>.A
 *   of <memory>; directory synced
 *   <state>.B.tmp is renamed <state>     B: <memory>.B
 *   ... and the directory synced: done
 *   <memory>.B is renamed <memory>       B: <memory>
 *   <memory>.A and the lock are removed
 *
 * Whatever stops this, the old snapshot or the new one is whole. Ids are never
 * used twice, also not by a merge (state.h: moment), so that no name that a
 * killed process left is in the way of the next one.
 *
 * One writer at a time. The lock is held from the first step to the last and
 * nobody waits for it: a guest may stand still meanwhile. It is a file of its
 * own, of mode 0600, since a directory can be locked by all who can read it. It
 * is the journal, too: each name is written there, with the inode where that is
 * known, before it is made. The next writer finds the lock of one that was
 * killed, completes a <memory>.<id> that the state there needs, and removes the
 * other names that the journal has: those, and nothing that only looks alike.
 * Names in a directory that is not one of its own two it leaves.
 *
 * The journal is not synced. When the power fails between the first new name
 * and the end, names may be on the disk that it does not have: they take room,
 * and no reader is misled. A sync of it before they are made would be one more
 * flush while the guest stands still, half as long again as those for a small
 * diff (1 MiB on ext4, median of 60: 27 and 39 ms).
 *
 * Readers take no lock: they look whether the state is still the same after
 * they opened the memory (find.h).
 *
 * Who cannot give a nameless file a name (linkat() by descriptor asks for
 * /proc, a capability, or Linux 6.10) is told by the kernel when the file is
 * made, not after all memory was written, and uses a name from the start.
 *
 * A VM may be saved over the files that it was restored from: it has them open,
 * and new files take the names.
 */
#pragma once

#include "host/path.h"
#include "image/identity.h"
#include "image/layer.h"

#include <limits.h>

#define SNAPSHOT_STATE_NAME  "state.json"
#define SNAPSHOT_MEMORY_NAME "memory.snap"

/**
 * struct snapshot_paths - where a snapshot is; both owned
 * @opener:	who opens them; NULL: this process
 * @unpack:	who reads compressed memory; NULL: nobody
 */
struct snapshot_paths {
	char *state;
	char *memory;
	const struct path_opener *opener;
	const struct image_unpacker *unpack;
};

static inline const struct path_opener *
snapshot_opener(const struct snapshot_paths *paths)
{
	return paths->opener ? paths->opener : &path_direct;
}

/* The two files of the directory @dir. Return: 0 or -ENOMEM. */
int snapshot_paths_in(struct snapshot_paths *paths,
		      const char *dir) __must_check;

/* The same; with @memory two files, the state @from. Return: 0 or -ENOMEM. */
int snapshot_paths_of(struct snapshot_paths *paths, const char *from,
		      const char *memory) __must_check;
#define SNAPSHOT_SUFFIX_MAX 18u

/* ".<id>": what the name of a memory ends in until it is in its place. */
void snapshot_suffix(uint64_t id, char suffix[static SNAPSHOT_SUFFIX_MAX]);

/**
 * snapshot_state_id() - the id of the snapshot whose state is @name in @dir
 * @no_links:	one that is a symbolic link is none
 *
 * Return: 0; -ENOENT: there is none; -EINVAL: it is no state; -errno.
 */
int snapshot_state_id(int dir, const char *name, bool no_links,
		      uint64_t *id) __must_check;

/* The two files have the names of those in a directory. */
bool snapshot_paths_are_in_dir(const struct snapshot_paths *paths);

void snapshot_paths_free(struct snapshot_paths *paths);

/* The directory that the last name of @path is in; slashes at its end do not
 * count. Return: owned, or NULL. */
char *snapshot_parent(const char *path);

/**
 * snapshot_dir_make() - make the directory of a snapshot, if it is not there
 * @made:	it was not; its name is on the disk now
 *
 * Return: 0 or -errno with a sentence.
 */
int snapshot_dir_make(const struct path_opener *opener, const char *dir,
		      bool *made, struct err *err) __must_check;

/* Remove it again, if it is empty. */
void snapshot_dir_remove(const struct path_opener *opener, const char *dir);

/**
 * struct snapshot_file - one of the two, on its way
 * @dir:	its directory
 * @name:	the name it shall get
 * @fd:		write to it
 * @temp:	the name it has until then; "" while it has none
 */
struct snapshot_file {
	int dir;
	int fd;
	char name[NAME_MAX + 1];
	char temp[NAME_MAX + 1];
};

/**
 * struct snapshot_files - a snapshot that is being written
 * @no_links:	a state that is a symbolic link is none (path.h)
 * @label:	whose the memory is. @id is set by begin, the rest before commit
 * @aside:	the second name of the old memory; "" when there is none
 * @moved:	... is the only one: the file system has no hard links
 * @lock:	the lock file; -1: not held
 */
struct snapshot_files {
	struct snapshot_file state;
	struct snapshot_file memory;
	struct snapshot_label label;
	char aside[NAME_MAX + 1];
	bool moved;
	bool committed;
	bool no_links;
	int lock;
	char lock_name[NAME_MAX + 1];
};

/* Nothing is open: snapshot_files_end() has nothing to do. */
#define SNAPSHOT_FILES_NONE                      \
	((struct snapshot_files){                \
		.state = {.dir = -1, .fd = -1},  \
		.memory = {.dir = -1, .fd = -1}, \
		.lock = -1,                      \
	})

/**
 * snapshot_files_begin() - two new files to write to, in a tidy place
 * @id:		of the new snapshot
 *
 * snapshot_files_end() in any case. Return: 0; -EBUSY when another process
 * writes there; -errno; with a sentence.
 */
int snapshot_files_begin(struct snapshot_files *f,
			 const struct snapshot_paths *paths, uint64_t id,
			 struct err *err) __must_check;

/* Sync both and let them take their names. Return: 0 or -errno with a sentence.
 */
int snapshot_files_commit(struct snapshot_files *f,
			  struct err *err) __must_check;

/* Closes; removes what was not committed. */
void snapshot_files_end(struct snapshot_files *f);
