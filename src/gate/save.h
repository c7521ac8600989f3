/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save.h - a snapshot is written by both halves: what they tell each other
 *
 * Theory of operation
 *
 *   guest process                      gate
 *   NEED(place)               ->       finds the paths in the request; makes
 *                                      the directory; lock, journal, two new
 *                                      files, what lies under a diff
 *                             <-       DESCRIPTOR: state, memory, perhaps what
 *                                      lies under; struct save_place
 *   writes and syncs both
 *   SAVED: struct save_done   ->       label, names, directory on the disk
 *                             <-       DONE
 *   or ABORTED                ->       nothing is left
 *
 * Names, their order and their durability are the gate's (snapshot/files.h),
 * the bytes are the guest process's. Which snapshot a diff differs from is
 * decided by the gate: it was told the base before the lock, and where pages
 * are tracked each snapshot that it commits is the next one. What the guest
 * process says of the memory's proof is stored for later, and decides nothing
 * but whether a copy of that memory is known again.
 */
#pragma once

#include "image/identity.h"

/**
 * struct save_base - a HANDOVER (WIRE_SAVES): what diffs differ from
 * @base:	moment 0: nothing
 * @size:	of the guest's memory, bytes
 * @tracked:	pages are, so that each snapshot is the base of the next
 */
struct save_base {
	struct snapshot_identity base;
	uint64_t size;
	uint64_t tracked;
};

/**
 * struct save_place - behind a DESCRIPTOR to NEED(place)
 * @label:	of the new snapshot
 */
struct save_place {
	struct snapshot_label label;
};

/* Behind SAVED. */
struct save_done {
	struct memory_proof proof;
};

enum save_fd {
	SAVE_STATE,
	SAVE_MEMORY,
	SAVE_UNDER, /* when there is something */
};
