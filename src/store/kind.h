/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind.h - what a store holds: kernels or images
 *
 * The rules of a store are the same for both (store.h). Here is what differs.
 */
#pragma once

#include "base/bits.h"

/**
 * struct store_kind - one of the two
 * @noun, @title: one of its things, for sentences and for the command
 * @folder:	of the store, below volt's own
 * @env:	the variable that names a folder instead
 * @references:	names may be such as debian:12 or ghcr.io/owner/name:tag
 * @has_default: one of them is the default
 * @images:	records have a root file system, not a kernel
 */
struct store_kind {
	const char *noun;
	const char *title;
	const char *folder;
	const char *env;
	bool references;
	bool has_default;
	bool images;
};

extern const struct store_kind store_kernels;
extern const struct store_kind store_images;
