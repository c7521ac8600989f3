/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - the image of a snapshot, with all that it differs from
 *
 * Theory of operation
 *
 * A diff knows its base by the moment that it holds (identity.h), not by a
 * name: snapshots are moved, copied and merged. So the base is looked for where
 * snapshots lie together, and known by its identity:
 *
 *   the snapshot is                   its bases are
 *   DIR/state.json, DIR/memory.snap   in directories beside DIR, likewise
 *   two files of other names          memory files in the memory's directory
 *
 * One pass over that directory reads the labels, which costs a few system calls
 * for each snapshot that is there. A label that counts says which moment the
 * file holds and which one it needs. Only where no label will do, as after a
 * copy that lost them, states are read as well and the files compared with
 * their proofs (find.h). Nothing else of a base is read: what a chain of ten
 * costs more than a whole snapshot does not depend on its size.
 *
 * A base that is neither root's nor ours nor of the owner of the snapshot is
 * not taken: in a directory like /tmp others could put one beside it.
 *
 * Of several files of one moment a whole one is taken: it ends the chain.
 *
 * Errors name the file, and what is wrong with it: a base that is not there,
 * one that was changed, cut short or is of another size, snapshots that differ
 * from each other in a circle, more than IMAGE_LAYERS_MAX of them.
 */
#pragma once

#include "image/image.h"
#include "snapshot/find.h"

/**
 * snapshot_chain_image() - the memory of a snapshot, whole
 * @paths:	of it
 * @reader:	at SNAPSHOT_MEMORY_KNOWN; its memory is taken over
 * @s:		what snapshot_find() decoded
 * @image:	zeroed or empty; image_fini() in any case
 *
 * A process that is locked cannot look into a directory: a diff is refused
 * then.
 *
 * Return: 0 or -errno with a sentence.
 */
int snapshot_chain_image(const struct snapshot_paths *paths,
			 struct snapshot_reader *reader,
			 const struct snapshot *s, struct image *image,
			 struct err *err) __must_check;

/**
 * snapshot_image_at() - the same of one that is looked for first
 * @moment:	that it holds
 *
 * Return: 0 or -errno with a sentence; image_fini() in any case.
 */
int snapshot_image_at(const struct snapshot_paths *paths, struct image *image,
		      uint64_t *moment, struct err *err) __must_check;
