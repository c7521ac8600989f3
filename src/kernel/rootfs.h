/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs.h - which file system an image holds, by its first bytes
 */
#pragma once

#include "kernel/drives.h"

enum rootfs_kind {
	ROOTFS_UNKNOWN,
	ROOTFS_EXT4, /* or ext2, ext3: the same driver */
	ROOTFS_XFS,
	ROOTFS_BTRFS,
	ROOTFS_SQUASHFS,
	ROOTFS_EROFS,
	ROOTFS_PARTITIONS, /* a table of them: which one, the command line says
			    */
};

/**
 * rootfs_of_file() - look at an image or block device
 *
 * Return: 0, or -errno with a sentence.
 */
int rootfs_of_file(const char *path, enum rootfs_kind *kind,
		   struct err *err) __must_check;

/* The same of its first bytes, ROOTFS_BYTES or less. */
#define ROOTFS_BYTES (KIB(64) + 128)
enum rootfs_kind rootfs_of(const uint8_t *head, size_t len);

/* The driver's name, as in rootfstype=; NULL: there is none. */
const char *rootfs_name(enum rootfs_kind kind);

/* Its row of the table of what a kernel drives. @kind has a name. */
enum drives_id rootfs_drives(enum rootfs_kind kind);
