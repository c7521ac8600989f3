/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find.h - the snapshot that is in a place: state, memory, do they belong
 * together
 *
 * Restore, merge, inspect and a diff that goes onto a snapshot all look here.
 */
#pragma once

#include "snapshot/files.h"
#include "snapshot/state.h"

/* How far snapshot_find() came. */
enum snapshot_stage {
	SNAPSHOT_NO_STATE,
	SNAPSHOT_STATE_READ,   /* @text is there */
	SNAPSHOT_STATE_RIGHT,  /* ... and decoded */
	SNAPSHOT_MEMORY_OPEN,  /* @memory_fd is there */
	SNAPSHOT_MEMORY_KNOWN, /* ... and is the state's */
};

/**
 * struct snapshot_reader - a snapshot that is being read
 * @text:	the state; owned
 * @state_fd, @memory_fd:	-1 when not open
 * @memory_path:	what @memory_fd is open of; owned
 * @held:	what the memory is: MEMORY_WHOLE or, of a diff, MEMORY_PART
 */
struct snapshot_reader {
	enum snapshot_stage stage;
	char *text;
	size_t len;
	int state_fd;
	int memory_fd;
	char *memory_path;
	enum memory_match held;
};

/* Read the state. Return: 0 or -errno with a sentence. */
int snapshot_read_state(struct snapshot_reader *r, const char *path,
			struct err *err) __must_check;

/**
 * snapshot_find() - read both files of a snapshot
 * @memory:	false: the state only
 * @s:		zeroed; refers to @r afterwards
 *
 * snapshot_reader_end() in any case; @r->stage tells what failed. A snapshot
 * that is replaced meanwhile is read again.
 *
 * Return: 0 or -errno with a sentence.
 */
int snapshot_find(struct snapshot_reader *r, const struct snapshot_paths *paths,
		  bool memory, struct snapshot *s,
		  struct err *err) __must_check;

void snapshot_reader_end(struct snapshot_reader *r);
