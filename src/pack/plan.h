/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - which pages of a raw memory file are stored, and in which order
 *
 * The first pass of write.h.
 */
#pragma once

#include "pack/pack.h"

/**
 * struct pack_from - what is packed
 * @layer:	a raw file
 * @size:	of it
 * @label:	of the new one; with a base the memory is a diff's
 * @hot:	@nr_hot pages in the order of use. What is zero, not there,
 *		outside the memory or there twice is left out
 */
struct pack_from {
	const struct image_layer *layer;
	uint64_t size;
	struct snapshot_label label;
	const uint32_t *hot;
	size_t nr_hot;
};

/**
 * struct pack_stats - what became of the pages that were no holes
 */
struct pack_stats {
	uint64_t pages;
	uint64_t zero;
	uint64_t repeated;
	uint64_t stored;
	uint64_t hot;
	uint64_t file_bytes;
};

/**
 * struct pack_plan - what goes into the file
 * @source:	of each stored page the page of the memory that it is read from
 * @run:	of the index
 */
struct pack_plan {
	uint32_t *source;
	uint32_t nr_stored;
	uint32_t nr_hot;
	struct pack_run *run;
	uint32_t nr_runs;
};

/* Return: 0 or -errno with a sentence; pack_plan_fini() in any case. */
int pack_plan_make(struct pack_plan *plan, const struct pack_from *from,
		   struct pack_stats *stats, struct err *err) __must_check;

void pack_plan_fini(struct pack_plan *plan);
