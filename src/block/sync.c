// SPDX-License-Identifier: Apache-2.0
/*
 * sync.c - block operations one call at a time (theory: engine.h)
 */
#include "block/engine.h"

#include <errno.h>
#include <stdlib.h>

/**
 * struct block_sync - the one call that was added
 * @tag:	NULL: there is none
 */
struct block_sync {
	struct block_engine engine;
	struct block_call call;
	void *tag;
};

static struct block_sync *sync_self(struct block_engine *e)
{
	return container_of(e, struct block_sync, engine);
}

static int sync_fd(struct block_engine *e)
{
	(void)e;
	return -1;
}

static bool sync_add(struct block_engine *e, const struct block_call *call,
		     void *tag)
{
	assert(!sync_self(e)->tag);
	sync_self(e)->call = *call;
	sync_self(e)->tag = tag;
	return true;
}

static int sync_submit(struct block_engine *e)
{
	(void)e;
	return 0;
}

static bool sync_take_back(struct block_engine *e, void **tag)
{
	(void)e;
	(void)tag;
	return false;
}

static bool sync_next(struct block_engine *e, void **tag, int64_t *result)
{
	struct block_sync *s = sync_self(e);

	if (!s->tag)
		return false;
	*tag = s->tag;
	s->tag = NULL;
	*result = block_call_run(&s->call);
	return true;
}

static bool sync_wait(struct block_engine *e, uint64_t deadline_ns)
{
	(void)deadline_ns;
	return sync_self(e)->tag != NULL;
}

static void sync_free(struct block_engine *e)
{
	free(sync_self(e));
}

static const struct block_engine_ops sync_ops = {
	.name = "system calls",
	.slots = 1,
	.piece = BLOCK_PIECE,
	.fd = sync_fd,
	.add = sync_add,
	.submit = sync_submit,
	.take_back = sync_take_back,
	.next = sync_next,
	.wait = sync_wait,
	.free = sync_free,
};

int block_sync_new(struct block_engine **out, struct err *err)
{
	struct block_sync *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	s->engine.ops = &sync_ops;
	*out = &s->engine;
	return 0;
}
