/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find.h - the snapshot that is in a place: state, memory, do they belong
 * together
 *
 * Restore, merge, inspect and a diff that goes onto a snapshot all look here.
 */
#pragma once

#include "image/copy.h"
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
 * @unpack:	of its paths
 * @held:	what the memory is: MEMORY_WHOLE or, of a diff, MEMORY_PART
 */
struct snapshot_reader {
	enum snapshot_stage stage;
	char *text;
	size_t len;
	int state_fd;
	int memory_fd;
	char *memory_path;
	const struct image_unpacker *unpack;
	enum memory_match held;
};

/* Read the state. Return: 0 or -errno with a sentence. */
int snapshot_read_state(struct snapshot_reader *r, const char *path,
			struct err *err) __must_check;

/**
 * snapshot_check_state() - the state is as it was written
 * @r:		with a state: SNAPSHOT_STATE_READ or further
 *
 * This can be told of every version, also of one that this program cannot read.
 *
 * Return: 0 and @head, or -EINVAL, -EBADMSG with a sentence.
 */
int snapshot_check_state(const struct snapshot_reader *r,
			 struct snapshot_head *head,
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

/* What reading all of a memory file tells. */
enum snapshot_contents {
	SNAPSHOT_CONTENTS_UNKNOWN, /* nobody has read it */
	SNAPSHOT_CONTENTS_RIGHT,
	SNAPSHOT_CONTENTS_WRONG,
	SNAPSHOT_CONTENTS_NO_CRC, /* the state has none to check by */
};

/**
 * snapshot_check_contents() - does the memory hold what it did?
 * @r:		at SNAPSHOT_MEMORY_KNOWN
 * @s:		what snapshot_find() decoded
 * @watch:	hears how far it is, or NULL
 *
 * Return: RIGHT, WRONG with a sentence, or NO_CRC; -errno with a sentence when
 * it cannot be read.
 */
int snapshot_check_contents(const struct snapshot_reader *r,
			    const struct snapshot *s,
			    struct memory_watch *watch,
			    struct err *err) __must_check;

void snapshot_reader_end(struct snapshot_reader *r);
