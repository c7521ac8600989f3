/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save.h - save a paused VM into two files
 *
 * Theory of operation
 *
 * Saving changes nothing about the VM: whatever fails, it stays paused and can
 * be resumed or saved again, and an older snapshot under the same names is
 * untouched (snapshot/files.h). struct vm_place opens and renames the files,
 * and knows what a diff differs from; the VM only writes to descriptors.
 *
 * Diffs. A VM has a base: the snapshot that its memory differs from as far as
 * anybody knows (vm.h). It is the one that was loaded, if any; where dirty
 * pages are tracked, the last one that was made. A diff without a base is
 * whole. One with a base says so in its state, and a restore needs that base
 * and its bases, too (snapshot/chain.h), until they are merged
 * (snapshot/merge.h). One that is written where a memory file lies goes on top
 * of it, as Firecracker's clients have it (snapshot/place.h).
 */
#pragma once

#include "image/write.h"
#include "snapshot/state.h"
#include "vm/steps.h"
#include "vm/vm.h"

/**
 * struct vm_save - how to save
 * @kind:	MEMORY_FULL or MEMORY_DIFF
 * @checksum:	the state gets the CRC of the memory file, which is read for it
 */
struct vm_save {
	enum memory_kind kind;
	bool checksum;
};

/**
 * struct vm_files - the files of a new snapshot
 * @state, @memory: new and empty, to write to
 * @under:	what lies under a diff, to read; -1: nothing
 * @label:	whose they will be; its base 0: a diff becomes whole
 */
struct vm_files {
	int state;
	int memory;
	int under;
	struct snapshot_label label;
};

/**
 * struct vm_place - where a snapshot's files come from, and get their names
 * @begin:	*@files are the caller's to close
 * @commit:	both are written and synced: rename them to their names. After
 *		-ETIMEDOUT they may have been renamed or not
 * @abort:	remove them
 *
 * Each @begin is followed by one @commit or @abort if it succeeds.
 */
struct vm_place {
	int (*begin)(void *ctx, struct vm_files *files, struct err *err);
	int (*commit)(void *ctx, const struct memory_proof *proof,
		      struct err *err);
	void (*abort)(void *ctx);
	void *ctx;
};

/**
 * vm_snapshot() - save @vm, which is paused
 * @steps:	what took how long
 *
 * Return: 0 or -errno with a sentence.
 */
int vm_snapshot(struct vm *vm, const struct vm_place *place,
		const struct vm_save *how, struct steps *steps,
		struct err *err) __must_check;
