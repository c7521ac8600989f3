// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - a memory image (theory of operation: image.h)
 */
#include "image/image.h"

#include "base/fd.h"
#include "image/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define IMAGE_CHUNK MIB(1)
/* Layers. */
#define IMAGE_ROOM_MIN 16u

void image_init(struct image *image, uint64_t size,
		const struct image_unpacker *unpack)
{
	*image = (struct image){.size = size, .unpack = unpack};
}

static int image_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

/* For one more layer: the room is a power of two. Return: 0 or -ENOMEM. */
static int image_make_room(struct image *image)
{
	unsigned int nr = image->nr_layers;
	struct image_layer *more;

	if (nr != 0 && (nr < IMAGE_ROOM_MIN || (nr & (nr - 1)) != 0))
		return 0;
	more = reallocarray(image->layer, nr ? 2 * nr : IMAGE_ROOM_MIN,
			    sizeof(*more));
	if (!more)
		return -ENOMEM;
	image->layer = more;
	return 0;
}

int image_add(struct image *image, int *fd, const char *path, struct err *err)
{
	struct image_layer *layer;
	int r;

	if (image->nr_layers == IMAGE_LAYERS_MAX) {
		fd_close(fd);
		return err_set(err, -E2BIG,
			       "More than %u snapshots are one on top of the "
			       "other: merge some (volt snapshot squash)",
			       IMAGE_LAYERS_MAX);
	}
	if (image_make_room(image) < 0) {
		fd_close(fd);
		return image_no_memory(err);
	}
	layer = &image->layer[image->nr_layers];
	r = image_layer_open(layer, fd, path, image->size, image->unpack, err);
	if (r < 0)
		image_layer_close(layer);
	else
		image->nr_layers++;
	return r;
}

/* ---- pieces ---- */

/**
 * struct pieces - a list that grows
 * @failed:	memory was short
 */
struct pieces {
	struct image_piece *piece;
	size_t nr;
	size_t room;
	bool failed;
};

static void pieces_push(struct pieces *to, uint64_t at, uint64_t end,
			unsigned int layer)
{
	struct image_piece *last = to->nr ? &to->piece[to->nr - 1] : NULL;

	if (last && last->end == at && last->layer == layer) {
		last->end = end;
		return;
	}
	if (to->nr == to->room) {
		size_t room = to->room ? 2 * to->room : 64;
		struct image_piece *more =
			reallocarray(to->piece, room, sizeof(*more));

		if (!more) {
			to->failed = true;
			return;
		}
		to->piece = more;
		to->room = room;
	}
	to->piece[to->nr++] = (struct image_piece){at, end, layer};
}

/**
 * struct fill - a layer goes below the pieces that there are
 * @over:	those
 * @next:	the first of them that is not in @to yet
 */
struct fill {
	const struct pieces *over;
	size_t next;
	struct pieces to;
};

/* What of [@at, @end) nothing covers is @layer's. */
static void fill_extent(struct fill *f, uint64_t at, uint64_t end,
			unsigned int layer)
{
	const struct pieces *over = f->over;

	while (f->next < over->nr && over->piece[f->next].at < end) {
		const struct image_piece *p = &over->piece[f->next];

		if (at < p->at)
			pieces_push(&f->to, at, p->at, layer);
		if (at < p->end)
			at = p->end;
		if (p->end > end) {
			/* The next extent may begin in it, too. */
			return;
		}
		pieces_push(&f->to, p->at, p->end, p->layer);
		f->next++;
	}
	if (at < end)
		pieces_push(&f->to, at, end, layer);
}

static void fill_rest(struct fill *f)
{
	for (; f->next < f->over->nr; f->next++) {
		const struct image_piece *p = &f->over->piece[f->next];

		pieces_push(&f->to, p->at, p->end, p->layer);
	}
}

static int fill_layer(struct fill *f, const struct image *image,
		      unsigned int layer, bool whole, struct err *err)
{
	struct memory_extent e = {0};
	uint64_t last = 0;
	int r = 0;

	if (whole)
		fill_extent(f, 0, image->size, layer);
	else
		r = image_layer_map(&image->layer[layer], image->size, err);
	if (r < 0)
		return r;
	while (!whole && !f->to.failed &&
	       image_layer_next(&image->layer[layer], image->size, &e)) {
		/* Two extents may share a page. */
		uint64_t at = e.at > last ? e.at : last;

		if (at < e.end)
			fill_extent(f, at, e.end, layer);
		last = e.end;
	}
	fill_rest(f);
	return f->to.failed ? image_no_memory(err)
			    : image_layer_walked(&image->layer[layer], &e, err);
}

int image_finish(struct image *image, bool whole, struct err *err)
{
	struct pieces have = {0}, spare = {0};
	int r = 0;

	for (unsigned int i = 0; i < image->nr_layers && r == 0; i++) {
		struct fill f = {.over = &have, .to = spare};

		r = fill_layer(&f, image, i, whole && i + 1 == image->nr_layers,
			       err);
		spare = have;
		spare.nr = 0;
		have = f.to;
	}
	free(spare.piece);
	image->piece = have.piece;
	image->nr_pieces = have.nr;
	return r;
}

int image_of_file(struct image *image, uint64_t size,
		  const struct image_unpacker *unpack, int *fd,
		  const char *path, bool whole, struct err *err)
{
	int r;

	image_init(image, size, unpack);
	r = image_add(image, fd, path, err);
	return r == 0 ? image_finish(image, whole, err) : r;
}

/* ---- use ---- */

const struct image_piece *image_piece_of(const struct image *image, uint64_t at)
{
	size_t low = 0, high = image->nr_pieces;

	while (low + 1 < high) {
		size_t mid = low + (high - low) / 2;

		if (image->piece[mid].at <= at)
			low = mid;
		else
			high = mid;
	}
	return &image->piece[low];
}

static uint64_t piece_bytes(const struct image_piece *p)
{
	return p->end - p->at;
}

/* Up to which size pieces are read, so that the others can be mapped. */
static uint64_t image_read_limit(const struct image *image)
{
	uint64_t limit = 0;
	size_t mapped = image->nr_pieces;

	while (mapped > IMAGE_MAPPINGS_MAX) {
		limit = limit ? 2 * limit : PAGE_SIZE;
		mapped = 0;
		for (size_t i = 0; i < image->nr_pieces; i++)
			mapped += piece_bytes(&image->piece[i]) > limit;
	}
	return limit;
}

/* Those that are to be mapped, one behind the other: each reaches over what is
 * read. Return: how many. */
static size_t image_choose(const struct image *image, uint64_t limit,
			   struct gmem_piece *to)
{
	size_t nr = 0;

	for (size_t i = 0; i < image->nr_pieces; i++) {
		const struct image_piece *p = &image->piece[i];
		int fd = image->layer[p->layer].fd;

		if (nr == 0 || (piece_bytes(p) > limit && to[nr - 1].fd != fd))
			to[nr++] = (struct gmem_piece){.at = p->at, .fd = fd};
		to[nr - 1].end = p->end;
	}
	return nr;
}

/* [@p->at, @p->end) of all regions, one after the other. */
static int image_read_piece(const struct image *image, struct gmem *mem,
			    const struct image_piece *p, struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < mem->nr_image && r == 0; i++) {
		const struct gmem_region *region = &mem->region[i];
		uint64_t at = p->at > region->at ? p->at : region->at;
		uint64_t end = region->at + region->size;

		end = p->end < end ? p->end : end;
		if (at < end)
			r = image_layer_read(&image->layer[p->layer], at,
					     region->hva + (at - region->at),
					     end - at, err);
	}
	return r;
}

int image_map(const struct image *image, struct gmem *mem,
	      const struct gmem_spec *hot, enum gmem_pages pages,
	      struct err *err)
{
	uint64_t limit = image_read_limit(image);
	cleanup_free struct gmem_piece *map =
		calloc(image->nr_pieces, sizeof(*map));
	int r;

	if (!map)
		return image_no_memory(err);
	r = gmem_init_from_pieces(mem, image->size - (hot ? hot->size : 0), hot,
				  pages, image->layer[image->nr_layers - 1].fd,
				  map, image_choose(image, limit, map), err);
	for (size_t i = 1; i < image->nr_pieces && r == 0; i++)
		if (piece_bytes(&image->piece[i]) <= limit)
			r = image_read_piece(image, mem, &image->piece[i], err);
	return r;
}

/* @len bytes that are unpacked; zeros of a diff are written, as they say
 * something. */
static int image_unpack_extent(const struct image_layer *layer, int to,
			       uint64_t at, uint64_t end, struct err *err)
{
	cleanup_free uint8_t *chunk = malloc(IMAGE_CHUNK);
	int r = 0;

	if (!chunk)
		return image_no_memory(err);
	for (uint64_t n; at < end && r == 0; at += n) {
		n = end - at < IMAGE_CHUNK ? end - at : IMAGE_CHUNK;
		r = image_layer_read(layer, at, chunk, n, err);
		if (r < 0)
			return r;
		r = image_write_at(to, chunk, n, at);
	}
	return r < 0 ? err_set(err, r, "Cannot write what %s holds: %s",
			       layer->path, err_name(r))
		     : 0;
}

/* The holes of the last layer, below all, stay holes. */
static int image_copy_piece(const struct image *image,
			    const struct image_piece *p, int to,
			    struct err *err)
{
	const struct image_layer *layer = &image->layer[p->layer];
	struct memory_extent e = {.end = p->at};
	int r = 0;

	while (r == 0 && image_layer_next(layer, p->end, &e)) {
		uint64_t at = e.at > p->at ? e.at : p->at;

		if (layer->pack) {
			r = image_unpack_extent(layer, to, at, e.end, err);
			continue;
		}
		r = layer->map ? image_copy_mapped(layer->fd, to, at, e.end)
			       : image_copy_extent(layer->fd, to, at, e.end);
		if (r < 0)
			(void)err_set(err, r, "Cannot copy %s: %s", layer->path,
				      err_name(r));
	}
	return r == 0 ? image_layer_walked(layer, &e, err) : r;
}

int image_copy(const struct image *image, int to, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < image->nr_pieces && r == 0; i++)
		r = image_copy_piece(image, &image->piece[i], to, err);
	return r;
}

static int image_sum_piece(const struct image *image,
			   const struct image_piece *p, struct memory_sum *sum,
			   struct err *err)
{
	const struct image_layer *layer = &image->layer[p->layer];
	struct memory_extent e = {.end = p->at};
	int r = 0;

	while (r == 0 && image_layer_next(layer, p->end, &e))
		r = memory_sum_extent(sum, layer, e.at > p->at ? e.at : p->at,
				      e.end, err);
	return r == 0 ? image_layer_walked(layer, &e, err) : r;
}

int image_crc(const struct image *image, uint64_t *crc, struct err *err)
{
	struct memory_sum sum;
	uint64_t all;
	int r = memory_sum_begin(&sum, image->size, false, err);

	for (size_t i = 0; i < image->nr_pieces && r == 0; i++)
		r = image_sum_piece(image, &image->piece[i], &sum, err);
	all = memory_sum_end(&sum);
	if (r == 0)
		*crc = all;
	return r;
}

const char *image_truncated(const struct image *image)
{
	struct stat st;

	for (unsigned int i = 0; i < image->nr_layers; i++)
		if (!image->layer[i].pack &&
		    fd_stat(image->layer[i].fd, &st) == 0 &&
		    st.st_size < (off_t)image->size)
			return image->layer[i].path;
	return NULL;
}

const char *image_path_of(const struct image *image, int fd)
{
	for (unsigned int i = 0; i < image->nr_layers; i++)
		if (image->layer[i].fd == fd)
			return image->layer[i].path;
	return NULL;
}

void image_fini(struct image *image)
{
	for (unsigned int i = 0; i < image->nr_layers; i++)
		image_layer_close(&image->layer[i]);
	free(image->layer);
	free(image->piece);
	image_init(image, 0, NULL);
}
