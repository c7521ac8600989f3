// SPDX-License-Identifier: Apache-2.0
/*
 * tree.c - folders as a whole (tree.h)
 */
#include "store/tree.h"

#include "base/fd.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

/* Folders that are open at the same time. */
#define NR_OPEN 16

char *tree_path(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

bool tree_has(const char *folder, const char *name)
{
	cleanup_free char *path = tree_path(folder, name);

	return path && access(path, F_OK) == 0;
}

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

void tree_retire(const char *path)
{
	cleanup_free char *part = NULL;

	if (asprintf(&part, "%s" TREE_PART, path) < 0) {
		part = NULL;
		return;
	}
	/* What an earlier one left. */
	tree_remove(part);
	if (rename(path, part) == 0)
		tree_remove(part);
}
