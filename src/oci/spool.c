// SPDX-License-Identifier: Apache-2.0
/*
 * spool.c - the bytes of a tree's files, in one file (spool.h)
 */
#include "oci/spool.h"

#include "base/fd.h"

#include <errno.h>

#define SPOOL_CHUNK KIB(256)

bool spool_fits(const struct fstree *tree, uint64_t size)
{
	return tree->bytes <= tree->max && size <= tree->max - tree->bytes;
}

static int spool_run(struct fs_inode *inode, struct fs_run run)
{
	unsigned int nr = inode->nr_runs;

	if ((nr & (nr - 1)) == 0) {
		struct fs_run *more = realloc(
			inode->runs, (nr ? 2 * (size_t)nr : 1) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		inode->runs = more;
	}
	inode->runs[inode->nr_runs++] = run;
	return 0;
}

int spool_add(struct fstree *tree, struct fs_inode *inode, uint64_t off,
	      uint64_t len, int (*read)(void *arg, void *to, size_t len),
	      void *arg, struct err *err)
{
	size_t room = len < SPOOL_CHUNK ? (size_t)len : SPOOL_CHUNK;
	cleanup_free char *chunk = malloc(room + 1);
	uint64_t left = len;
	int r = chunk ? spool_run(inode,
				  (struct fs_run){off, len, tree->spooled})
		      : -ENOMEM;

	if (r < 0)
		return err_set(err, r, "Out of memory");
	if (inode->size < off + len)
		inode->size = off + len;
	while (left > 0) {
		size_t n = left < room ? (size_t)left : room;

		r = read(arg, chunk, n);
		if (r < 0)
			return r;
		r = fd_write_full(tree->spool, chunk, n);
		if (r < 0)
			return err_set(err, r,
				       "cannot be written to the store: %s",
				       err_name(r));
		tree->spooled += n;
		left -= n;
	}
	return 0;
}
