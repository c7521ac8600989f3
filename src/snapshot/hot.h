/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot.h - the working set that lies beside the memory of a snapshot
 */
#pragma once

#include "image/workset.h"
#include "snapshot/files.h"

/**
 * snapshot_hot() - read it
 * @moment:	that the memory holds; a working set of another one is none
 * @set:	empty when there is none; workset_fini() in any case
 *
 * A process that is locked first has none.
 *
 * Return: 0; -EBADMSG when it is damaged; -errno; with a sentence.
 */
int snapshot_hot(const struct snapshot_paths *paths, uint64_t moment,
		 struct workset *set, struct err *err) __must_check;
