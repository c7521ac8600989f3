/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive_lock.h - nobody else writes to a drive's file meanwhile
 *
 * Theory of operation
 *
 * Two VMs that write to one image destroy the file system in it, and a VM that
 * reads what another one writes sees nonsense. So each drive's file carries an
 * advisory lock as long as the drive has it: shared for one that is read only,
 * exclusive for one that is written to. They are open file description locks
 * (fcntl(2), F_OFD_SETLK) on the whole file: they belong to the descriptor that
 * the I/O goes through, whichever engine or thread does it, they conflict with
 * those of other programs (QEMU's are of that kind), and the kernel drops them
 * when the last descriptor is closed, whatever ends the process. Our
 * descriptors are closed on exec.
 *
 * A lock that somebody else has is no more than a warning, with who it is: that
 * is what Firecracker's clients expect, who may know what they do. With
 * --lock-drives, which `volt` passes, it is an error. Where a file system has
 * no locks there is neither.
 *
 * PATCH to a path that names the same file keeps the lock that is there
 * (another description could not get it): the old descriptor stays open as
 * @lock_fd. The same for PUT before the start, except that the new drive may
 * want another kind, so the old lock goes first. A drive that waits for its
 * lease has a shared lock on the file that it came from, which nobody may write
 * to meanwhile: ten clones of one image have ten of these.
 *
 * A block device that the host itself has claimed (it is mounted, swap, or part
 * of another device: O_EXCL, open(2)) is refused when it is opened
 * (host/path.h).
 *
 * A VM that was killed may have its lock a little longer than its process: what
 * io_uring had open, the kernel closes later. So where a lock is held and no
 * process is seen that has it, it is tried again for a moment: 1 s where it is
 * an error, 0.1 s where it is a warning (holders that we may not see, as
 * another user's, are in no /proc of ours, either).
 *
 * What locks cannot see: a device node of another name for the same device, a
 * loop device over the file, hosts that share a file system without locks.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "config/config.h"

/**
 * struct file_claim - a file that is not another's
 * @what, @id:	whose it is, in messages: "Drive", "rootfs"
 * @read_only:	the VM only reads it, as others may
 */
struct file_claim {
	const char *what;
	const char *id;
	const char *path;
	int fd;
	bool read_only;
};

/**
 * file_lock() - lock a file before the guest runs
 * @locked:	the lock is there; it goes when claim->fd is closed
 *
 * Return: 0, also when somebody else has it and that was only worth a warning;
 * -EBUSY with a sentence.
 */
int file_lock(const struct vm_config *config, const struct file_claim *claim,
	      bool *locked, struct err *err) __must_check;

/**
 * struct drive_claim - what comes of a drive that takes another file
 * @locked:	the file is ours
 * @keeps:	it is the file that the drive has: so is the lock
 */
struct drive_claim {
	bool locked;
	bool keeps;
};

/**
 * drive_claim() - lock the file that @drive is to have
 * @drive:	its present file is locked, or not
 * @path, @fd:	the file, opened as the drive is (read only or not); a lock is
 *		on it afterwards, and goes when it is closed
 *
 * Return: 0, also when somebody else has it and that was only worth a warning;
 * -EBUSY with a sentence.
 */
int drive_claim(const struct vm_config *config,
		const struct drive_config *drive, const char *path, int fd,
		struct drive_claim *claim, struct err *err) __must_check;

/* The claim's file is the drive's now: let @old_fd, its last one, go. */
void drive_claim_take(struct drive_config *drive,
		      const struct drive_claim *claim, int *old_fd);

/**
 * drive_lock() - lock the file of a drive that is about to be set
 * @drive:	its fd is open
 * @old:	goes if it is set, and its lock with it; NULL: nobody
 *
 * Return: as drive_claim(). After a failure, and when the drive is not set in
 * the end, drive_unlock() it.
 */
int drive_lock(const struct vm_config *config, struct drive_config *drive,
	       struct drive_config *old, struct err *err) __must_check;

/* Close @drive's descriptors; @old has its lock again, if it had one. */
void drive_unlock(struct drive_config *drive, struct drive_config *old);
