// SPDX-License-Identifier: Apache-2.0
/*
 * ahead.c - the hot run is read meanwhile (ahead.h)
 */
#include "serve/ahead.h"

#include <fcntl.h>

/* One call for each window of the kernel's: workset.h. */
static void ahead_ask(int fd, uint64_t at, uint64_t end)
{
	for (uint64_t to; at < end; at = to) {
		to = end - at < WORKSET_RUN_MAX ? end : at + WORKSET_RUN_MAX;
		(void)posix_fadvise(fd, (off_t)at, (off_t)(to - at),
				    POSIX_FADV_WILLNEED);
	}
}

/* What of [@at, @end) is in raw files. */
static void ahead_run(void *ctx, uint64_t at, uint64_t end)
{
	const struct image *image = ctx;

	if (end > image->size)
		end = image->size;
	while (at < end) {
		const struct image_piece *p = image_piece_of(image, at);
		const struct image_layer *layer = &image->layer[p->layer];
		uint64_t to = p->end < end ? p->end : end;

		if (!layer->pack)
			ahead_ask(layer->fd, at, to);
		at = to;
	}
}

void serve_ahead(const struct image *image, const struct workset *hot,
		 uint64_t max)
{
	const struct image_layer *layer = &image->layer[0];

	if (layer->pack && hot->nr > 0)
		ahead_ask(layer->fd, 0, layer->unpack->hot_end(layer->pack));
	/* Too little memory for that: they come as they are asked for. */
	(void)!workset_each_run(hot, max < SIZE_MAX ? (size_t)max : SIZE_MAX,
				ahead_run, (void *)(uintptr_t)image);
}
