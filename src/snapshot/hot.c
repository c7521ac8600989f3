// SPDX-License-Identifier: Apache-2.0
/*
 * hot.c - the working set beside a snapshot (hot.h)
 */
#include "snapshot/hot.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int snapshot_hot(const struct snapshot_paths *paths, uint64_t moment,
		 struct workset *set, struct err *err)
{
	const char *slash = strrchr(paths->memory, '/');
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;
	int r;

	*set = (struct workset){0};
	if (asprintf(&path, "%.*s" WORKSET_NAME,
		     slash ? (int)(slash + 1 - paths->memory) : 0,
		     paths->memory) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	fd = path_open_nth(snapshot_opener(paths), PATH_MEMORY, path, 2, NULL);
	if (fd < 0)
		return 0;
	r = workset_read(set, fd, path, err);
	if (r == 0 && set->moment != moment)
		workset_fini(set);
	return r;
}
