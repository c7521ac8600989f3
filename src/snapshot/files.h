/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - the two files of a snapshot: replaced together, found together
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
 *   memory and state are written and     A: <memory>
 *   synced, without names where the
 *   file system can (O_TMPFILE)
 *   <memory>.B, <state>.B.tmp appear     A: <memory>
 *   <memory>.A appears, a second name    A: <memory>.A
 *   of <memory>; directory synced
 *   <state>.B.tmp is renamed <state>     B: <memory>.B
 *   ... and the directory synced: done
 *   <memory>.B is renamed <memory>       B: <memory>
 *   <memory>.A is removed
 *
 * Whatever stops this, the old snapshot or the new one is whole. What a killed
 * process leaves beside them the next one removes; what is in use it knows by a
 * lock (flock) on the file. The steps from the second on happen under a lock on
 * the state's directory, so that two writers come one after the other. Readers
 * take no lock: they look whether the state is still the same after they opened
 * the memory.
 *
 * The memory file carries the id as an extended attribute, where the file
 * system has such: a state does not take another snapshot's memory. That of a
 * diff also has the id of what it differs from.
 *
 * A VM may be saved over the files that it was restored from: it has them open,
 * and new files take the names.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <limits.h>

#define SNAPSHOT_STATE_NAME  "state.json"
#define SNAPSHOT_MEMORY_NAME "memory.snap"

/**
 * struct snapshot_paths - where a snapshot is; both owned
 */
struct snapshot_paths {
	char *state;
	char *memory;
};

/* The two files of the directory @dir. Return: 0 or -ENOMEM. */
int snapshot_paths_in(struct snapshot_paths *paths,
		      const char *dir) __must_check;
void snapshot_paths_free(struct snapshot_paths *paths);

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
 * @base:	of a diff that is not whole: what it needs. 0 at first
 * @aside:	the second name of the old memory; "" when there is none
 * @moved:	... is the only one: the file system has no hard links
 */
struct snapshot_files {
	struct snapshot_file state;
	struct snapshot_file memory;
	uint64_t id;
	uint64_t base;
	char aside[NAME_MAX + 1];
	bool moved;
	bool committed;
};

/**
 * snapshot_files_begin() - two new files to write to
 * @id:		of the new snapshot
 *
 * snapshot_files_end() in any case. Return: 0 or -errno with a sentence.
 */
int snapshot_files_begin(struct snapshot_files *f,
			 const struct snapshot_paths *paths, uint64_t id,
			 struct err *err) __must_check;

/* Sync both and let them take their names. Return: 0 or -errno. */
int snapshot_files_commit(struct snapshot_files *f,
			  struct err *err) __must_check;

/* Closes; removes what was not committed. */
void snapshot_files_end(struct snapshot_files *f);

/**
 * struct snapshot_reader - a snapshot that is being read
 * @text:	the state; owned
 * @state_fd, @memory_fd:	-1 when not open
 */
struct snapshot_reader {
	char *text;
	size_t len;
	int state_fd;
	int memory_fd;
};

/* Read the state. Return: 0 or -errno with a sentence. */
int snapshot_read_state(struct snapshot_reader *r, const char *path,
			struct err *err) __must_check;

/**
 * snapshot_open_memory() - open the memory that belongs to state @id
 * @base:	0, or the file may say that it is that snapshot's: a diff's
 *state with a memory file into which the diff was merged
 *
 * Return: 0; -ESTALE when the state at its path is not the one that was read
 * any more (begin again); -EINVAL for another snapshot's memory; -errno.
 */
int snapshot_open_memory(struct snapshot_reader *r,
			 const struct snapshot_paths *paths, uint64_t id,
			 uint64_t base, struct err *err) __must_check;

/* The id that the memory file @fd says it belongs to. Return: false: none. */
bool snapshot_memory_id(int fd, uint64_t *id);

/* The same for the id of what it differs from, as a diff. */
bool snapshot_memory_base(int fd, uint64_t *base);

void snapshot_reader_end(struct snapshot_reader *r);
