/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - what a diff does with the memory that lies where it goes
 *
 * Theory of operation
 *
 * Clients of Firecracker write a diff onto the memory file of its base, or onto
 * a copy of that, and hold something whole afterwards. That is right for three
 * kinds of memory, and nothing but a mix for any other:
 *
 *   the memory is                      the result is
 *   not there, or an empty file        the diff by itself
 *   the VM's base: what the diff       both, whole when the base is; else a
 *   differs from (by its label, or     diff of what the base is a diff of
 *   by the base's proof: a copy)
 *   of a VM that does not track: what  whole: both, as the diff has all that
 *   this very process saved, whole     was written since the load
 *   ... the same, a diff of its base   the new diff alone, which has it all
 *
 * Everything else is refused by name. The memory is found as a restore finds
 * it, and known as a restore knows it.
 */
#pragma once

#include "snapshot/files.h"

/**
 * struct snapshot_place - where a diff goes, and what is known of its VM
 * @base:	what the diff differs from
 * @run:	this process
 * @tracked:	the diff has what was written since the last snapshot, which is
 *		@base; else all since the load
 */
struct snapshot_place {
	const struct snapshot_paths *paths;
	const struct snapshot_identity *base;
	uint64_t run;
	bool tracked;
};

/**
 * snapshot_layer() - what goes under the diff
 * @fd:		it; -1: nothing
 * @needs:	the moment that the result needs to be whole; 0: it is whole
 *
 * Between snapshot_files_begin() and _commit(), so that nobody replaces what
 * is there.
 *
 * Return: 0; -EINVAL when the result would be a mix; -errno; with a sentence.
 */
int snapshot_layer(const struct snapshot_place *place, int *fd, uint64_t *needs,
		   struct err *err) __must_check;
