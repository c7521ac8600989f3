/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.h - which files of an OCI layout or of `docker save` are an image
 *
 * Reference: OCI Image Format Specification 1.1, image-index.md, manifest.md,
 * image-layout.md; moby, image/spec/spec.md, "Combined Image JSON".
 */
#pragma once

#include "store/digest.h"

#define MANIFEST_BYTES_MAX MIB(4)
#define MANIFEST_NAME_MAX  512u

/**
 * struct manifest_part - a file of the bundle
 * @name:	in it: blobs/sha256/DIGEST, or what `docker save` calls it
 * @digest:	what it must hash to; "": it is not said
 */
struct manifest_part {
	char name[MANIFEST_NAME_MAX];
	struct digest digest;
};

/**
 * struct manifest - an image
 * @reference:	its name, where one is said; ""
 * @layers:	owned; the lowest first
 */
struct manifest {
	char reference[MANIFEST_NAME_MAX];
	struct manifest_part config;
	struct manifest_part *layers;
	unsigned int nr_layers;
};

/**
 * manifest_from_index() - the manifest, or a further index, that it names
 * @ref:	the one of this name; NULL: the only one for linux/amd64
 * @index:	it names another index
 * @reference:	MANIFEST_NAME_MAX bytes; its name, if it says one
 *
 * Return: 0; -EINVAL, -ENOENT with a sentence.
 */
int manifest_from_index(const char *text, size_t len, const char *ref,
			struct manifest_part *part, bool *index,
			char *reference, struct err *err) __must_check;

/* An OCI manifest. Return: 0; -EINVAL, -ENOMEM, with a sentence.
 * manifest_free() in any case. */
int manifest_parse(const char *text, size_t len, struct manifest *manifest,
		   struct err *err) __must_check;

/* manifest.json of `docker save`. Return: as manifest_parse(); -ENOENT, with a
 * sentence. */
int manifest_parse_docker(const char *text, size_t len, const char *ref,
			  struct manifest *manifest,
			  struct err *err) __must_check;

void manifest_free(struct manifest *manifest);
