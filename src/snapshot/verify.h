/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.h - is all that a snapshot needs as it was written?
 *
 * Theory of operation
 *
 * A restore reads as little as it can. This reads everything:
 *
 *   state        its CRC, and that it can be decoded
 *   memory       label or proof, as a restore; then all that the file stores:
 *                the samples of the proof also where a label would do, and the
 *                CRC where the state has one (memory_checksum)
 *   bases        the chain is put together as a restore does it (chain.h), and
 *                each file of it is judged like the first, by the state that
 *                lies beside it
 *   an export    record after record, each by its CRC (image/parcel.h)
 *   a folder     each snapshot and export in it (list.h). What is a base of
 *                others is read once, for itself
 *
 * Nothing is locked or written. What is wrong is a sentence for each, and the
 * rest is looked at all the same.
 *
 * A memory file without a CRC is read, too: a disk that cannot is found, a byte
 * that changed is not. Those are counted, so that nobody takes them for proved.
 * Of a compressed one each frame has a checksum, and each is unpacked.
 */
#pragma once

#include "image/copy.h"
#include "snapshot/files.h"

/**
 * struct verify - zeroed but for the first three; embed it
 * @problem:	a sentence that names the file; strangers' text in it
 * @unpack:	who reads compressed memory
 * @reading:	@bytes more were read; @path is what is being read
 * @path:	borrowed
 * @nr_snapshots, @nr_problems:	so far
 * @nr_unproved:	memory files that were read, and had no CRC
 * @nr_bytes:	that were read of memory
 */
struct verify {
	void (*problem)(struct verify *v, const char *sentence);
	void (*reading)(struct verify *v);
	const struct image_unpacker *unpack;
	struct memory_watch watch;
	const char *path;
	unsigned int nr_snapshots;
	unsigned int nr_problems;
	unsigned int nr_unproved;
	uint64_t nr_bytes;
};

/**
 * snapshot_verify() - a snapshot and all that it needs
 *
 * Return: 0, also when something is wrong with it; -ENOMEM with a sentence.
 */
int snapshot_verify(struct verify *v, const struct snapshot_paths *paths,
		    struct err *err) __must_check;

/**
 * snapshot_verify_export() - one that was exported
 * @fd:		from its beginning on
 * @path:	for sentences
 *
 * Return: as above.
 */
int snapshot_verify_export(struct verify *v, int fd, const char *path,
			   struct err *err) __must_check;

/**
 * snapshot_verify_folder() - all that lie in @dir
 *
 * Return: as above; -errno with a sentence when it cannot be looked into.
 */
int snapshot_verify_folder(struct verify *v, const char *dir,
			   struct err *err) __must_check;
