// SPDX-License-Identifier: Apache-2.0
/*
 * proof.c - what a state knows of its memory (proof.h)
 */
#include "image/proof.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/map.h"

#include <errno.h>
#include <unistd.h>

/* clang-format off */
static const struct schema_field proof_fields[] = {
	SCHEMA_STATE_BITS(struct memory_proof, extents),
	SCHEMA_STATE_UINT(struct memory_proof, own),
	{ .name = "samples", .type = SCHEMA_HEX,
	  .flags = SCHEMA_REQUIRED | SCHEMA_COUNTED,
	  SCHEMA_AT(struct memory_proof, sample),
	  .count = offsetof(struct memory_proof, bytes) },
};
/* clang-format on */

const struct schema_object memory_proof_schema =
	SCHEMA_STATE_OF(struct memory_proof, proof_fields);

static void thin_out(struct memory_picks *picks)
{
	for (unsigned int i = 0; i < MEMORY_PICKS / 2; i++)
		picks->page[i] = picks->page[i * UINT64_C(2)];
	picks->nr = MEMORY_PICKS / 2;
	picks->every *= 2;
}

void memory_picks_add(struct memory_picks *picks, uint64_t first,
		      uint64_t count)
{
	uint64_t at = 0;

	if (picks->every == 0)
		picks->every = 1;
	for (;;) {
		uint64_t past = (picks->seen + at) % picks->every;

		at += past == 0 ? 0 : picks->every - past;
		if (at >= count)
			break;
		if (picks->nr == MEMORY_PICKS) {
			thin_out(picks);
			continue;
		}
		picks->page[picks->nr++] = first + at++;
	}
	picks->seen += count;
}

static int page_crc(int fd, uint64_t page, uint64_t *crc)
{
	cleanup_free uint8_t *data = malloc(PAGE_SIZE);
	int r = data ? fd_read_full(fd, data, PAGE_SIZE,
				    (off_t)(page * PAGE_SIZE))
		     : -ENOMEM;

	if (r == 0)
		*crc = crc64(0, data, PAGE_SIZE);
	return r;
}

static bool is_stored(int fd, uint64_t page)
{
	off_t at = (off_t)(page * PAGE_SIZE);
	off_t data = lseek(fd, at, SEEK_DATA);

	/* A file system that cannot tell stores all. */
	return data < 0 ? errno != ENXIO : data < at + (off_t)PAGE_SIZE;
}

static unsigned int nr_samples(const struct memory_proof *proof)
{
	return proof->bytes / sizeof(proof->sample[0]);
}

static const struct memory_sample *proof_find(const struct memory_proof *proof,
					      uint64_t page)
{
	for (unsigned int i = 0; proof && i < nr_samples(proof); i++)
		if (proof->sample[i].page == page)
			return &proof->sample[i];
	return NULL;
}

/**
 * struct proving - a proof on its way
 * @stored:	only what the file stores; else only what it does not
 */
struct proving {
	const struct memory_prove *from;
	struct memory_proof *proof;
	bool stored;
};

static int proof_add_page(struct proving *p, uint64_t page)
{
	const struct memory_prove *from = p->from;
	struct memory_proof *proof = p->proof;
	unsigned int nr = nr_samples(proof);
	struct memory_sample s = {.page = page};
	int r = 0;

	if (nr == MEMORY_SAMPLES || page >= from->size / PAGE_SIZE ||
	    proof_find(proof, page) ||
	    p->stored != (!from->diff || is_stored(from->fd, page)))
		return 0;
	if (p->stored) {
		r = page_crc(from->fd, page, &s.crc);
	} else {
		const struct memory_sample *old = proof_find(from->base, page);

		if (!old)
			return 0;
		s.crc = old->crc;
	}
	if (r < 0)
		return r;
	proof->sample[nr] = s;
	proof->bytes += sizeof(s);
	return 0;
}

/* All candidates, as long as there is room: the best first. */
static int add_pages(struct proving *p, const struct memory_picks *map)
{
	const struct memory_prove *from = p->from;
	int r = 0;

	for (unsigned int i = 0; i < from->nr_hot && r == 0; i++)
		r = proof_add_page(p, from->hot[i]);
	for (unsigned int i = 0; i < from->fresh->nr && r == 0; i++)
		r = proof_add_page(p, from->fresh->page[i]);
	for (unsigned int i = 0; i < map->nr && r == 0; i++)
		r = proof_add_page(p, map->page[i]);
	for (unsigned int i = 0;
	     from->base && i < nr_samples(from->base) && r == 0; i++)
		r = proof_add_page(p, from->base->sample[i].page);
	return r;
}

/* Some pages at the ends of extents, without a read. */
static void pick_edges(int fd, uint64_t size, struct memory_picks *map)
{
	struct memory_extent e = {0};

	while (memory_next_extent(fd, size, &e)) {
		memory_picks_add(map, e.at / PAGE_SIZE, 1);
		if (e.end < size)
			memory_picks_add(map, e.end / PAGE_SIZE, 1);
	}
}

/* Of the numbers of all pages that the file stores, by its @map if it has one.
 */
static int extents_crc(int fd, const struct memory_map *map, uint64_t size,
		       uint64_t *sum)
{
	struct memory_extent e = {0};
	uint64_t crc = 0, last = 0;
	uint8_t number[8];

	while (map ? memory_map_next(map, &e)
		   : memory_next_extent(fd, size, &e)) {
		/* Two extents may share a page. */
		for (uint64_t at = e.at > last ? e.at : last; at < e.end;
		     at += PAGE_SIZE) {
			store_le64(number, at / PAGE_SIZE + 1);
			crc = crc64(crc, number, sizeof(number));
		}
		last = e.end;
	}
	*sum = crc;
	return e.error;
}

int memory_prove(const struct memory_prove *from, struct memory_proof *proof)
{
	struct proving p = {.from = from, .proof = proof, .stored = true};
	struct memory_picks map = {0};
	int r;

	memset(proof, 0, sizeof(*proof));
	pick_edges(from->fd, from->size, &map);
	r = add_pages(&p, &map);
	if (r < 0 || !from->diff)
		return r;
	r = extents_crc(from->fd, NULL, from->size, &proof->extents);
	if (r < 0)
		return r;
	proof->own = nr_samples(proof);
	p.stored = false;
	return add_pages(&p, &map);
}

void memory_prove_again(struct memory_proof *proof, bool diff, int fd,
			uint64_t size)
{
	struct memory_proof old = *proof;
	unsigned int nr = nr_samples(&old), to = 0;

	proof->extents = proof->own = 0;
	if (!diff || nr == 0)
		return;
	for (int stored = 1; stored >= 0; stored--) {
		for (unsigned int i = 0; i < nr; i++)
			if (is_stored(fd, old.sample[i].page) == stored)
				proof->sample[to++] = old.sample[i];
		if (stored)
			proof->own = to;
	}
	assert(to == nr);
	/* Not to be read: what is made of it now is none that matches. */
	if (extents_crc(fd, NULL, size, &proof->extents) < 0)
		proof->extents = 0;
}

/* Return: 1 when samples @from to @to are right, 0, or -errno. */
static int samples_match(const struct memory_proof *proof, unsigned int from,
			 unsigned int to, int fd, uint64_t size)
{
	for (unsigned int i = from; i < to; i++) {
		uint64_t crc;
		int r;

		if (proof->sample[i].page >= size / PAGE_SIZE)
			return 0;
		r = page_crc(fd, proof->sample[i].page, &crc);
		if (r < 0)
			return r;
		if (crc != proof->sample[i].crc)
			return 0;
	}
	return 1;
}

int memory_match(const struct memory_proof *proof, bool diff, int fd,
		 uint64_t size)
{
	unsigned int nr = nr_samples(proof);
	unsigned int own = diff ? proof->own : nr;
	struct memory_map *map = NULL;
	uint64_t extents = 0;
	int r;

	if (nr == 0 || own > nr)
		return MEMORY_OTHER;
	r = samples_match(proof, 0, own, fd, size);
	if (r <= 0)
		return r < 0 ? r : MEMORY_OTHER;
	if (!diff)
		return MEMORY_WHOLE;
	r = memory_map_get(fd, NULL, size, &map);
	if (r == 0)
		r = extents_crc(fd, map, size, &extents);
	memory_map_free(map);
	if (r < 0)
		return r;
	if (extents == proof->extents)
		return MEMORY_PART;
	r = samples_match(proof, own, nr, fd, size);
	if (r < 0)
		return r;
	/* Without a page of its base's it cannot be told from the diff. */
	return r > 0 && own < nr ? MEMORY_WHOLE : MEMORY_HOLES;
}
