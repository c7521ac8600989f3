// SPDX-License-Identifier: Apache-2.0
/*
 * discard.c - pages that go back to the host (gmem_discard() in gmem.h)
 *
 * Anonymous memory is dropped. A page of a private file mapping is replaced: it
 * costs up to two mappings more for each piece, of which the kernel allows a
 * process some 65,000, so their number is bounded here. A page is replaced
 * once; from then on it is anonymous.
 */
#include "mem/gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HOLES_MAX 16384u
#define BITS      64u

static bool get_bit(const struct gmem *mem, uint64_t page)
{
	return mem->given_back[page / BITS] >> page % BITS & 1;
}

bool gmem_was_discarded(const struct gmem *mem, gpa_t gpa)
{
	uint64_t page = gmem_page(mem, gpa);

	return mem->given_back && page != UINT64_MAX && get_bit(mem, page);
}

/* True when the page at @gpa would show a file once it is dropped. */
static bool shows_file(const struct gmem *mem, gpa_t gpa)
{
	if (mem->origin == GMEM_FILE) /* all of it does */
		return !get_bit(mem, gmem_page(mem, gpa));
	for (unsigned int i = 0; i < mem->nr_files; i++)
		if (gpa >= mem->file[i].gpa &&
		    gpa - mem->file[i].gpa < mem->file[i].len)
			return !get_bit(mem, gmem_page(mem, gpa));
	return false;
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

static int discard_drop(struct gmem *mem, gpa_t gpa, uint64_t len, bool file)
{
	uint8_t *hva = gmem_find(mem, gpa, len);
	uint64_t page = gmem_page(mem, gpa);
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
		mem->given_back[page / BITS] |= 1ull << page % BITS;
	return 0;
}

int gmem_discard(struct gmem *mem, gpa_t gpa, uint64_t len)
{
	gpa_t end;

	if (!gmem_find(mem, gpa, len))
		return -EFAULT;
	/* The kernel leaves parts of a 2 MiB page and reports success. */
	if (!is_aligned(gpa, gmem_page_bytes(mem)) ||
	    !is_aligned(len, gmem_page_bytes(mem)))
		return -EINVAL;
	if (!mem->given_back)
		mem->given_back =
			calloc((mem->size / PAGE_SIZE + BITS - 1) / BITS,
			       sizeof(*mem->given_back));
	if (!mem->given_back)
		return -ENOMEM;
	end = gpa + len;
	while (gpa < end) {
		bool file = shows_file(mem, gpa);
		gpa_t to = gpa + PAGE_SIZE;
		int r;

		/* With no file at all there is nothing to tell apart. */
		if (mem->nr_files == 0)
			to = end;
		while (to < end && shows_file(mem, to) == file)
			to += PAGE_SIZE;
		r = discard_drop(mem, gpa, to - gpa, file);
		if (r < 0)
			return r;
		gmem_mark(mem, gpa, to - gpa);
		gpa = to;
	}
	return 0;
}
