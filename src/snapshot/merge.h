/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.h - a diff and what it differs from become a whole snapshot
 *
 * The diff's state is already whole; of memory it has what changed since its
 * base. The result takes the place of the diff (files.h: as a whole, or not at
 * all). Its files have an id of their own, so that no state but theirs finds
 * them and no earlier try is in their way; the moment that they hold is the
 * diff's, as a later diff may have it for its base. It is checked by the diff's
 * proof before it is called whole. The base stays as it is.
 */
#pragma once

#include "snapshot/files.h"

/**
 * snapshot_merge() - complete the diff in @diff by the snapshot in @base
 *
 * Return: 0; -EINVAL when they do not belong together; -errno.
 */
int snapshot_merge(const struct snapshot_paths *base,
		   const struct snapshot_paths *diff,
		   struct err *err) __must_check;
