/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ext4.h - a tree becomes an ext4 file system
 *
 * Theory of operation
 *
 * The file system is for reading: no journal, no free blocks, no copies of the
 * superblock. It is written once, front to back, into a sparse file:
 *
 *   superblock, group descriptors
 *   bitmaps of blocks, bitmaps of inodes     one block a group each
 *   inodes                                   in the order of names
 *   blocks of each inode                     data, extents, attributes
 *
 * How many of each there are is counted before, so every place is known when it
 * is written, and a file's blocks lie in a row. Nothing is mounted, no
 * privilege is needed.
 *
 * The same tree and key give the same bytes, on any release of the system: UUID
 * and the seed of hashes come from the key, the file system's own times are 0,
 * all others the tree's. That is why this is no use of libext2fs, whose layout
 * is its version's; and parts of that are under the GPL, version 2 alone, which
 * a program that is linked with it would be, too.
 *
 * Kept: types, modes, owners of 32 bits, times from 1901 to 2446 with
 * nanoseconds, devices, hard links, symbolic links, holes of whole blocks,
 * extended attributes (user, trusted, security, system, POSIX ACLs) of up to a
 * block in all.
 */
#pragma once

#include "oci/fstree.h"

#include "store/progress.h"

/**
 * ext4_write() - write @tree into the empty file @fd
 * @key:	64 hex digits
 *
 * Numbers the inodes of the tree and sorts it.
 *
 * Return: 0; -EFBIG, -E2BIG, -ENOTSUP, -EINVAL (extended attributes that cannot
 * be kept), -ENOSPC, -errno, with a sentence.
 */
int ext4_write(struct fstree *tree, int fd, const char *key,
	       struct progress *progress, struct err *err) __must_check;
