// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - an image of a store, opened to be run (image.h)
 */
#include "oci/image.h"

#include <errno.h>
#include <string.h>

#define IMAGE_DIGITS_MIN 12u

/* One that a digest names. */
struct image_search {
	struct image *image;
	const char *hex;
	size_t len;
	unsigned int nr;
	struct digest first;
	struct err *err;
};

static int image_compare(const struct store *store, const char *name, void *arg)
{
	cleanup_record struct record record = {0};
	struct image_search *s = arg;

	/* A damaged record of another image is no reason not to find this. */
	if (store_find(store, name, &record, NULL) < 0 || !record.has_config ||
	    (strncmp(record.config.sha256, s->hex, s->len) != 0 &&
	     strncmp(record.rootfs.sha256, s->hex, s->len) != 0))
		return 0;
	/* Two names of the same image are no two images. */
	if (s->nr > 0 && strcmp(s->first.hex, record.config.sha256) == 0)
		return 0;
	if (s->nr++ > 0)
		return 0;
	memcpy(s->first.hex, record.config.sha256, sizeof(s->first.hex));
	for (unsigned int i = 0; i < s->image->stores.nr; i++)
		if (&s->image->stores.store[i] == store)
			s->image->store = &s->image->stores.store[i];
	s->image->record = record;
	record = (struct record){0};
	return 0;
}

static int image_by_digest(struct image *image, const char *name,
			   struct err *err)
{
	struct image_search s = {.image = image, .hex = name, .err = err};
	int r = 0;

	if (strncmp(name, "sha256:", 7) == 0)
		s.hex += 7;
	s.len = strlen(s.hex);
	if (s.len < IMAGE_DIGITS_MIN || s.len > DIGEST_HEX ||
	    strspn(s.hex, "0123456789abcdef") != s.len)
		return -ENOENT;
	for (unsigned int i = 0; r == 0 && i < image->stores.nr; i++)
		r = store_each(&image->stores.store[i], image_compare, &s, err);
	if (r == 0 && s.nr > 1)
		r = err_set(err, -ENOENT,
			    "Several images begin with %s: give more digits",
			    s.hex);
	return r < 0 || s.nr == 0 ? -ENOENT : 0;
}

int image_find(struct image *image, const char *name, struct err *err)
{
	int r;

	*image = (struct image){0};
	r = stores_open(&image->stores, &store_images, err);
	if (r < 0)
		return r;
	r = stores_find(&image->stores, name, &image->record, &image->store,
			err);
	if (r != -ENOENT)
		return r;
	record_free(&image->record);
	return image_by_digest(image, name, err);
}

int image_open(struct image *image, const char *name, struct progress *progress,
	       struct err *err)
{
	cleanup_buf struct buf text = {0};
	const struct record *record = &image->record;
	int r = image_find(image, name, err);

	if (r == 0)
		r = store_use(image->store, record->name, &record->rootfs,
			      progress, NULL, err);
	if (r == 0)
		r = store_read(image->store, record->name, &record->config,
			       &text, err);
	if (r < 0)
		return r;
	r = oci_config_parse(text.data, text.len, &image->config, err);
	if (r < 0)
		return err_prefix(err, "Image %s ", record->name);
	image->path = store_path(image->store, &record->rootfs);
	return image->path ? 0 : err_set(err, -ENOMEM, "Out of memory");
}

void image_close(struct image *image)
{
	stores_close(&image->stores);
	record_free(&image->record);
	oci_config_free(&image->config);
	free(image->path);
	image->path = NULL;
}
