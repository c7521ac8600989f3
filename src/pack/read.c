// SPDX-License-Identifier: Apache-2.0
/*
 * read.c - a packed memory file is read (format: pack.h)
 */
#include "pack/pack.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "base/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* The checksum that a zstd frame ends with. */
#define PACK_CHECK_BYTES 4u
#define PACK_NO_FRAME    UINT32_MAX

/**
 * struct pack_frame - where a frame is
 * @check:	its last bytes, as the index has them
 */
struct pack_frame {
	uint64_t at;
	uint32_t bytes;
	uint32_t check;
};

/**
 * struct pack - an open file
 * @fd, @path:	borrowed
 * @packed, @pages:	room for a frame as it is, and for what is in it
 * @has:	the frame that @pages holds, or PACK_NO_FRAME
 */
struct pack {
	int fd;
	const char *path;
	struct packed_head head;
	struct pack_frame *frame;
	struct pack_run *run;
	ZSTD_DCtx *zstd;
	uint8_t *packed;
	uint8_t *pages;
	uint32_t has;
};

static size_t pack_frame_room(const struct pack *p)
{
	return (size_t)p->head.frame_pages * PAGE_SIZE;
}

/* ---- open ---- */

static int pack_damaged(const struct pack *p, struct err *err, const char *what)
{
	return err_set(err, -EBADMSG,
		       "%s is a compressed memory file, and damaged: %s",
		       p->path, what);
}

static int pack_take_frames(struct pack *p, const uint8_t *from,
			    struct err *err)
{
	const size_t most = ZSTD_compressBound(pack_frame_room(p));
	uint32_t nr = packed_frames(&p->head);
	uint64_t at = PACKED_HEAD_BYTES;

	for (uint32_t i = 0; i < nr; i++, from += PACKED_FRAME_BYTES) {
		struct pack_frame *f = &p->frame[i];

		*f = (struct pack_frame){
			.at = at,
			.bytes = load_le32(from),
			.check = load_le32(from + 4),
		};
		if (f->bytes <= PACK_CHECK_BYTES || f->bytes > most)
			return pack_damaged(p, err,
					    "its index has a frame of a size "
					    "that there is not");
		at += f->bytes;
	}
	return at == p->head.index_at
		       ? 0
		       : pack_damaged(p, err,
				      "its frames do not fill the room "
				      "between its head and its index");
}

static const char *pack_run_wrong(const struct pack *p,
				  const struct pack_run *run, uint64_t last)
{
	const struct packed_head *head = &p->head;

	if (run->nr == 0 || run->page < last ||
	    !range_fits(run->page, run->nr, head->size / PAGE_SIZE))
		return "its index has runs that overlap, or lie outside the "
		       "memory";
	if (run->stored == PACK_ZERO)
		return head->label.base != 0
			       ? NULL
			       : "its index has zeros, and it is no diff";
	if (!range_fits(run->stored, run->nr, head->nr_pages))
		return "its index has a run of pages that are not in it";
	return NULL;
}

static int pack_take_runs(struct pack *p, const uint8_t *from, struct err *err)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < p->head.nr_runs; i++) {
		struct pack_run *run = &p->run[i];
		const char *wrong;

		*run = (struct pack_run){
			.page = load_le32(from),
			.nr = load_le32(from + 4),
			.stored = load_le32(from + 8),
		};
		wrong = pack_run_wrong(p, run, last);
		if (wrong)
			return pack_damaged(p, err, wrong);
		last = (uint64_t)run->page + run->nr;
		from += PACKED_RUN_BYTES;
	}
	return 0;
}

static int pack_take_index(struct pack *p, const uint8_t *index, size_t len,
			   struct err *err)
{
	uint32_t frames = packed_frames(&p->head);
	int r;

	if (crc64(0, index, len) != p->head.index_crc)
		return pack_damaged(p, err, "the CRC of its index is wrong");
	p->frame = calloc((size_t)frames + 1, sizeof(*p->frame));
	p->run = calloc((size_t)p->head.nr_runs + 1, sizeof(*p->run));
	if (!p->frame || !p->run)
		return err_set(err, -ENOMEM, "Out of memory");
	r = pack_take_frames(p, index, err);
	if (r < 0)
		return r;
	return pack_take_runs(p, index + (size_t)frames * PACKED_FRAME_BYTES,
			      err);
}

static int pack_read_index(struct pack *p, struct err *err)
{
	size_t len = (size_t)packed_index_bytes(&p->head);
	uint8_t *index = pages_new(len + 1, 0);
	int r;

	if (!index)
		return err_set(err, -ENOMEM, "Out of memory");
	r = fd_read_full(p->fd, index, len, (off_t)p->head.index_at);
	r = r < 0 ? err_set(err, r, "Cannot read %s: %s", p->path, err_name(r))
		  : pack_take_index(p, index, len, err);
	pages_free(index, len + 1);
	return r;
}

static int pack_make_room(struct pack *p, struct err *err)
{
	p->zstd = ZSTD_createDCtx();
	p->packed = malloc(ZSTD_compressBound(pack_frame_room(p)));
	p->pages = malloc(pack_frame_room(p));
	return p->zstd && p->packed && p->pages
		       ? 0
		       : err_set(err, -ENOMEM, "Out of memory");
}

static void pack_close(struct pack *p)
{
	if (!p)
		return;
	(void)ZSTD_freeDCtx(p->zstd);
	free(p->packed);
	free(p->pages);
	free(p->frame);
	free(p->run);
	free(p);
}

static int pack_open(int fd, const char *path, uint64_t size,
		     struct pack **pack, struct err *err)
{
	struct pack *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(err, -ENOMEM, "Out of memory");
	p->fd = fd;
	p->path = path;
	p->has = PACK_NO_FRAME;
	r = packed_head_read(fd, path, &p->head, err);
	if (r == 0 && p->head.size != size)
		r = err_set(err, -EINVAL,
			    "%s holds %llu bytes of memory, not %llu", path,
			    (unsigned long long)p->head.size,
			    (unsigned long long)size);
	if (r == 0)
		r = pack_read_index(p, err);
	if (r == 0)
		r = pack_make_room(p, err);
	if (r < 0)
		pack_close(p);
	else
		*pack = p;
	return r;
}

/* ---- runs ---- */

/* The first one that ends behind @page. */
static size_t pack_find_run(const struct pack *p, uint32_t page)
{
	size_t low = 0, high = p->head.nr_runs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct pack_run *run = &p->run[mid];

		if ((uint64_t)run->page + run->nr <= page)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct pack_run *pack_run_of(const struct pack *p, uint32_t page)
{
	size_t i = pack_find_run(p, page);

	return i < p->head.nr_runs && p->run[i].page <= page ? &p->run[i]
							     : NULL;
}

static bool pack_next(const struct pack *p, struct memory_extent *e)
{
	size_t i;

	if (e->end >= p->head.size)
		return false;
	i = pack_find_run(p, (uint32_t)(e->end / PAGE_SIZE));
	if (i == p->head.nr_runs)
		return false;
	e->at = (uint64_t)p->run[i].page * PAGE_SIZE;
	if (e->at < e->end)
		e->at = e->end;
	e->end = (uint64_t)(p->run[i].page + p->run[i].nr) * PAGE_SIZE;
	/* Those that only differ in where they are stored are one. */
	for (i++; i < p->head.nr_runs &&
		  (uint64_t)p->run[i].page * PAGE_SIZE == e->end;
	     i++)
		e->end += (uint64_t)p->run[i].nr * PAGE_SIZE;
	return true;
}

/* Pages that the guest may touch one after the other, where none is stored. */
#define PACK_ABSENT_AROUND KIB(64)

/* The pages of a frame that are side by side in the memory, too. */
static void pack_around_stored(const struct pack *p, const struct pack_run *run,
			       uint32_t page, struct memory_extent *e)
{
	uint32_t in_run = page - run->page;
	uint32_t in_frame = (run->stored + in_run) % p->head.frame_pages;
	uint32_t before = in_run < in_frame ? in_run : in_frame;
	uint32_t behind = p->head.frame_pages - in_frame;

	if (behind > run->nr - in_run)
		behind = run->nr - in_run;
	e->at = (uint64_t)(page - before) * PAGE_SIZE;
	e->end = (uint64_t)(page + behind) * PAGE_SIZE;
}

static void pack_around(const struct pack *p, uint64_t at,
			struct memory_extent *e)
{
	uint32_t page = (uint32_t)(at / PAGE_SIZE);
	size_t i = pack_find_run(p, page);
	const struct pack_run *run = i < p->head.nr_runs ? &p->run[i] : NULL;
	uint64_t low = 0, high = p->head.size;

	if (run && run->page <= page && run->stored != PACK_ZERO) {
		pack_around_stored(p, run, page, e);
		return;
	}
	/* Zeros: up to the next runs. */
	if (run && run->page > page)
		high = (uint64_t)run->page * PAGE_SIZE;
	else if (run)
		high = (uint64_t)(run->page + run->nr) * PAGE_SIZE;
	if (run && run->page <= page)
		low = (uint64_t)run->page * PAGE_SIZE;
	else if (i > 0 && p->run)
		low = (uint64_t)(p->run[i - 1].page + p->run[i - 1].nr) *
		      PAGE_SIZE;
	e->at = align_down(at, PACK_ABSENT_AROUND);
	e->end = e->at + PACK_ABSENT_AROUND;
	e->at = e->at < low ? low : e->at;
	e->end = e->end > high ? high : e->end;
}

static size_t pack_hot(const struct pack *p, uint32_t *page, size_t max)
{
	size_t nr = p->head.nr_hot < max ? p->head.nr_hot : max;

	for (size_t i = 0; i < nr; i++)
		page[i] = PACK_ZERO;
	for (uint32_t i = 0; i < p->head.nr_runs; i++) {
		const struct pack_run *run = &p->run[i];

		for (uint32_t k = 0;
		     k < run->nr && run->stored < nr && run->stored + k < nr;
		     k++)
			page[run->stored + k] = run->page + k;
	}
	return nr;
}

static uint64_t pack_hot_end(const struct pack *p)
{
	const struct pack_frame *last;

	if (p->head.nr_hot == 0)
		return 0;
	last = &p->frame[(p->head.nr_hot - 1) / p->head.frame_pages];
	return last->at + last->bytes;
}

/* ---- pages ---- */

static int pack_frame_damaged(const struct pack *p, uint32_t i, const char *why,
			      struct err *err)
{
	return err_set(err, -EBADMSG,
		       "%s is damaged: frame %u of %u, %u bytes at %llu, "
		       "cannot be unpacked (%s)",
		       p->path, i, packed_frames(&p->head), p->frame[i].bytes,
		       (unsigned long long)p->frame[i].at, why);
}

/* Bytes that come out of frame @i. */
static size_t pack_frame_holds(const struct pack *p, uint32_t i)
{
	uint32_t first = i * p->head.frame_pages;
	uint32_t rest = p->head.nr_pages - first;

	return (size_t)(rest < p->head.frame_pages ? rest
						   : p->head.frame_pages) *
	       PAGE_SIZE;
}

/* Has it a checksum of its contents, and which? Else zstd would check none. */
static const char *pack_check_frame(const struct pack *p, uint32_t i)
{
	const struct pack_frame *f = &p->frame[i];
	size_t size;

	/* Bit 2 of the byte behind the magic: RFC 8878, 3.1.1.1. */
	if (f->bytes < 9 || (p->packed[4] & 4) == 0)
		return "it has no checksum";
	if (load_le32(p->packed + f->bytes - PACK_CHECK_BYTES) != f->check)
		return "it is not the one that the index has";
	size = ZSTD_findFrameCompressedSize(p->packed, f->bytes);
	if (ZSTD_isError(size))
		return ZSTD_getErrorName(size);
	if (size != f->bytes)
		return "something follows it";
	if (ZSTD_getFrameContentSize(p->packed, f->bytes) !=
	    pack_frame_holds(p, i))
		return "it holds another number of bytes";
	return NULL;
}

static int pack_unpack_frame(struct pack *p, uint32_t i, struct err *err)
{
	const struct pack_frame *f = &p->frame[i];
	const char *wrong;
	size_t n;
	int r;

	p->has = PACK_NO_FRAME;
	r = fd_read_full(p->fd, p->packed, f->bytes, (off_t)f->at);
	if (r < 0)
		return err_set(err, r, "Cannot read %s: %s", p->path,
			       r == -ENODATA ? "it was cut short"
					     : err_name(r));
	wrong = pack_check_frame(p, i);
	if (wrong)
		return pack_frame_damaged(p, i, wrong, err);
	n = ZSTD_decompressDCtx(p->zstd, p->pages, pack_frame_holds(p, i),
				p->packed, f->bytes);
	if (ZSTD_isError(n))
		return pack_frame_damaged(p, i, ZSTD_getErrorName(n), err);
	if (n != pack_frame_holds(p, i))
		return pack_frame_damaged(p, i, "too few bytes come out", err);
	p->has = i;
	return 0;
}

int pack_stored(struct pack *p, uint32_t stored, const uint8_t **pages,
		uint32_t *nr, struct err *err)
{
	uint32_t i = stored / p->head.frame_pages;
	uint32_t in_frame = stored % p->head.frame_pages;
	int r = 0;

	assert(stored < p->head.nr_pages);
	if (i != p->has)
		r = pack_unpack_frame(p, i, err);
	if (r < 0)
		return r;
	*pages = p->pages + (size_t)in_frame * PAGE_SIZE;
	*nr = (uint32_t)(pack_frame_holds(p, i) / PAGE_SIZE) - in_frame;
	return 0;
}

/* As many of @max pages from @page on as are stored together. */
static int pack_read_some(struct pack *p, uint32_t page, uint8_t *to,
			  uint32_t max, uint32_t *done, struct err *err)
{
	const struct pack_run *run = pack_run_of(p, page);
	const uint8_t *pages;
	uint32_t n = max, nr;
	int r;

	if (!run) {
		*done = 1;
		memset(to, 0, PAGE_SIZE);
		return 0;
	}
	if (n > run->nr - (page - run->page))
		n = run->nr - (page - run->page);
	if (run->stored == PACK_ZERO) {
		memset(to, 0, (size_t)n * PAGE_SIZE);
		*done = n;
		return 0;
	}
	r = pack_stored(p, run->stored + (page - run->page), &pages, &nr, err);
	if (r < 0)
		return r;
	*done = n < nr ? n : nr;
	memcpy(to, pages, (size_t)*done * PAGE_SIZE);
	return 0;
}

static int pack_read(struct pack *p, uint64_t at, uint8_t *to, uint64_t len,
		     struct err *err)
{
	uint32_t page = (uint32_t)(at / PAGE_SIZE);
	uint32_t left = (uint32_t)(len / PAGE_SIZE);
	int r = 0;

	assert(at % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 &&
	       range_fits(at, len, p->head.size));
	while (left > 0 && r == 0) {
		uint32_t done = 0;

		r = pack_read_some(p, page, to, left, &done, err);
		page += done;
		left -= done;
		to += (size_t)done * PAGE_SIZE;
	}
	return r;
}

const struct image_unpacker pack_unpacker = {
	.open = pack_open,
	.next = pack_next,
	.read = pack_read,
	.around = pack_around,
	.hot = pack_hot,
	.hot_end = pack_hot_end,
	.close = pack_close,
};
