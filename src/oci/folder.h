/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.h - a folder of the host becomes a tree
 *
 * As its user can read it: owners, modes, times, links, devices and extended
 * attributes are what they are there. Links are not followed, other file
 * systems mounted in it are empty folders, sockets are left out. What cannot be
 * read is an error, not left out.
 */
#pragma once

#include "oci/fstree.h"

#include "store/progress.h"

/**
 * folder_read() - all below the open folder @fd
 *
 * Return: 0; -EACCES, -EFBIG, -errno, with a sentence that names the file.
 */
int folder_read(struct fstree *tree, int fd, struct progress *progress,
		struct err *err) __must_check;
