/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - an image of a store, opened to be run
 *
 * The store (store/store.h, of the kind store_images) has two files of an
 * image: its root file system, an ext4 that is never written (ext4.h), and its
 * configuration, the OCI document as it came. A writable layer is the runner's.
 */
#pragma once

#include "oci/config.h"

#include "store/store.h"

#define IMAGE_FS_TYPE "ext4"

/**
 * struct image - one of them
 * @path:	of its root file system, whole and as it was added
 */
struct image {
	struct stores stores;
	struct store *store;
	struct record record;
	char *path;
	struct oci_config config;
};

/**
 * image_find() - the image of this name or digest, not yet looked at
 * @name:	its name, or 12 to 64 hex digits of the SHA-256 of its
 *		configuration (what docker calls the image's ID) or of its root
 *		file system, with or without "sha256:"
 *
 * Return: 0; -ENOENT, -EINVAL (a damaged record), -EPERM (the store is not to
 * be believed), -errno, with a sentence. image_close() in any case.
 */
int image_find(struct image *image, const char *name,
	       struct err *err) __must_check;

/**
 * image_open() - the same, verified, with its path and configuration
 *
 * Return: as image_find(); -EBADMSG (it was changed), with a sentence.
 * image_close() in any case.
 */
int image_open(struct image *image, const char *name, struct progress *progress,
	       struct err *err) __must_check;

void image_close(struct image *image);
