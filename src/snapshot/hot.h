/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot.h - the working set of a snapshot: beside its memory, or in it
 */
#pragma once

#include "image/workset.h"
#include "snapshot/files.h"

/**
 * snapshot_hot() - read it
 * @moment:	that the memory holds; a working set of another one is none
 * @set:	empty when there is none; workset_fini() in any case
 *
 * Return: 0; -EBADMSG when it is damaged; -errno; with a sentence.
 */
int snapshot_hot(const struct snapshot_paths *paths, uint64_t moment,
		 struct workset *set, struct err *err) __must_check;

/**
 * snapshot_hot_path() - where it lies, or would
 * @path:	the caller's to free
 *
 * Return: 0 or -ENOMEM.
 */
int snapshot_hot_path(const struct snapshot_paths *paths,
		      char **path) __must_check;

/**
 * snapshot_hot_of_image() - what the memory itself says
 * @set:	stays as it is unless it is empty
 *
 * The hot run of the newest file, if that is packed; of a raw diff all that it
 * holds (workset_of_diff()).
 *
 * Return: 0 or -ENOMEM with a sentence.
 */
int snapshot_hot_of_image(struct workset *set, const struct image *image,
			  struct err *err) __must_check;
