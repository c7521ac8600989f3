/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - the snapshots in a folder, and which of them is a diff of which
 *
 * Theory of operation
 *
 * A folder is where a chain lies (chain.h): each directory in it may hold a
 * snapshot, each file may be an exported one or a state that a client put
 * there. One pass opens each of them, as a restore opens it, reads the state
 * and the label or the proof of the memory, and closes it again. Nothing is
 * locked and nothing is written. What is no snapshot is left out; what should
 * be one and is not right is in the list with the sentence of a restore.
 *
 * Then each gets its base by the rules of a chain (base.h). No files are opened
 * for that: a list of N costs N looks, not N for each.
 *
 * All of it is strangers' files. Names and texts are as they are there: who
 * prints them cleans them (base/clean.h).
 */
#pragma once

#include "snapshot/base.h"
#include "snapshot/room.h"
#include "snapshot/state.h"

#define SNAPSHOT_LIST_MAX 65536u
/* Snapshots in a chain, at most. */
#define SNAPSHOT_CHAIN_MAX 256u
#define SNAPSHOT_LIST_NO   SIZE_MAX

enum snapshot_form {
	SNAPSHOT_IN_DIR, /* state.json and memory.snap */
	SNAPSHOT_FILE,   /* a state by itself: its memory is not known */
	SNAPSHOT_EXPORT, /* one file (image/parcel.h) */
};

/* Could it be restored, or imported and restored, from this folder? */
enum snapshot_chain {
	SNAPSHOT_CHAIN_UNKNOWN, /* its memory is not known */
	SNAPSHOT_CHAIN_WHOLE,
	SNAPSHOT_CHAIN_DAMAGED, /* it is not right itself */
	SNAPSHOT_CHAIN_MISSING, /* no file holds a moment that it needs */
	SNAPSHOT_CHAIN_WRONG, /* one does, but is damaged or of another size */
	SNAPSHOT_CHAIN_STRANGE, /* one does, but is another user's */
	SNAPSHOT_CHAIN_CIRCLE,
	SNAPSHOT_CHAIN_LONG, /* more than SNAPSHOT_CHAIN_MAX */
};

/**
 * struct snapshot_listed - one of them
 * @name:	in the folder; owned
 * @why:	what is wrong with it; NULL: nothing. Owned
 * @has_state:	its state is right: @diff, @created and @memory_bytes are known
 * @created:	when it was saved, as its state says
 * @room:	that its files take on the disk
 * @file:	its memory, for those that it may be the base of
 * @base:	which of the list @file needs; SNAPSHOT_LIST_NO: none of them
 * @broken:	with a @chain that is broken: the last one that there is
 */
struct snapshot_listed {
	char *name;
	char *why;
	enum snapshot_form form;
	bool has_state;
	bool diff;
	char created[SNAPSHOT_TEXT_MAX];
	uint64_t memory_bytes;
	struct room room;
	struct base_file file;
	size_t base;
	enum snapshot_chain chain;
	size_t broken;
};

/**
 * struct snapshot_list - of a folder
 * @item:	by name
 */
struct snapshot_list {
	struct snapshot_listed *item;
	size_t nr;
};

/**
 * snapshot_list_read() - look at all that is in @dir
 * @list:	zeroed; snapshot_list_free() in any case
 *
 * Return: 0; -E2BIG when there are more than SNAPSHOT_LIST_MAX; -errno; with a
 * sentence.
 */
int snapshot_list_read(struct snapshot_list *list, const char *dir,
		       struct err *err) __must_check;

void snapshot_list_free(struct snapshot_list *list);
