// SPDX-License-Identifier: Apache-2.0
/*
 * write.c - guest memory into an image (theory of operation: write.h)
 */
#include "image/write.h"

#include "base/fd.h"
#include "image/copy.h"
#include "mem/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/**
 * struct writer - memory on its way
 * @pagemap:	tells what was written, or -1
 * @region:	of it
 * @file:	the first of the memory's files that is not passed yet
 * @base:	pages that it has just so are left out; NULL: all are written
 * @room:	what it holds in [@room_at, @room_end)
 * @known:	that was read; else nothing there is compared
 * @runs:	that were passed over
 */
struct writer {
	const struct gmem *mem;
	int pagemap;
	int fd;
	enum memory_kind kind;
	struct memory_stats *stats;
	const struct gmem_region *region;
	unsigned int file;
	const struct image *base;
	uint8_t *room;
	uint64_t room_at;
	uint64_t room_end;
	bool known;
	unsigned int runs;
};

/* Of the base, at once. */
#define WRITE_ROOM KIB(64)
/* A share of the pages that makes it pay to compare them: one in so many. */
#define WRITE_SHARE 8u
/* Where it does not, a run in so many is compared. */
#define WRITE_LOOK 16u

/* [@from, @to) of the region is written to the file. */
static void note_fresh(struct writer *w, uint64_t from, uint64_t to)
{
	const struct gmem *mem = w->mem;
	struct memory_picks *fresh = &w->stats->fresh;
	uint64_t first = w->region->at / PAGE_SIZE;

	if (w->kind != MEMORY_FULL || !mem->tracked) {
		memory_picks_add(fresh, first + from / PAGE_SIZE,
				 (to - from) / PAGE_SIZE);
		return;
	}
	for (uint64_t at = from; at < to; at += PAGE_SIZE)
		if (gmem_is_dirty(mem, w->region->gpa + at))
			memory_picks_add(fresh, first + at / PAGE_SIZE, 1);
}

/* ---- what the base has just so ---- */

static bool compare_pays(struct writer *w)
{
	const struct memory_stats *s = w->stats;

	return s->compared < WRITE_TRY ||
	       s->same * WRITE_SHARE >= s->compared ||
	       ++w->runs % WRITE_LOOK == 0;
}

/* The base's bytes from @at on, of one file, as far as they are in memory. */
static void compare_read(struct writer *w, uint64_t at, uint64_t end)
{
	const struct image_piece *p = image_piece_of(w->base, at);
	struct iovec room = {.iov_base = w->room};
	ssize_t n = 0;

	end = end < p->end ? end : p->end;
	end = end < at + WRITE_ROOM ? end : at + WRITE_ROOM;
	room.iov_len = end - at;
	if (compare_pays(w))
		n = fd_preadv_now(w->base->layer[p->layer].fd, &room, 1,
				  (off_t)at);
	w->known = n >= (ssize_t)PAGE_SIZE;
	w->room_at = at;
	w->room_end = w->known ? at + align_down((uint64_t)n, PAGE_SIZE) : end;
}

/* The page at @at of the region; those up to @to are asked for next. */
static bool is_as_base(struct writer *w, uint64_t at, uint64_t to)
{
	uint64_t in_image = w->region->at + at;
	bool same;

	if (!w->base)
		return false;
	if (in_image < w->room_at || in_image >= w->room_end)
		compare_read(w, in_image, w->region->at + to);
	if (!w->known)
		return false;
	same = memcmp(w->room + (in_image - w->room_at), w->region->hva + at,
		      PAGE_SIZE) == 0;
	w->stats->compared++;
	w->stats->same += same;
	return same;
}

static bool is_left_out(struct writer *w, uint64_t at, uint64_t to)
{
	if (w->kind == MEMORY_FULL)
		return image_page_is_zero(w->region->hva + at);
	return is_as_base(w, at, to);
}

/* [@from, @to) of the region, through the mapping. */
static int memory_write_pages(struct writer *w, uint64_t from, uint64_t to)
{
	const uint8_t *hva = w->region->hva;
	uint64_t start = from;

	for (uint64_t at = from; at <= to; at += PAGE_SIZE) {
		bool skip = at == to || is_left_out(w, at, to);
		int r;

		if (!skip)
			continue;
		r = image_write_at(w->fd, hva + start, at - start,
				   w->region->at + start);
		if (r < 0)
			return r;
		w->stats->written += at - start;
		note_fresh(w, start, at);
		start = at + PAGE_SIZE;
	}
	return 0;
}

/* A file's pages that nobody has written, [@from, @to) of the region. */
static int copy_data(struct writer *w, const struct gmem_file *f, uint64_t from,
		     uint64_t to)
{
	uint64_t in_file = (uint64_t)f->off + w->region->gpa + from - f->gpa;
	int64_t n = image_copy_range(f->fd, in_file, w->fd,
				     w->region->at + from, to - from);

	if (n < 0)
		return (int)n;
	w->stats->copied += (uint64_t)n;
	/* What is left begins in the midst of a page, or at one. */
	return memory_write_pages(w, align_down(from + (uint64_t)n, PAGE_SIZE),
				  to);
}

/* The same, but for the holes of the file. */
static int copy_clean(struct writer *w, const struct gmem_file *f,
		      uint64_t from, uint64_t to)
{
	uint64_t base = (uint64_t)f->off + w->region->gpa - f->gpa;
	int r = 0;

	if (f->fd < 0)
		return memory_write_pages(w, from, to);
	while (from < to && r == 0) {
		off_t data = lseek(f->fd, (off_t)(base + from), SEEK_DATA);
		off_t hole;
		uint64_t end = to;

		if (data < 0 && errno == ENXIO)
			return 0; /* holes up to the end */
		if (data < 0)
			return copy_data(w, f, from, to);
		hole = lseek(f->fd, data, SEEK_HOLE);
		from = align_down((uint64_t)data, PAGE_SIZE) - base;
		if (hole >= 0 && (uint64_t)hole - base < to &&
		    !align_up_checked((uint64_t)hole - base, PAGE_SIZE, &end))
			return -EOVERFLOW;
		if (from < to)
			r = copy_data(w, f, from, end < to ? end : to);
		from = end;
	}
	return r;
}

/* [@from, @to) of the region, which nobody has written nor given back. */
static int write_untouched(struct writer *w, uint64_t from, uint64_t to)
{
	const struct gmem *mem = w->mem;
	gpa_t start = w->region->gpa + from, end = w->region->gpa + to;
	int r = 0;

	if (w->kind == MEMORY_DIFF && mem->origin != GMEM_FRESH)
		return 0;
	if (mem->origin == GMEM_SERVED)
		return memory_write_pages(w, from, to);
	/* There may be thousands, and as many gaps: both ascend. */
	while (mem->origin == GMEM_FILE && w->file < mem->nr_files &&
	       mem->file[w->file].gpa + mem->file[w->file].len <= start)
		w->file++;
	for (unsigned int i = w->file; i < mem->nr_files && r == 0; i++) {
		const struct gmem_file *f = &mem->file[i];
		gpa_t a = f->gpa > start ? f->gpa : start;
		gpa_t b = f->gpa + f->len < end ? f->gpa + f->len : end;

		if (mem->origin == GMEM_FILE && f->gpa >= end)
			break;
		if (a < b)
			r = copy_clean(w, f, a - w->region->gpa,
				       b - w->region->gpa);
	}
	return r;
}

/*
 * [@from, @to) of the region, which holds nothing of its own. Pages that were
 * given back (gmem_discard()) are zero, whatever their file or an earlier
 * snapshot says.
 */
static int write_gap(struct writer *w, uint64_t from, uint64_t to)
{
	gpa_t gpa = w->region->gpa;
	int r = 0;

	if (!w->region->given_back)
		return write_untouched(w, from, to);
	while (from < to && r == 0) {
		bool zero = gmem_was_discarded(w->mem, gpa + from);
		uint64_t end = from + PAGE_SIZE;

		while (end < to &&
		       gmem_was_discarded(w->mem, gpa + end) == zero)
			end += PAGE_SIZE;
		r = zero ? memory_write_pages(w, from, end)
			 : write_untouched(w, from, end);
		from = end;
	}
	return r;
}

/* [@from, @to) of the region, which is plugged. */
static int write_dirty(struct writer *w, uint64_t from, uint64_t to)
{
	gpa_t gpa = w->region->gpa;
	int r = 0;

	for (uint64_t at = from, end; at < to && r == 0; at = end) {
		bool dirty = gmem_is_dirty(w->mem, gpa + at);

		end = at + PAGE_SIZE;
		while (end < to && gmem_is_dirty(w->mem, gpa + end) == dirty)
			end += PAGE_SIZE;
		if (dirty)
			r = memory_write_pages(w, at, end);
	}
	return r;
}

/* The same. */
static int write_touched(struct writer *w, uint64_t from, uint64_t to)
{
	const uint8_t *hva = w->region->hva;
	struct pages_walk walk;
	struct pages_run run;
	uint64_t at = from;
	int r;

	pages_walk_begin(&walk, w->pagemap, hva + from, to - from);
	while ((r = pages_walk_next(&walk, &run)) > 0) {
		uint64_t start = run.start - (uintptr_t)hva;
		uint64_t end = run.end - (uintptr_t)hva;

		r = write_gap(w, at, start);
		if (r == 0)
			r = memory_write_pages(w, start, end);
		if (r < 0)
			break;
		at = end;
	}
	return r < 0 ? r : write_gap(w, at, to);
}

static int write_region(struct writer *w)
{
	uint64_t at = 0, end = 0;
	int r = 0;

	while (r == 0 && gmem_next_plugged(w->region, &at, &end))
		r = w->kind == MEMORY_DIRTY ? write_dirty(w, at, end)
					    : write_touched(w, at, end);
	return r;
}

/*
 * As ftruncate(), which a locked process may not call: the last byte is written
 * and its page made a hole again, where the file system can. What a diff goes
 * on top of is there already, in full size.
 */
static int set_size(int fd, uint64_t size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n;

	if (end < 0)
		return -errno;
	if ((uint64_t)end >= size)
		return 0;
	do
		n = fd_pwrite(fd, "", 1, (off_t)size - 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return n < 0 ? -errno : -EIO;
	(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(size - PAGE_SIZE), (off_t)PAGE_SIZE);
	return 0;
}

/* Into an empty file alone. Return: 0 or -ENOMEM. */
static int compare_begin(struct writer *w, const struct image *base)
{
	if (!base || w->kind == MEMORY_FULL || lseek(w->fd, 0, SEEK_END) != 0)
		return 0;
	w->room = malloc(WRITE_ROOM);
	w->base = base;
	return w->room ? 0 : -ENOMEM;
}

int memory_write(const struct gmem *mem, int pagemap, int fd,
		 enum memory_kind kind, const struct image *base,
		 struct memory_stats *stats, struct err *err)
{
	struct writer w = {
		.mem = mem,
		.pagemap = pagemap,
		.fd = fd,
		.kind = kind,
		.stats = stats,
	};
	int r = compare_begin(&w, base);

	*stats = (struct memory_stats){0};
	if (r == 0)
		r = set_size(fd, mem->size);
	for (unsigned int i = 0; i < mem->nr_image && r == 0; i++) {
		w.region = &mem->region[i];
		r = write_region(&w);
	}
	free(w.room);
	if (r < 0)
		return err_set(
			err, r, "Cannot write %llu MiB of guest memory: %s",
			(unsigned long long)(mem->size >> 20), err_name(r));
	return 0;
}
