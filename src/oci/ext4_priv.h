/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ext4_priv.h - what the parts of the ext4 writer share
 */
#pragma once

#include "oci/ext4.h"
#include "oci/ext4_disk.h"

#define EXT4_CHUNK MIB(1)

/**
 * struct ext4 - one that is written
 * @inodes:	that it has in all; they are the first of the groups'
 * @blocks:	of all; those before @data are tables
 * @next:	the first block that nobody has yet
 * @chunk:	EXT4_CHUNK bytes, for copies
 * @at:		the node that is written, for a sentence
 */
struct ext4 {
	struct fstree *tree;
	int fd;
	uint64_t inodes;
	uint64_t group_inodes;
	uint64_t groups;
	uint64_t blocks;
	uint64_t tables;
	uint64_t data;
	uint64_t next;
	char *chunk;
	const struct fs_node *at;
	struct progress *progress;
	uint64_t written;
	uint64_t total;
	struct err *err;
};

/* Blocks that an inode takes: of its bytes, names or link, of the tree of its
 * extents, of its extended attributes. */
uint64_t ext4_blocks_of(const struct fs_inode *inode);

/**
 * ext4_data() - the blocks of a file, folder or long link
 * @to:		gets its size, its extents, and how many blocks these take
 *
 * Return: 0, or -errno with a sentence.
 */
int ext4_data(struct ext4 *ext4, const struct fs_node *node,
	      struct ext4_inode *to) __must_check;

/**
 * ext4_xattrs_block() - extended attributes as a block
 * @block:	EXT4_BLOCK bytes of zeros
 * @which:	gets the name of the one that cannot be kept
 *
 * Return: 0; -E2BIG (too many), -ENOTSUP (of no known kind), -EINVAL (an ACL
 * that is none), -ENOMEM.
 */
int ext4_xattrs_block(const struct buf *xattrs, char *block,
		      const char **which) __must_check;

/* Return: 0, or -errno with a sentence. */
int ext4_put(struct ext4 *ext4, const void *from, size_t len,
	     uint64_t off) __must_check;
