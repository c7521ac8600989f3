// SPDX-License-Identifier: Apache-2.0
/*
 * engine.c - the table of engines (theory of operation: engine.h)
 */
#include "block/engine.h"

static const struct {
	const char *name;
	int (*make)(struct block_engine **out, struct err *err);
} block_engines[] = {
	[BLOCK_ENGINE_SYNC] = {"Sync", block_sync_new},
	[BLOCK_ENGINE_ASYNC] = {"Async", block_uring_new},
};
static_assert(ARRAY_SIZE(block_engines) == BLOCK_ENGINE_KINDS,
	      "a row for each");

int block_engine_new(struct block_engine **out, enum block_engine_kind kind,
		     struct err *err)
{
	return block_engines[kind].make(out, err);
}

const char *block_engine_name(enum block_engine_kind kind)
{
	return block_engines[kind].name;
}
