/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay.h - a drive of a restored VM that is a copy of its own
 *
 * Theory of operation
 *
 * Ten clones of a snapshot find one image under the name of a drive, and each
 * goes on in the middle of a file system that it has mounted: only one of them
 * may write to it. With an overlay none does. The restore makes a file without
 * a name in a directory that the client gives (O_TMPFILE), copies the image
 * into it, and gives the guest the copy. The image is read only, and only
 * during the restore; a VM that has it to write is in the way meanwhile
 * (drive_lock.h).
 *
 * The copy is made by copy_file_range(2), which shares the blocks where the
 * file system can (XFS, btrfs: no data moves), and leaves out holes. Else the
 * data is read and written: as many bytes as the image stores.
 *
 * The file goes with the VM, however it ends: nothing is left to be removed.
 * For the same reason a VM with an overlay is not saved: the snapshot would
 * name a disk that nobody has. A drive that gets another file (PATCH /drives)
 * has an overlay no longer.
 *
 * A VM that was restored to wait for a lease (lease.h) is locked by then: the
 * calls are those that its filter knows.
 *
 * Context: the VMM thread, before the guest runs.
 */
#pragma once

#include "config/config.h"

/**
 * overlay_fill() - copy what the overlays of @config are to hold
 *
 * Return: 0, or -errno with a sentence.
 */
int overlay_fill(struct vm_config *config, struct err *err) __must_check;

/**
 * overlay_copy() - what @from holds into @to, which is empty
 *
 * Return: 0, or -errno with a sentence about @drive.
 */
int overlay_copy(const struct drive_config *drive, int from, int to,
		 struct err *err) __must_check;

/* A drive with one, or NULL. */
const struct drive_config *overlay_find(const struct vm_config *config);
