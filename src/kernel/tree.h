/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - folders as a whole
 */
#pragma once

/* Remove a folder and all that is in it, as far as that can be done. A link is
 * removed, not followed. Only for folders that nobody else may write into. */
void tree_remove(const char *path);
