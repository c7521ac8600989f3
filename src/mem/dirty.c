// SPDX-License-Identifier: Apache-2.0
/*
 * dirty.c - which pages were written since somebody asked (gmem.h)
 */
#include "mem/gmem.h"

#include <errno.h>
#include <stdlib.h>

#define BITS 64u

static uint64_t nr_words(const struct gmem *mem)
{
	return (mem->size / PAGE_SIZE + BITS - 1) / BITS;
}

int gmem_track(struct gmem *mem)
{
	mem->dirty = calloc(nr_words(mem), sizeof(*mem->dirty));
	return mem->dirty ? 0 : -ENOMEM;
}

/* A guest can name the same 4 GiB as often as it likes: a word at a time, and
 * no write where nothing changes. */
static void mark_word(const struct gmem *mem, uint64_t word, uint64_t bits)
{
	_Atomic uint64_t *w = &mem->dirty[word];

	if (bits & ~atomic_load_explicit(w, memory_order_relaxed))
		atomic_fetch_or_explicit(w, bits, memory_order_relaxed);
}

void gmem_mark_pages(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	uint64_t page = gmem_page(mem, gpa);
	uint64_t end =
		page + (gpa % PAGE_SIZE + len + PAGE_SIZE - 1) / PAGE_SIZE;

	while (page < end) {
		uint64_t at = page % BITS, nr = BITS - at;

		if (nr > end - page)
			nr = end - page;
		mark_word(mem, page / BITS, UINT64_MAX >> (BITS - nr) << at);
		page += nr;
	}
}

void gmem_mark_bits(const struct gmem *mem, unsigned int region,
		    const uint64_t *bits)
{
	const struct gmem_region *r = &mem->region[region];
	uint64_t first = gmem_page(mem, r->gpa) / BITS;

	for (uint64_t i = 0; i < r->size / PAGE_SIZE / BITS; i++)
		if (bits[i])
			atomic_fetch_or_explicit(&mem->dirty[first + i],
						 bits[i], memory_order_relaxed);
}

bool gmem_is_dirty(const struct gmem *mem, gpa_t gpa)
{
	uint64_t page = gmem_page(mem, gpa);

	return atomic_load_explicit(&mem->dirty[page / BITS],
				    memory_order_relaxed) >>
		       page % BITS &
	       1;
}

void gmem_clean(struct gmem *mem)
{
	for (uint64_t i = 0; i < nr_words(mem); i++)
		atomic_store_explicit(&mem->dirty[i], 0, memory_order_relaxed);
}
