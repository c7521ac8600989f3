// SPDX-License-Identifier: Apache-2.0
/*
 * dirty.c - which pages were written since somebody asked (gmem.h)
 */
#include "mem/gmem.h"

#include <errno.h>
#include <stdlib.h>

#define BITS 64u

int gmem_track(struct gmem *mem)
{
	for (unsigned int i = 0; i < mem->nr_image; i++) {
		struct gmem_region *r = &mem->region[i];

		r->dirty = calloc(gmem_words(r), sizeof(*r->dirty));
		if (!r->dirty)
			return -ENOMEM;
	}
	mem->tracked = true;
	return 0;
}

/* A guest can name the same 4 GiB as often as it likes: a word at a time, and
 * no write where nothing changes. */
static void mark_word(const struct gmem_region *r, uint64_t word, uint64_t bits)
{
	_Atomic uint64_t *w = &r->dirty[word];

	if (bits & ~atomic_load_explicit(w, memory_order_relaxed))
		atomic_fetch_or_explicit(w, bits, memory_order_relaxed);
}

void gmem_mark_pages(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	const struct gmem_region *r = gmem_region_of(mem, gpa);
	uint64_t page, end;

	if (!r || !r->dirty) /* no bytes, at a region's end; or a device's */
		return;
	page = (gpa - r->gpa) / PAGE_SIZE;
	end = page + (gpa % PAGE_SIZE + len + PAGE_SIZE - 1) / PAGE_SIZE;
	while (page < end) {
		uint64_t at = page % BITS, nr = BITS - at;

		if (nr > end - page)
			nr = end - page;
		mark_word(r, page / BITS, UINT64_MAX >> (BITS - nr) << at);
		page += nr;
	}
}

void gmem_mark_bits(const struct gmem_region *region, uint64_t off,
		    uint64_t len, const uint64_t *bits)
{
	_Atomic uint64_t *to = region->dirty + off / PAGE_SIZE / BITS;

	for (uint64_t i = 0; i < len / PAGE_SIZE / BITS; i++)
		if (bits[i])
			atomic_fetch_or_explicit(&to[i], bits[i],
						 memory_order_relaxed);
}

bool gmem_is_dirty(const struct gmem *mem, gpa_t gpa)
{
	const struct gmem_region *r = gmem_region_of(mem, gpa);
	uint64_t page = (gpa - r->gpa) / PAGE_SIZE;

	return atomic_load_explicit(&r->dirty[page / BITS],
				    memory_order_relaxed) >>
		       page % BITS &
	       1;
}

void gmem_clean(struct gmem *mem)
{
	for (unsigned int i = 0; i < mem->nr_image; i++)
		for (uint64_t k = 0; k < gmem_words(&mem->region[i]); k++)
			atomic_store_explicit(&mem->region[i].dirty[k], 0,
					      memory_order_relaxed);
}
