// SPDX-License-Identifier: Apache-2.0
/*
 * plan.c - which pages are stored (plan.h)
 */
#include "pack/plan.h"

#include "base/fd.h"
#include "base/pages.h"
#include "image/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_CHUNK MIB(1)
/* So many places of the table are looked at for a page. */
#define PLAN_TRIES 16u
/* Of @where: in no run. */
#define PLAN_ABSENT (PACK_ZERO - 1)

/**
 * struct seen - a stored page, by its hash
 * @number:	its number and one; 0: the place is free
 */
struct seen {
	uint64_t hash;
	uint32_t number;
};

/**
 * struct planner - the first pass
 * @where:	of each page its stored page, PACK_ZERO or PLAN_ABSENT
 * @table:	@mask + 1 places
 * @nr_room:	how many pages can be stored: what the file held at first
 * @chunk:	room for reading; @other: for the page that one is compared with
 */
struct planner {
	struct pack_plan *plan;
	const struct pack_from *from;
	struct pack_stats *stats;
	uint32_t nr_pages;
	uint32_t *where;
	struct seen *table;
	uint64_t mask;
	uint64_t nr_room;
	uint8_t *chunk;
	uint8_t other[PAGE_SIZE];
};

static int plan_no_memory(struct err *err)
{
	(void)err_set(err, -ENOMEM, "Out of memory");
	return -ENOMEM; /* as the analyzer can see */
}

/* Not for a table that others may fill: PLAN_TRIES bounds what they can do. */
static uint64_t plan_hash(const uint8_t *page)
{
	uint64_t h = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < PAGE_SIZE; i += 8) {
		h = (h ^ load_le64(page + i)) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h;
}

/* Return: 1: stored page *@number is the same; 0: none is known to be; -errno
 * with a sentence. */
static int plan_find(struct planner *p, const uint8_t *page, uint64_t hash,
		     uint32_t *number, struct seen **room, struct err *err)
{
	*room = NULL;
	for (uint64_t i = 0; i < PLAN_TRIES; i++) {
		struct seen *seen = &p->table[(hash + i) & p->mask];
		int r;

		if (seen->number == 0) {
			*room = seen;
			return 0;
		}
		if (seen->hash != hash)
			continue;
		*number = seen->number - 1;
		r = image_layer_read(p->from->layer,
				     (uint64_t)p->plan->source[*number] *
					     PAGE_SIZE,
				     p->other, PAGE_SIZE, err);
		if (r < 0)
			return r;
		if (memcmp(page, p->other, PAGE_SIZE) == 0)
			return 1;
	}
	return 0;
}

static int plan_store(struct planner *p, uint32_t at, const uint8_t *page,
		      struct err *err)
{
	uint64_t hash = plan_hash(page);
	uint32_t number = 0;
	struct seen *room;
	int r = plan_find(p, page, hash, &number, &room, err);

	if (r < 0)
		return r;
	if (r > 0) {
		p->where[at] = number;
		p->stats->repeated++;
		return 0;
	}
	if (p->plan->nr_stored == p->nr_room)
		return err_set(err, -ESTALE,
			       "The memory file was written to while it was "
			       "read");
	number = p->plan->nr_stored++;
	p->plan->source[number] = at;
	p->where[at] = number;
	if (room)
		*room = (struct seen){hash, number + 1};
	return 0;
}

static int plan_page(struct planner *p, uint32_t at, const uint8_t *page,
		     struct err *err)
{
	if (p->where[at] != PLAN_ABSENT)
		return 0; /* in the hot run already */
	p->stats->pages++;
	if (!image_page_is_zero(page))
		return plan_store(p, at, page, err);
	p->stats->zero++;
	if (p->from->label.base != 0)
		p->where[at] = PACK_ZERO;
	return 0;
}

static int plan_extent(struct planner *p, const struct memory_extent *e,
		       struct err *err)
{
	int r = 0;

	for (uint64_t at = e->at, n; at < e->end && r == 0; at += n) {
		n = e->end - at < PLAN_CHUNK ? e->end - at : PLAN_CHUNK;
		r = image_layer_read(p->from->layer, at, p->chunk, n, err);
		for (uint64_t i = 0; i < n && r == 0; i += PAGE_SIZE)
			r = plan_page(p, (uint32_t)((at + i) / PAGE_SIZE),
				      p->chunk + i, err);
	}
	return r;
}

static int plan_hot_page(struct planner *p, uint32_t page, struct err *err)
{
	uint64_t at = (uint64_t)page * PAGE_SIZE;
	struct memory_extent e = {.end = at};
	int r;

	if (page >= p->nr_pages ||
	    !image_layer_next(p->from->layer, p->from->size, &e) || e.at > at)
		return 0;
	r = image_layer_read(p->from->layer, at, p->chunk, PAGE_SIZE, err);
	/* Zeros come in the second walk: nothing is stored of them. */
	if (r < 0 || image_page_is_zero(p->chunk))
		return r;
	return plan_page(p, page, p->chunk, err);
}

static int plan_walk(struct planner *p, struct err *err)
{
	struct memory_extent e = {0};
	int r = 0;

	for (size_t i = 0; i < p->from->nr_hot && r == 0; i++)
		r = plan_hot_page(p, p->from->hot[i], err);
	p->plan->nr_hot = p->plan->nr_stored;
	while (r == 0 && image_layer_next(p->from->layer, p->from->size, &e))
		r = plan_extent(p, &e, err);
	return r == 0 ? image_layer_walked(p->from->layer, &e, err) : r;
}

/* Does page @i go on with the run of the page before it? */
static bool plan_goes_on(const struct planner *p, uint32_t i)
{
	uint32_t here = p->where[i], before = i ? p->where[i - 1] : PLAN_ABSENT;

	if (here == PACK_ZERO || before == PACK_ZERO)
		return here == before;
	return before != PLAN_ABSENT && here == before + 1;
}

static int plan_make_runs(struct planner *p, struct err *err)
{
	struct pack_plan *plan = p->plan;
	uint32_t nr = 0;

	for (uint32_t i = 0; i < p->nr_pages; i++)
		nr += p->where[i] != PLAN_ABSENT && !plan_goes_on(p, i);
	plan->run = calloc((size_t)nr + 1, sizeof(*plan->run));
	if (!plan->run)
		return plan_no_memory(err);
	for (uint32_t i = 0; i < p->nr_pages; i++) {
		if (p->where[i] == PLAN_ABSENT)
			continue;
		if (!plan_goes_on(p, i))
			plan->run[plan->nr_runs++] = (struct pack_run){
				.page = i,
				.stored = p->where[i],
			};
		plan->run[plan->nr_runs - 1].nr++;
	}
	return 0;
}

/* A table of twice the pages that may come, so that it is never full. */
static int plan_prepare(struct planner *p, struct err *err)
{
	struct memory_extent e = {0};
	uint64_t pages = 0, places = 64;
	int r;

	while (image_layer_next(p->from->layer, p->from->size, &e))
		pages += (e.end - e.at) / PAGE_SIZE;
	r = image_layer_walked(p->from->layer, &e, err);
	if (r < 0)
		return r;
	p->nr_room = pages;
	while (places < 2 * pages)
		places *= 2;
	p->mask = places - 1;
	p->where = malloc((size_t)p->nr_pages * sizeof(*p->where));
	p->plan->source = malloc((size_t)(pages + 1) * sizeof(uint32_t));
	p->table = pages_new(places * sizeof(*p->table), 0);
	p->chunk = malloc(PLAN_CHUNK);
	if (!p->where || !p->plan->source || !p->table || !p->chunk)
		return plan_no_memory(err);
	for (uint32_t i = 0; i < p->nr_pages; i++)
		p->where[i] = PLAN_ABSENT;
	return 0;
}

int pack_plan_make(struct pack_plan *plan, const struct pack_from *from,
		   struct pack_stats *stats, struct err *err)
{
	struct planner *p = calloc(1, sizeof(*p));
	int r;

	*plan = (struct pack_plan){0};
	if (!p)
		return plan_no_memory(err);
	p->plan = plan;
	p->from = from;
	p->stats = stats;
	p->nr_pages = (uint32_t)(from->size / PAGE_SIZE);
	r = plan_prepare(p, err);
	if (r == 0)
		r = plan_walk(p, err);
	if (r == 0)
		r = plan_make_runs(p, err);
	free(p->where);
	free(p->chunk);
	pages_free(p->table, (p->mask + 1) * sizeof(*p->table));
	free(p);
	return r;
}

void pack_plan_fini(struct pack_plan *plan)
{
	free(plan->source);
	free(plan->run);
	*plan = (struct pack_plan){0};
}
