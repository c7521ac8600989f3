// SPDX-License-Identifier: Apache-2.0
/*
 * hot.c - the working set beside a snapshot (hot.h)
 */
#include "snapshot/hot.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int hot_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

int snapshot_hot_path(const struct snapshot_paths *paths, char **path)
{
	const char *slash = strrchr(paths->memory, '/');

	if (asprintf(path, "%.*s" WORKSET_NAME,
		     slash ? (int)(slash + 1 - paths->memory) : 0,
		     paths->memory) >= 0)
		return 0;
	*path = NULL;
	return -ENOMEM;
}

int snapshot_hot(const struct snapshot_paths *paths, uint64_t moment,
		 struct workset *set, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;
	int r;

	*set = (struct workset){0};
	if (snapshot_hot_path(paths, &path) < 0)
		return hot_no_memory(err);
	fd = path_open_nth(snapshot_opener(paths), PATH_MEMORY, path, 2, NULL);
	if (fd < 0)
		return 0;
	r = workset_read(set, fd, path, err);
	if (r == 0 && set->moment != moment)
		workset_fini(set);
	return r;
}

int snapshot_hot_of_image(struct workset *set, const struct image *image,
			  struct err *err)
{
	const struct image_layer *layer = &image->layer[0];

	if (set->nr > 0)
		return 0;
	if (!layer->pack)
		return workset_of_diff(set, image) < 0 ? hot_no_memory(err) : 0;
	set->page = calloc(WORKSET_PAGES_MAX, sizeof(*set->page));
	if (!set->page)
		return hot_no_memory(err);
	set->nr = layer->unpack->hot(layer->pack, set->page, WORKSET_PAGES_MAX);
	return 0;
}
