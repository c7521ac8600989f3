/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.h - a diff and what it differs from become one snapshot
 *
 * Theory of operation
 *
 * The diff's state is already whole; of memory it has what changed since its
 * base. A merge puts one base below it: what comes out is whole when the base
 * is, else a larger diff, which differs from what the base differs from. A
 * squash puts all of the chain below it (chain.h).
 *
 * The result takes the place of the diff (files.h: as a whole, or not at all).
 * Its files have an id of their own, so that no state but theirs finds them and
 * no earlier try is in their way; the moment that they hold is the diff's, as a
 * later diff may have it for its base. It is checked by the diff's proof before
 * it gets its name. Bases stay as they are.
 */
#pragma once

#include "snapshot/files.h"

/**
 * snapshot_merge() - complete the diff in @diff by the snapshot in @base
 *
 * Return: 0; -EINVAL when they do not belong together; -errno; with a sentence.
 */
int snapshot_merge(const struct snapshot_paths *base,
		   const struct snapshot_paths *diff,
		   struct err *err) __must_check;

/**
 * snapshot_squash() - complete the diff in @paths by all that it needs
 *
 * Return: 0; -EINVAL when it is whole already, or the chain is not; -errno;
 * with a sentence.
 */
int snapshot_squash(const struct snapshot_paths *paths,
		    struct err *err) __must_check;
