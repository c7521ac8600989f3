// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - a memory image (theory of operation: image.h)
 */
#include "image/image.h"

#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void image_init(struct image *image, uint64_t size)
{
	*image = (struct image){.size = size, .layer = {.fd = -1}};
}

int image_add(struct image *image, int *fd, const char *path, struct err *err)
{
	struct image_layer *layer = &image->layer;
	struct stat st;

	assert(layer->fd < 0);
	layer->fd = fd_steal(fd);
	layer->path = strdup(path);
	if (!layer->path)
		return err_set(err, -ENOMEM, "Out of memory");
	if (fd_stat(layer->fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s", path,
			       err_name(errno));
	layer->size = st.st_size;
	return 0;
}

int image_map(const struct image *image, struct gmem *mem,
	      enum gmem_pages pages, struct err *err)
{
	return gmem_new_from_file(mem, image->size, pages, image->layer.fd, 0,
				  err);
}

const char *image_truncated(const struct image *image)
{
	const struct image_layer *layer = &image->layer;
	struct stat st;

	return layer->fd >= 0 && fd_stat(layer->fd, &st) == 0 &&
			       st.st_size < layer->size
		       ? layer->path
		       : NULL;
}

void image_fini(struct image *image)
{
	fd_close(&image->layer.fd);
	free(image->layer.path);
	image_init(image, 0);
}
