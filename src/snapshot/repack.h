/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repack.h - a snapshot whose memory is stored in another way
 *
 * Theory of operation
 *
 * A snapshot is compressed, or made raw again, in its place: new files take the
 * names of the old ones as after a merge (merge.h), as a whole or not at all,
 * whatever stops it. They have an id of their own and hold the same moment, so
 * that the diffs of it find their base as before. A diff stays a diff. VMs that
 * run from the old files keep those.
 *
 * Who packs is the caller's: this folder knows no library for it.
 */
#pragma once

#include "snapshot/files.h"

/**
 * struct snapshot_packer - who writes packed files
 * @write:	the raw file @from of @size bytes into the empty file @to.
 *		Return: 0 or -errno with a sentence
 */
struct snapshot_packer {
	int (*write)(void *ctx, const struct image_layer *from, uint64_t size,
		     const struct snapshot_label *label, int to,
		     struct err *err);
	void *ctx;
};

/**
 * snapshot_compress() - the memory of the snapshot in @paths is packed
 *
 * Where the state has a CRC of the memory, that is checked before.
 *
 * Return: 0; -EALREADY when it is; -errno; with a sentence.
 */
int snapshot_compress(const struct snapshot_paths *paths,
		      const struct snapshot_packer *packer,
		      struct err *err) __must_check;

/**
 * snapshot_decompress() - the memory of the snapshot in @paths is raw again
 * @paths:	with who unpacks
 *
 * What comes out is compared with the proof in the state, and with the CRC if
 * that has one.
 *
 * Return: 0; -EALREADY when it is; -EBADMSG; -errno; with a sentence.
 */
int snapshot_decompress(const struct snapshot_paths *paths,
			struct err *err) __must_check;
