/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - folders as a whole
 */
#pragma once

#include "base/bits.h"

/* "FOLDER/NAME"; to be freed; NULL when memory is short. */
char *tree_path(const char *folder, const char *name);

/* Is there such a file? */
bool tree_has(const char *folder, const char *name);

/* Remove a folder and all that is in it, as far as that can be done. A link is
 * removed, not followed. Only for folders that nobody else may write into. */
void tree_remove(const char *path);

#define TREE_PART ".part"

/* The same, but first under the name @path.part: whoever is killed at it does
 * not leave half of it under its own. */
void tree_retire(const char *path);
