/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drives.h - the drives of a VM: their list and their files
 *
 * The list's order is the guest's: the n-th drive is /dev/vd<n>, so the root
 * device is always the first. A drive's file is opened when the drive is set;
 * the device borrows the descriptor from the configuration.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "config/config.h"
#include "config/drive_lock.h"

#define DRIVE_SECTOR_BYTES 512u

/**
 * drive_open() - open a drive's file or block device
 * @index:	it is the n-th drive of the request or snapshot, from 0
 *
 * Return: the descriptor; -EISDIR, -ENOTBLK (neither file nor block device),
 * -EBUSY for a block device that the host has mounted, as swap, or in another
 * device, or -errno of open(); with a sentence.
 */
int drive_open(const struct vm_config *config, const char *path, bool read_only,
	       unsigned int index, struct err *err) __must_check;

/**
 * drive_check_copy() - can the file be that of a drive of a restored VM?
 * @path:	of @fd
 *
 * The guest goes on in the middle of its file system: what is no disk at all is
 * a mistake.
 *
 * Return: 0; -EINVAL with a sentence.
 */
int drive_check_copy(const char *id, const char *path, int fd,
		     struct err *err) __must_check;

/* NULL when there is none of that id. */
struct drive_config *drives_find(struct vm_config *config, const char *id);

/**
 * drives_set() - add a drive, or replace the one of that id
 * @drive:	taken over on success, and zeroed
 *
 * Return: 0, -EEXIST when another drive is the root device, or -ENOMEM.
 */
int drives_set(struct vm_config *config,
	       struct drive_config *drive) __must_check;

/**
 * drives_root_words() - what the kernel's command line says about the root
 * @words:	"root=/dev/vda rw"; empty without a root device
 *
 * Return: 0, -E2BIG when it does not fit @size.
 */
int drives_root_words(const struct vm_config *config, char *words,
		      size_t size) __must_check;
