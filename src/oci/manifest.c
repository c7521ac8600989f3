// SPDX-License-Identifier: Apache-2.0
/*
 * manifest.c - which files of a bundle are an image (manifest.h)
 */
#include "oci/manifest.h"

#include "oci/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST_SHA256 "sha256:"

static json_t *manifest_load(const char *text, size_t len, const char *what,
			     struct err *err)
{
	json_error_t why;
	json_t *root =
		len <= MANIFEST_BYTES_MAX
			? json_loadb(text, len, JSON_REJECT_DUPLICATES, &why)
			: NULL;

	if (!root)
		(void)err_set(err, -EINVAL,
			      "has %s that is no JSON, or more than 4 MiB",
			      what);
	return root;
}

static const char *manifest_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* "sha256:..." becomes a file of blobs/. */
static int manifest_blob(const json_t *descriptor, struct manifest_part *part,
			 struct err *err)
{
	const char *digest = manifest_text(descriptor, "digest");
	size_t n = strlen(MANIFEST_SHA256);

	if (strncmp(digest, MANIFEST_SHA256, n) != 0 ||
	    !digest_is_one(digest + n))
		return err_set(err, -EINVAL,
			       "names a part by something else than its "
			       "SHA-256");
	memcpy(part->digest.hex, digest + n, DIGEST_HEX + 1);
	(void)snprintf(part->name, sizeof(part->name), "blobs/sha256/%s",
		       digest + n);
	return 0;
}

static bool manifest_ends(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

/* Is it for these machines, as far as it says? */
static bool manifest_fits(const json_t *descriptor)
{
	const json_t *platform = json_object_get(descriptor, "platform");
	const char *arch = manifest_text(platform, "architecture");
	const char *os = manifest_text(platform, "os");

	return (!arch[0] || strcmp(arch, "amd64") == 0) &&
	       (!os[0] || strcmp(os, "linux") == 0);
}

static const char *manifest_name(const json_t *descriptor)
{
	const json_t *notes = json_object_get(descriptor, "annotations");
	const char *full = manifest_text(notes, "io.containerd.image.name");

	return full[0] ? full
		       : manifest_text(notes,
				       "org.opencontainers.image.ref.name");
}

static bool manifest_has_name(const json_t *descriptor, const char *ref)
{
	const json_t *notes = json_object_get(descriptor, "annotations");

	return strcmp(manifest_name(descriptor), ref) == 0 ||
	       strcmp(manifest_text(notes, "org.opencontainers.image.ref.name"),
		      ref) == 0;
}

static int manifest_choose(const json_t *list, const char *ref,
			   const json_t **out, struct err *err)
{
	unsigned int nr = 0;
	size_t i;
	json_t *at;

	json_array_foreach(list, i, at)
	{
		if (!manifest_fits(at) || (ref && !manifest_has_name(at, ref)))
			continue;
		*out = at;
		nr++;
	}
	if (nr == 1)
		return 0;
	return err_set(err, -ENOENT,
		       nr ? "has %u images: --ref names one of them%s%s"
			  : "has no image%.0u for linux/amd64%s%s",
		       nr, ref ? " called " : "", ref ? ref : "");
}

int manifest_from_index(const char *text, size_t len, const char *ref,
			struct manifest_part *part, bool *index,
			char *reference, struct err *err)
{
	json_t *root = manifest_load(text, len, "an index", err);
	const json_t *list = json_object_get(root, "manifests");
	const json_t *found = NULL;
	const char *type;
	int r;

	if (!root)
		return -EINVAL;
	r = manifest_choose(list, ref, &found, err);
	if (r == 0)
		r = manifest_blob(found, part, err);
	if (r == 0) {
		type = manifest_text(found, "mediaType");
		*index = manifest_ends(type, ".image.index.v1+json") ||
			 manifest_ends(type, ".manifest.list.v2+json");
		(void)snprintf(reference, MANIFEST_NAME_MAX, "%s",
			       manifest_name(found));
	}
	json_decref(root);
	return r;
}

static int manifest_room(struct manifest *manifest, size_t nr, struct err *err)
{
	if (nr > OCI_LAYERS_MAX)
		return err_set(err, -EINVAL,
			       "has %zu layers: more than %u are not read", nr,
			       OCI_LAYERS_MAX);
	manifest->layers = calloc(nr + 1, sizeof(*manifest->layers));
	manifest->nr_layers = (unsigned int)nr;
	if (manifest->layers)
		return 0;
	(void)err_set(err, -ENOMEM, "Out of memory");
	return -ENOMEM;
}

int manifest_parse(const char *text, size_t len, struct manifest *manifest,
		   struct err *err)
{
	json_t *root = manifest_load(text, len, "a manifest", err);
	const json_t *list = json_object_get(root, "layers");
	int r;

	*manifest = (struct manifest){0};
	if (!root)
		return -EINVAL;
	r = manifest_room(manifest, json_array_size(list), err);
	if (r == 0)
		r = manifest_blob(json_object_get(root, "config"),
				  &manifest->config, err);
	for (size_t i = 0; r == 0 && i < manifest->nr_layers; i++)
		r = manifest_blob(json_array_get(list, i), &manifest->layers[i],
				  err);
	json_decref(root);
	return r;
}

static int manifest_docker_part(const char *name, struct manifest_part *part,
				struct err *err)
{
	if (!name || !name[0] || strlen(name) >= sizeof(part->name))
		return err_set(err, -EINVAL,
			       "has a manifest.json with a name that is none");
	(void)snprintf(part->name, sizeof(part->name), "%s", name);
	return 0;
}

/* "HEX.json" or "blobs/sha256/HEX": the name is the digest. */
static void manifest_docker_digest(struct manifest_part *part)
{
	const char *slash = strrchr(part->name, '/');
	const char *last = slash ? slash + 1 : part->name;
	char hex[DIGEST_HEX + 1];

	(void)snprintf(hex, sizeof(hex), "%.64s", last);
	if (digest_is_one(hex) &&
	    (!last[DIGEST_HEX] || strcmp(last + DIGEST_HEX, ".json") == 0))
		memcpy(part->digest.hex, hex, sizeof(hex));
}

static const json_t *manifest_docker_choose(const json_t *root, const char *ref)
{
	const json_t *found = NULL;
	size_t i, j;
	json_t *at, *tag;

	if (!ref)
		return json_array_size(root) == 1 ? json_array_get(root, 0)
						  : NULL;
	json_array_foreach(root, i, at)
	{
		json_array_foreach(json_object_get(at, "RepoTags"), j, tag)
		{
			const char *text = json_string_value(tag);

			if (text && strcmp(text, ref) == 0)
				found = at;
		}
	}
	return found;
}

static int manifest_docker_read(const json_t *image, struct manifest *manifest,
				struct err *err)
{
	const json_t *list = json_object_get(image, "Layers");
	const char *tag = json_string_value(
		json_array_get(json_object_get(image, "RepoTags"), 0));
	int r = manifest_room(manifest, json_array_size(list), err);

	if (r == 0)
		r = manifest_docker_part(manifest_text(image, "Config"),
					 &manifest->config, err);
	if (r == 0)
		manifest_docker_digest(&manifest->config);
	for (size_t i = 0; r == 0 && i < manifest->nr_layers; i++)
		r = manifest_docker_part(
			json_string_value(json_array_get(list, i)),
			&manifest->layers[i], err);
	(void)snprintf(manifest->reference, sizeof(manifest->reference), "%s",
		       tag ? tag : "");
	return r;
}

int manifest_parse_docker(const char *text, size_t len, const char *ref,
			  struct manifest *manifest, struct err *err)
{
	json_t *root = manifest_load(text, len, "a manifest.json", err);
	const json_t *image = manifest_docker_choose(root, ref);
	int r;

	*manifest = (struct manifest){0};
	if (!root)
		return -EINVAL;
	r = image ? manifest_docker_read(image, manifest, err)
		  : err_set(err, -ENOENT,
			    ref ? "has no image called %s"
				: "has several images, or none: --ref names "
				  "one%s",
			    ref ? ref : "");
	json_decref(root);
	return r;
}

void manifest_free(struct manifest *manifest)
{
	free(manifest->layers);
	*manifest = (struct manifest){0};
}
