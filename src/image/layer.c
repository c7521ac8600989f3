// SPDX-License-Identifier: Apache-2.0
/*
 * layer.c - one file of an image (layer.h)
 */
#include "image/layer.h"

#include "base/fd.h"
#include "image/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int layer_open_packed(struct image_layer *layer, uint64_t size,
			     struct err *err)
{
	if (!layer->unpack)
		return err_set(err, -ENOTSUP,
			       "%s is compressed, and a VM cannot map it: "
			       "volt restore starts volt-pager, which serves "
			       "it, or make it raw again (volt snapshot "
			       "decompress)",
			       layer->path);
	return layer->unpack->open(layer->fd, layer->path, size, &layer->pack,
				   err);
}

int image_layer_open(struct image_layer *layer, int *fd, const char *path,
		     uint64_t size, const struct image_unpacker *unpack,
		     struct err *err)
{
	struct packed_head head;
	struct stat st;

	*layer = (struct image_layer){
		.fd = fd_steal(fd),
		.path = strdup(path),
		.unpack = unpack,
	};
	if (!layer->path)
		return err_set(err, -ENOMEM, "Out of memory");
	if (fd_stat(layer->fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s", path,
			       err_name(errno));
	layer->mtime[0] = (uint64_t)st.st_mtim.tv_sec;
	layer->mtime[1] = (uint64_t)st.st_mtim.tv_nsec;
	if (st.st_size >= 0 && (uint64_t)st.st_size == size)
		return 0;
	if (packed_is(st.st_size) &&
	    packed_head_read(layer->fd, path, &head, err) != -ENOMSG)
		return layer_open_packed(layer, size, err);
	return err_set(err, -EINVAL, "%s holds %lld bytes of memory, not %llu",
		       path, (long long)st.st_size, (unsigned long long)size);
}

int image_layer_borrow(struct image_layer *layer, int fd, const char *path,
		       uint64_t size, const struct image_unpacker *unpack,
		       struct err *err)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	*layer = (struct image_layer){.fd = -1};
	if (own < 0)
		return err_set(err, -errno, "Cannot read %s: %s", path,
			       err_name(errno));
	return image_layer_open(layer, &own, path, size, unpack, err);
}

int image_layer_map(struct image_layer *layer, uint64_t size, struct err *err)
{
	if (layer->map || layer->pack)
		return 0;
	return memory_map_get(layer->fd, layer->mtime, size, &layer->map) < 0
		       ? err_set(err, -ENOMEM, "Out of memory")
		       : 0;
}

bool image_layer_next(const struct image_layer *layer, uint64_t size,
		      struct memory_extent *e)
{
	bool more;

	if (layer->pack)
		more = e->end < size && layer->unpack->next(layer->pack, e);
	else if (layer->map)
		more = memory_map_next(layer->map, e);
	else
		more = memory_next_extent(layer->fd, size, e);
	if (more && e->end > size)
		e->end = size;
	return more && e->at < size;
}

static int layer_read_failed(const struct image_layer *layer, int r,
			     struct err *err)
{
	return err_set(err, r, "Cannot read %s: %s",
		       layer->path ? layer->path : "the memory file",
		       r == -ENODATA ? "it was cut short" : err_name(r));
}

int image_layer_walked(const struct image_layer *layer,
		       const struct memory_extent *e, struct err *err)
{
	return e->error < 0 ? layer_read_failed(layer, e->error, err) : 0;
}

int image_layer_read(const struct image_layer *layer, uint64_t at, void *to,
		     uint64_t len, struct err *err)
{
	int r;

	if (layer->pack)
		return layer->unpack->read(layer->pack, at, to, len, err);
	r = fd_read_full(layer->fd, to, len, (off_t)at);
	return r < 0 ? layer_read_failed(layer, r, err) : 0;
}

void image_layer_close(struct image_layer *layer)
{
	if (layer->pack)
		layer->unpack->close(layer->pack);
	layer->pack = NULL;
	memory_map_free(layer->map);
	layer->map = NULL;
	fd_close(&layer->fd);
	free(layer->path);
	layer->path = NULL;
}
