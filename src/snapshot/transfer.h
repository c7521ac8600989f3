/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.h - a snapshot into one file (image/parcel.h), and out of it
 *
 * Theory of operation
 *
 * An export is of one snapshot: a diff stays one, and comes back as one. With
 * @whole it is of the whole chain, as if it had been squashed before. The
 * state goes along as it is, but for the label, the proof and the CRC of the
 * memory, which then are of a whole one. The CRC costs a reading of its own, as
 * the state comes first; a diff that is not what its CRC says gets none.
 *
 * An import makes new files of an old moment, as a merge does (merge.h), so a
 * diff finds its base again wherever the two are imported. What comes out is
 * compared with the proof of its state before it gets its name (files.h: as a
 * whole, or not at all).
 */
#pragma once

#include "snapshot/files.h"

/**
 * snapshot_export() - to a file or pipe
 * @to:		at its beginning
 * @whole:	a diff with all that it needs (chain.h)
 *
 * Return: 0 or -errno with a sentence.
 */
int snapshot_export(const struct snapshot_paths *paths, bool whole, int to,
		    struct err *err) __must_check;

/**
 * snapshot_import() - from a file or pipe; what is in @paths is replaced
 *
 * Return: 0; -EBADMSG, -ENOTSUP when it is none or damaged; -errno; with a
 * sentence.
 */
int snapshot_import(const struct snapshot_paths *paths, int from,
		    struct err *err) __must_check;
