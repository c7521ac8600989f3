/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - the hot run is on its way before a VM asks for it
 *
 * What a pager will put in place first the kernel reads while the VM starts:
 * all of it is asked for at once, in the order in which it lies on the disk.
 */
#pragma once

#include "image/image.h"
#include "image/workset.h"

/**
 * serve_ahead() - ask for the first @max pages of @hot
 *
 * Of a packed file that is the part with its own hot run, whatever @hot says.
 * Nothing depends on it.
 */
void serve_ahead(const struct image *image, const struct workset *hot,
		 uint64_t max);
