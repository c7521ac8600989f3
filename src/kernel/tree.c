// SPDX-License-Identifier: Apache-2.0
/*
 * tree.c - folders as a whole (tree.h)
 */
#include "kernel/tree.h"

#include <ftw.h>
#include <stdio.h>

/* Folders that are open at the same time. */
#define NR_OPEN 16

static int tree_remove_one(const char *path, const struct stat *st, int kind,
			   struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void tree_remove(const char *path)
{
	(void)nftw(path, tree_remove_one, NR_OPEN, FTW_DEPTH | FTW_PHYS);
}
