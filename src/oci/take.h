/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take.h - what a person has becomes an image of the store
 *
 * Theory of operation
 *
 * A source is one of these, told apart by what is in it:
 *
 *   a folder with oci-layout and index.json    an OCI layout
 *   another folder                             a root file system
 *   a tar archive, also compressed, with
 *     oci-layout and index.json                an OCI archive
 *     manifest.json                            `docker save`, `podman save`
 *     neither                                  a root file system
 *
 * All layers become one file system, by the chain of their digests: two images
 * of the same layers share one file in the store, and the second is not
 * converted at all. Layers are not shared singly: a file system for each, on
 * top of each other in the guest, would make the guest's kernel need overlayfs
 * with as many lower file systems and drives as an image has layers (up to 127
 * where drives are 32), and each file's first use walk them. What that costs
 * is disk for images that share only some of their layers.
 *
 * Nothing is believed: a manifest, a configuration and a layer must hash to
 * what names them, a layer unpacked to what the configuration says of it.
 *
 *   layers -> flow (unpack, hash, count) -> tar -> tree + spool -> ext4
 *
 * The spool and the file system are files in the store's tmp/ (store.h), so
 * whatever is killed leaves nothing that the next command would not remove.
 */
#pragma once

#include "store/store_write.h"

/* What an image may have, unless the user says more. */
#define TAKE_MAX_SIZE (UINT64_C(32) << 30)

/**
 * struct take - what is wanted
 * @path:	of the source
 * @ref:	of several images in it this one; NULL: the only one
 * @max:	bytes that its files may have together, and one layer unpacked
 */
struct take {
	const char *path;
	const char *ref;
	uint64_t max;
	struct progress *progress;
};

/**
 * take_image() - read the source into @adding, and fill @record
 * @record:	empty; gets all but its name
 * @reference:	to be freed; the name that the source itself says, or ""
 *
 * Return: 0; -EINVAL, -EBADMSG, -ENODATA, -EFBIG (an image that is none, or
 * lies), -errno, with a sentence that names the source, and the entry.
 */
int take_image(struct adding *adding, const struct take *take,
	       struct record *record, char **reference,
	       struct err *err) __must_check;
