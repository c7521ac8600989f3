// SPDX-License-Identifier: Apache-2.0
/*
 * fill.c - a VM's memory is filled (theory of operation: fill.h)
 */
#include "serve/fill.h"

#include "base/pages.h"
#include "image/copy.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Read from a raw file at once. */
#define FILL_RAW_AROUND KIB(64)
/* As much as is best read together: a frame of a packed file. */
#define FILL_MAX MIB(2)
/* Threads that wait for a page, each for one. */
#define FILL_WAIT_MAX 65536u
#define FILL_EVENTS   32u

static bool fill_bit(const uint64_t *set, uint64_t page)
{
	return set[page / 64] >> (page % 64) & 1;
}

static void fill_set(uint64_t *set, uint64_t page, bool to)
{
	uint64_t bit = UINT64_C(1) << (page % 64);

	set[page / 64] = to ? set[page / 64] | bit : set[page / 64] & ~bit;
}

static size_t fill_set_bytes(const struct fill *f)
{
	return (size_t)(f->image->size / PAGE_SIZE / 64 + 1) * 8;
}

int fill_init(struct fill *f, int uffd, const struct image *image,
	      const struct regions *regions)
{
	*f = (struct fill){
		.uffd = uffd,
		.image = image,
		.regions = regions,
		.stats = {.magic = SERVED_MAGIC},
	};
	f->room = malloc(FILL_MAX);
	f->placed = pages_new(fill_set_bytes(f), 0);
	f->gone = pages_new(fill_set_bytes(f), 0);
	return f->room && f->placed && f->gone ? 0 : -ENOMEM;
}

void fill_fini(struct fill *f)
{
	if (!f->image)
		return;
	free(f->room);
	free(f->wait);
	pages_free(f->placed, fill_set_bytes(f));
	pages_free(f->gone, fill_set_bytes(f));
}

/* ---- what the kernel tells ---- */

static int fill_note_wait(struct fill *f, uint64_t hva)
{
	if (f->nr_wait == FILL_WAIT_MAX)
		return -E2BIG;
	if (f->nr_wait == f->wait_room) {
		size_t room = f->wait_room ? 2 * f->wait_room : FILL_EVENTS;
		uint64_t *more = reallocarray(f->wait, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		f->wait = more;
		f->wait_room = room;
	}
	f->wait[f->nr_wait++] = hva;
	return 0;
}

/* What of [@start, @end) is in the region. */
static void fill_remove_from(struct fill *f, const struct region *r,
			     uint64_t start, uint64_t end)
{
	uint64_t high = r->hva + r->size;

	start = start > r->hva ? start : r->hva;
	end = end < high ? end : high;
	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		uint64_t page = (r->offset + (at - r->hva)) / PAGE_SIZE;

		fill_set(f->placed, page, false);
		fill_set(f->gone, page, true);
		f->stats.removed++;
	}
}

static void fill_remove(struct fill *f, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < f->regions->nr; i++)
		fill_remove_from(f, &f->regions->region[i], start, end);
}

/* Return: how many events there were; -errno with a sentence. */
static int fill_read_events(struct fill *f, struct err *err)
{
	struct uffd_msg msg[FILL_EVENTS];
	ssize_t n = read(f->uffd, msg, sizeof(msg));
	size_t nr = n > 0 ? (size_t)n / sizeof(msg[0]) : 0;
	int r = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(err, n < 0 ? -errno : -EINVAL,
			       "What the VMM sent is no userfaultfd: %s",
			       n < 0 ? err_name(errno) : "it has an end");
	for (size_t i = 0; i < nr && r == 0; i++) {
		if (msg[i].event == UFFD_EVENT_PAGEFAULT)
			r = fill_note_wait(f, msg[i].arg.pagefault.address);
		else if (msg[i].event == UFFD_EVENT_REMOVE)
			fill_remove(f, msg[i].arg.remove.start,
				    msg[i].arg.remove.end);
	}
	return r < 0 ? err_set(err, r, "Too many threads wait for pages: %s",
			       err_name(r))
		     : (int)nr;
}

/* ---- pages into their places ---- */

static uint64_t fill_hva(const struct fill *f, uint64_t at)
{
	const struct region *r = regions_of_image(f->regions, at);

	return r->hva + (at - r->offset);
}

/* One ioctl. @done: bytes that came. Return: 0 or -errno. */
static int fill_ioctl(const struct fill *f, uint64_t hva, const uint8_t *from,
		      uint64_t len, int64_t *done)
{
	struct uffdio_copy copy = {
		.dst = hva,
		.src = (uintptr_t)from,
		.len = len,
	};
	struct uffdio_zeropage zero = {.range = {.start = hva, .len = len}};
	int r = from ? ioctl(f->uffd, UFFDIO_COPY, &copy)
		     : ioctl(f->uffd, UFFDIO_ZEROPAGE, &zero);

	*done = r == 0 ? (int64_t)len : (from ? copy.copy : zero.zeropage);
	return r < 0 ? -errno : 0;
}

static void fill_wake(const struct fill *f, uint64_t hva)
{
	struct uffdio_range range = {.start = hva, .len = PAGE_SIZE};

	(void)ioctl(f->uffd, UFFDIO_WAKE, &range);
}

static int fill_failed(int r, struct err *err)
{
	if (r == -ESRCH)
		return r;
	return err_set(err, r, "The kernel does not take a page: %s",
		       err_name(r));
}

/*
 * @len bytes of the image from @at on, all of one region; @from NULL: zeros.
 * Return: 1: they are there; 0: the kernel had something to tell first, and now
 * it has: look again; -errno with a sentence.
 */
static int fill_place(struct fill *f, uint64_t at, const uint8_t *from,
		      uint64_t len, struct err *err)
{
	while (len > 0) {
		int64_t done = 0;
		int r = fill_ioctl(f, fill_hva(f, at), from, len, &done);

		/* There all the same: the kernel or the VMM put it there. */
		if (r == -EEXIST && done <= 0) {
			fill_wake(f, fill_hva(f, at));
			done = PAGE_SIZE;
		} else if (r < 0 && done <= 0 && r != -EAGAIN) {
			return fill_failed(r, err);
		}
		for (int64_t i = 0; i < done; i += PAGE_SIZE)
			fill_set(f->placed, (at + (uint64_t)i) / PAGE_SIZE,
				 true);
		if (r == -EAGAIN) {
			r = fill_read_events(f, err);
			return r < 0 ? r : 0;
		}
		if (!from)
			f->stats.zero += (uint64_t)done / PAGE_SIZE;
		at += (uint64_t)done;
		len -= (uint64_t)done;
		from = from ? from + done : NULL;
	}
	return 1;
}

/* Of @len bytes in @f->room those from @off on that are all zero, or all not.
 */
static uint64_t fill_alike(const struct fill *f, uint64_t off, uint64_t len,
			   bool *zero)
{
	uint64_t end = off + PAGE_SIZE;

	*zero = image_page_is_zero(f->room + off);
	while (end < len && image_page_is_zero(f->room + end) == *zero)
		end += PAGE_SIZE;
	return end - off;
}

static bool fill_is_open(const struct fill *f, uint64_t at)
{
	return !fill_bit(f->placed, at / PAGE_SIZE) &&
	       !fill_bit(f->gone, at / PAGE_SIZE);
}

/* What of @e around @at was never there, in one region and one piece. */
static void fill_narrow(const struct fill *f, uint64_t at,
			const struct image_piece *p, struct memory_extent *e)
{
	const struct region *r = regions_of_image(f->regions, at);
	uint64_t low = p->at > r->offset ? p->at : r->offset;
	uint64_t high = r->offset + r->size;

	high = p->end < high ? p->end : high;
	low = e->at > low ? e->at : low;
	high = e->end < high ? e->end : high;
	e->at = at;
	e->end = at + PAGE_SIZE;
	while (e->at > low && fill_is_open(f, e->at - PAGE_SIZE))
		e->at -= PAGE_SIZE;
	while (e->end < high && fill_is_open(f, e->end))
		e->end += PAGE_SIZE;
}

/* What is cheap to read together with the page at @at. */
static struct memory_extent fill_around(const struct fill *f, uint64_t at)
{
	const struct image_piece *p = image_piece_of(f->image, at);
	const struct image_layer *layer = &f->image->layer[p->layer];
	struct memory_extent e = {.at = align_down(at, FILL_RAW_AROUND)};

	e.end = e.at + FILL_RAW_AROUND;
	if (f->record)
		e = (struct memory_extent){.at = at, .end = at + PAGE_SIZE};
	else if (layer->pack)
		layer->unpack->around(layer->pack, at, &e);
	return e;
}

/* The page at @at, which was never there, and those that may come with it: @e.
 * Return: pages that came; 0: look again; -errno with a sentence. */
static int fill_from_image(struct fill *f, uint64_t at, struct memory_extent e,
			   struct err *err)
{
	const struct image_piece *p = image_piece_of(f->image, at);
	const struct image_layer *layer = &f->image->layer[p->layer];
	uint64_t len;
	int r;

	fill_narrow(f, at, p, &e);
	len = e.end - e.at;
	assert(len <= FILL_MAX);
	r = image_layer_read(layer, e.at, f->room, len, err);
	if (r < 0)
		return r;
	for (uint64_t off = 0, n; off < len; off += n) {
		bool zero;

		n = fill_alike(f, off, len, &zero);
		r = fill_place(f, e.at + off, zero ? NULL : f->room + off, n,
			       err);
		if (r <= 0)
			return r;
	}
	return (int)(len / PAGE_SIZE);
}

/* ---- who waits ---- */

/* Return: 1: it is there; 0: look again; -errno with a sentence. */
static int fill_fault(struct fill *f, uint64_t hva, struct err *err)
{
	const struct region *region = regions_of_hva(f->regions, hva);
	uint64_t at;
	int r;

	if (!region)
		return err_set(err, -EINVAL,
			       "The VM waits for a page that is not its own");
	at = region->offset + align_down(hva - region->hva, PAGE_SIZE);
	if (fill_bit(f->placed, at / PAGE_SIZE)) {
		fill_wake(f, fill_hva(f, at));
		return 1;
	}
	if (fill_bit(f->gone, at / PAGE_SIZE))
		return fill_place(f, at, NULL, PAGE_SIZE, err);
	r = fill_from_image(f, at, fill_around(f, at), err);
	if (r <= 0)
		return r;
	f->stats.faulted += (uint64_t)r;
	/* Whoever records more than there is room for has enough, too. */
	if (f->record &&
	    (workset_add(f->record, (uint32_t)(at / PAGE_SIZE)) < 0 ||
	     f->record->nr >= f->record_max))
		f->record = NULL;
	return 1;
}

int fill_serve(struct fill *f, struct err *err)
{
	int r;

	do {
		r = fill_read_events(f, err);
		for (size_t i = 0; i < f->nr_wait && r >= 0; i++) {
			f->stats.faults++;
			/* A refusal has read what was to be read. */
			do
				r = fill_fault(f, f->wait[i], err);
			while (r == 0);
		}
		f->nr_wait = 0;
	} while (r > 0);
	return r;
}

/* Pages of @set from its @i-th on that are side by side. */
static struct memory_extent fill_side_by_side(const struct workset *set,
					      size_t i)
{
	const uint64_t most = FILL_MAX / PAGE_SIZE;
	uint64_t nr = 1;

	while (nr < most && i + nr < set->nr &&
	       set->page[i + nr] == set->page[i] + nr)
		nr++;
	return (struct memory_extent){
		.at = (uint64_t)set->page[i] * PAGE_SIZE,
		.end = ((uint64_t)set->page[i] + nr) * PAGE_SIZE,
	};
}

int fill_hot(struct fill *f, const struct workset *set, uint64_t max,
	     struct err *err)
{
	for (size_t i = 0; i < set->nr && f->stats.hot < max; i++) {
		struct memory_extent e = fill_side_by_side(set, i);

		/* It may be given back meanwhile: then it is none any more. */
		while (e.at < f->image->size && fill_is_open(f, e.at)) {
			int r = fill_from_image(f, e.at, e, err);

			if (r < 0)
				return r;
			f->stats.hot += (uint64_t)r;
		}
	}
	return 0;
}
