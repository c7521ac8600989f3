/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_priv.h - what the parts of a build share (build.h)
 */
#pragma once

#include "base/bits.h"

/* Does a Kconfig file of the tree define the option? */
bool build_tree_has(const char *folder, const char *option);
