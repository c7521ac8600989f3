// SPDX-License-Identifier: Apache-2.0
/*
 * workset.c - a working set (workset.h)
 */
#include "image/workset.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKSET_MAGIC  "voltwset"
#define WORKSET_HEAD   32u
#define WORKSET_CRC_AT 24u
#define WORKSET_FIRST  256u
/* So many pages between two that are wanted are read with them: that is
 * cheaper than another request. */
#define WORKSET_GAP 8u

int workset_add(struct workset *set, uint32_t page)
{
	/* The room is a power of two: full when the count is one. */
	bool full = set->nr == 0 || (set->nr >= WORKSET_FIRST &&
				     (set->nr & (set->nr - 1)) == 0);

	if (set->nr == WORKSET_PAGES_MAX)
		return -E2BIG;
	if (full) {
		size_t room = set->nr ? 2 * set->nr : WORKSET_FIRST;
		uint32_t *more =
			reallocarray(set->page, room, sizeof(*set->page));

		if (!more)
			return -ENOMEM;
		set->page = more;
	}
	set->page[set->nr++] = page;
	return 0;
}

static uint64_t workset_crc(const uint8_t *bytes, size_t len)
{
	return crc64(crc64(0, bytes, WORKSET_CRC_AT), bytes + WORKSET_HEAD,
		     len - WORKSET_HEAD);
}

static int workset_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

static int workset_decode(struct workset *set, const uint8_t *bytes, size_t len)
{
	size_t nr;

	if (len < WORKSET_HEAD || memcmp(bytes, WORKSET_MAGIC, 8) != 0)
		return -EBADMSG;
	nr = load_le32(bytes + 16);
	if (load_le32(bytes + 20) != 0 || len - WORKSET_HEAD != 4 * nr ||
	    load_le64(bytes + WORKSET_CRC_AT) != workset_crc(bytes, len))
		return -EBADMSG;
	set->page = malloc(len);
	if (!set->page)
		return -ENOMEM;
	memcpy(set->page, bytes + WORKSET_HEAD, 4 * nr);
	set->moment = load_le64(bytes + 8);
	set->nr = nr;
	return 0;
}

int workset_read(struct workset *set, int fd, const char *path, struct err *err)
{
	cleanup_free uint8_t *bytes = NULL;
	struct stat st;
	int r = -EBADMSG;

	*set = (struct workset){0};
	if (fd_stat(fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s", path,
			       err_name(errno));
	if (S_ISREG(st.st_mode) && st.st_size == 0)
		return 0; /* one that is being recorded */
	if (S_ISREG(st.st_mode) && st.st_size >= (off_t)WORKSET_HEAD &&
	    (uint64_t)st.st_size <= WORKSET_HEAD + 4ull * WORKSET_PAGES_MAX) {
		size_t len = (size_t)st.st_size;

		bytes = malloc(len);
		if (!bytes)
			return workset_no_memory(err);
		r = fd_read_full(fd, bytes, len, 0);
		if (r < 0)
			return err_set(err, r, "Cannot read %s: %s", path,
				       err_name(r));
		r = workset_decode(set, bytes, len);
	}
	if (r == -ENOMEM)
		return workset_no_memory(err);
	return r < 0 ? err_set(err, r, "%s is no working set, or damaged", path)
		     : 0;
}

int workset_write(const struct workset *set, int fd, const char *path,
		  struct err *err)
{
	size_t len = WORKSET_HEAD + 4 * set->nr;
	cleanup_free uint8_t *bytes = calloc(1, len);
	int r;

	if (!bytes)
		return workset_no_memory(err);
	memcpy(bytes, WORKSET_MAGIC, 8);
	store_le64(bytes + 8, set->moment);
	store_le32(bytes + 16, (uint32_t)set->nr);
	if (set->nr > 0)
		memcpy(bytes + WORKSET_HEAD, set->page, 4 * set->nr);
	store_le64(bytes + WORKSET_CRC_AT, workset_crc(bytes, len));
	r = image_write_at(fd, bytes, len, 0);
	if (r == 0 && ftruncate(fd, (off_t)len) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "Cannot write %s: %s", path, err_name(r))
		     : 0;
}

int workset_of_diff(struct workset *set, const struct image *image)
{
	int r = 0;

	if (image->nr_layers < 2)
		return 0;
	for (size_t i = 0; i < image->nr_pieces && r == 0; i++) {
		const struct image_piece *p = &image->piece[i];

		if (p->layer != 0)
			continue;
		for (uint64_t at = p->at;
		     at < p->end && r == 0 && set->nr < WORKSET_OF_DIFF_MAX;
		     at += PAGE_SIZE)
			r = workset_add(set, (uint32_t)(at / PAGE_SIZE));
	}
	return r;
}

static int workset_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int workset_each_run(const struct workset *set, size_t max, workset_run_fn *run,
		     void *ctx)
{
	size_t nr = set->nr < max ? set->nr : max;
	cleanup_free uint32_t *page = NULL;

	if (nr == 0)
		return 0;
	page = malloc(nr * sizeof(*page));
	if (!page)
		return -ENOMEM;
	memcpy(page, set->page, nr * sizeof(*page));
	qsort(page, nr, sizeof(*page), workset_compare);
	for (size_t i = 0, k; i < nr; i = k) {
		k = i + 1;
		while (k < nr && page[k] - page[k - 1] <= WORKSET_GAP &&
		       page[k] - page[i] < WORKSET_RUN_MAX / PAGE_SIZE)
			k++;
		run(ctx, (uint64_t)page[i] * PAGE_SIZE,
		    ((uint64_t)page[k - 1] + 1) * PAGE_SIZE);
	}
	return 0;
}

void workset_fini(struct workset *set)
{
	free(set->page);
	*set = (struct workset){0};
}
