// SPDX-License-Identifier: Apache-2.0
/*
 * discard.c - pages that go back to the host (gmem_discard() in gmem.h)
 *
 * Anonymous memory is dropped. A page of a private file mapping is replaced: it
 * costs up to two mappings more for each piece, of which the kernel allows a
 * process some 65,000, so their number is bounded here. A page is replaced
 * once; from then on it is anonymous.
 */
#include "mem/discard.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HOLES_MAX 16384u
#define BITS      64u

bool gmem_was_discarded(const struct gmem *mem, gpa_t gpa)
{
	const struct gmem_region *r = gmem_region_of(mem, gpa);
	uint64_t page;

	if (!r || !r->given_back)
		return false;
	page = (gpa - r->gpa) / PAGE_SIZE;
	return r->given_back[page / BITS] >> page % BITS & 1;
}

/* True when the page at @gpa would show a file once it is dropped. */
static bool shows_file(const struct gmem *mem, gpa_t gpa)
{
	if (mem->origin == GMEM_FILE) /* all of it does */
		return !gmem_was_discarded(mem, gpa);
	return gmem_file_at(mem, gpa) && !gmem_was_discarded(mem, gpa);
}

static int map_anonymous(void *hva, uint64_t len)
{
	void *p = mmap(hva, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

/* A refused mapping leaves the old one in place, but that is not promised. */
static bool is_mapped(void *hva, uint64_t len)
{
	return msync(hva, len, MS_ASYNC) == 0;
}

static int discard_replace(struct gmem *mem, void *hva, uint64_t len)
{
	int r = mem->nr_holes < HOLES_MAX ? map_anonymous(hva, len) : -ENOMEM;

	if (r == 0) {
		mem->nr_holes++;
		(void)madvise(hva, len, MADV_DONTDUMP);
		return 0;
	}
	if (!is_mapped(hva, len))
		return map_anonymous(hva, len);
	memset(hva, 0, len);
	return 1;
}

static int discard_drop(struct gmem *mem, const struct gmem_region *region,
			gpa_t gpa, uint64_t len, bool file)
{
	uint8_t *hva = region->hva + (gpa - region->gpa);
	uint64_t page = (gpa - region->gpa) / PAGE_SIZE;
	int r;

	if (file)
		r = discard_replace(mem, hva, len);
	else
		r = madvise(hva, len, MADV_DONTNEED) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	/* Zeros that were written are as good in a snapshot as any page, but
	 * the page still shows its file if it is dropped. */
	for (uint64_t end = page + len / PAGE_SIZE; r == 0 && page < end;
	     page++)
		region->given_back[page / BITS] |= 1ull << page % BITS;
	return 0;
}

int gmem_give_back(struct gmem *mem, struct gmem_region *region, gpa_t gpa,
		   uint64_t len)
{
	gpa_t end = gpa + len;

	if (!region->given_back)
		region->given_back =
			calloc(gmem_words(region), sizeof(*region->given_back));
	if (!region->given_back)
		return -ENOMEM;
	while (gpa < end) {
		bool file = shows_file(mem, gpa);
		gpa_t to = gpa + PAGE_SIZE;
		int r;

		/* With no file at all there is nothing to tell apart. */
		if (mem->nr_files == 0)
			to = end;
		while (to < end && shows_file(mem, to) == file)
			to += PAGE_SIZE;
		r = discard_drop(mem, region, gpa, to - gpa, file);
		if (r < 0)
			return r;
		gmem_mark(mem, gpa, to - gpa);
		gpa = to;
	}
	return 0;
}

/* Return: its number; @nr_image: no region of the image. */
static unsigned int discard_region(const struct gmem *mem, gpa_t gpa)
{
	unsigned int i = 0;

	while (i < mem->nr_image && gmem_region_of(mem, gpa) != &mem->region[i])
		i++;
	return i;
}

int gmem_discard(struct gmem *mem, gpa_t gpa, uint64_t len)
{
	unsigned int i = discard_region(mem, gpa);

	if (!gmem_find(mem, gpa, len))
		return -EFAULT;
	/* The kernel leaves parts of a 2 MiB page and reports success. */
	if (!is_aligned(gpa, gmem_page_bytes(mem)) ||
	    !is_aligned(len, gmem_page_bytes(mem)))
		return -EINVAL;
	if (len == 0)
		return 0;
	/* A device's region is not the guest's to give back. */
	if (i == mem->nr_image)
		return -EFAULT;
	return gmem_give_back(mem, &mem->region[i], gpa, len);
}
