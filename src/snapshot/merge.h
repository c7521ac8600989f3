/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.h - a diff and what it differs from become a whole snapshot
 *
 * The diff's state is already whole; of memory it has what changed since its
 * base. The result takes the place of the diff (files.h: as a whole, or not at
 * all) and keeps its id, as a later diff may have it for its base. While it
 * does so the old state, a diff, may find the new memory: it is complete in any
 * case. The base stays as it is.
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
