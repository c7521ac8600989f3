// SPDX-License-Identifier: Apache-2.0
/*
 * tar_sparse.c - the pieces of a file with holes in a tar archive (tar.h)
 *
 * Four ways to say them: in the header and blocks behind it (GNU), in words of
 * the extended header (pax 0.0 and 0.1), before the bytes (pax 1.0).
 */
#include "oci/tar_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SPARSE_IN_HEADER     4
#define SPARSE_IN_BLOCK      21
#define SPARSE_AT            386
#define SPARSE_MORE_AT       482
#define SPARSE_REAL_AT       483
#define SPARSE_BLOCK_MORE_AT 504
#define SPARSE_FIELD         12

int tar_add_run(struct tar *tar, uint64_t off, uint64_t len)
{
	const struct tar_run *last =
		tar->nr_runs ? &tar->runs[tar->nr_runs - 1] : NULL;

	if (off > (uint64_t)INT64_MAX || len > (uint64_t)INT64_MAX - off ||
	    (last && off < last->off + last->len))
		return tar_refuse(
			tar, -EBADMSG,
			"has pieces that overlap or are out of order");
	if (len == 0)
		return 0;
	if (tar->nr_runs == TAR_RUNS_MAX)
		return tar_refuse(tar, -EFBIG,
				  "has more pieces than are read: 65,536");
	if ((tar->nr_runs & (tar->nr_runs - 1)) == 0) {
		size_t room = tar->nr_runs ? 2 * (size_t)tar->nr_runs : 1;
		struct tar_run *more =
			realloc(tar->runs, room * sizeof(*tar->runs));

		if (!more)
			return tar_refuse(tar, -ENOMEM,
					  "needs too much memory");
		tar->runs = more;
	}
	assert(tar->runs);
	tar->runs[tar->nr_runs++] = (struct tar_run){off, len};
	tar->run_bytes += len;
	return 0;
}

int tar_one_run(struct tar *tar, uint64_t size)
{
	tar->nr_runs = 0;
	tar->run_bytes = 0;
	return tar_add_run(tar, 0, size);
}

static int sparse_damaged(struct tar *tar)
{
	return tar_refuse(tar, -EBADMSG, "has a damaged list of its pieces");
}

/* @nr pairs in a header or a block of their own. */
static int sparse_pairs(struct tar *tar, const char *at, unsigned int nr)
{
	int r = 0;

	for (; r == 0 && nr > 0 && at[0];
	     nr--, at += (size_t)2 * SPARSE_FIELD) {
		uint64_t off, len;

		r = tar_field(at, SPARSE_FIELD, &off) &&
				    tar_field(at + SPARSE_FIELD, SPARSE_FIELD,
					      &len)
			    ? tar_add_run(tar, off, len)
			    : sparse_damaged(tar);
	}
	return r;
}

static int sparse_gnu(struct tar *tar, const char *header, uint64_t *real)
{
	char block[TAR_BLOCK_BYTES];
	bool more = header[SPARSE_MORE_AT] != '\0';
	int r = tar_field(header + SPARSE_REAL_AT, SPARSE_FIELD, real)
			? sparse_pairs(tar, header + SPARSE_AT,
				       SPARSE_IN_HEADER)
			: sparse_damaged(tar);

	/* Of the list the size of the entry does not know. */
	while (r == 0 && more) {
		ssize_t n = flow_read(tar->flow, block, sizeof(block));

		if (n < (ssize_t)sizeof(block))
			return n < 0 ? (int)n
				     : tar_refuse(tar, -ENODATA, "is cut off");
		more = block[SPARSE_BLOCK_MORE_AT] != '\0';
		if (more && !block[0])
			return sparse_damaged(tar);
		r = sparse_pairs(tar, block, SPARSE_IN_BLOCK);
	}
	return r;
}

/* The numbers before the bytes: a line each, in whole blocks. */
struct sparse_lines {
	char block[TAR_BLOCK_BYTES + 1];
	size_t at;
};

static int sparse_line(struct tar *tar, struct sparse_lines *lines,
		       uint64_t *out)
{
	unsigned int digits = 0;

	*out = 0;
	for (;;) {
		char c;

		if (lines->at == TAR_BLOCK_BYTES) {
			int r = tar_read(tar, lines->block, TAR_BLOCK_BYTES);

			if (r < 0)
				return r;
			lines->at = 0;
		}
		c = lines->block[lines->at++];
		if (c == '\n' && digits > 0)
			return 0;
		if (c < '0' || c > '9' || ++digits > 18)
			return sparse_damaged(tar);
		*out = *out * 10 + (uint64_t)(c - '0');
	}
}

static int sparse_pax(struct tar *tar)
{
	struct sparse_lines lines = {.at = TAR_BLOCK_BYTES};
	uint64_t nr, off = 0, len = 0;
	int r = sparse_line(tar, &lines, &nr);

	if (r == 0 && nr > TAR_RUNS_MAX)
		r = tar_refuse(tar, -EFBIG,
			       "has more pieces than are read: 65,536");
	for (; r == 0 && nr > 0; nr--) {
		r = sparse_line(tar, &lines, &off);
		if (r == 0)
			r = sparse_line(tar, &lines, &len);
		if (r == 0)
			r = tar_add_run(tar, off, len);
	}
	return r;
}

int tar_sparse(struct tar *tar, const struct tar_header *h, uint64_t size,
	       uint64_t *real)
{
	int r = 0;

	*real = tar->next.has_real ? tar->next.real : size;
	if (h->type == 'S' || tar->next.sparse_major > 0) {
		tar->nr_runs = 0;
		tar->run_bytes = 0;
		r = h->type == 'S' ? sparse_gnu(tar, (const char *)h, real)
				   : sparse_pax(tar);
	}
	if (r < 0)
		return r;
	if (tar->run_bytes != tar->left ||
	    (tar->nr_runs &&
	     tar->runs[tar->nr_runs - 1].off + tar->runs[tar->nr_runs - 1].len >
		     *real))
		return tar_refuse(tar, -EBADMSG,
				  "has pieces that are not its size");
	return 0;
}
