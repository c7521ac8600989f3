/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - the bytes of a tree's files, behind each other in one file
 */
#pragma once

#include "oci/fstree.h"

/* Would the tree with a file of @size more be larger than it may? */
bool spool_fits(const struct fstree *tree, uint64_t size);

/**
 * spool_add() - take in @len bytes of a file from @off on
 * @inode:	gets one more piece; its size is at least where that ends
 * @read:	gives the next bytes; its errors are passed on
 *
 * Return: 0; what @read returned; -errno with a sentence.
 */
int spool_add(struct fstree *tree, struct fs_inode *inode, uint64_t off,
	      uint64_t len, int (*read)(void *arg, void *to, size_t len),
	      void *arg, struct err *err) __must_check;
