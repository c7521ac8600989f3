// SPDX-License-Identifier: Apache-2.0
/*
 * sync.c - block operations one call at a time (theory: io.h)
 */
#include "block/io.h"

#include <errno.h>
#include <stdlib.h>

/**
 * struct blk_sync - the one call that was added
 * @tag:	NULL: there is none
 */
struct blk_sync {
	struct blk_engine engine;
	struct blk_call call;
	void *tag;
};

static struct blk_sync *self(struct blk_engine *e)
{
	return container_of(e, struct blk_sync, engine);
}

static int sync_fd(struct blk_engine *e)
{
	(void)e;
	return -1;
}

static bool sync_add(struct blk_engine *e, const struct blk_call *call,
		     void *tag)
{
	assert(!self(e)->tag);
	self(e)->call = *call;
	self(e)->tag = tag;
	return true;
}

static int sync_submit(struct blk_engine *e)
{
	(void)e;
	return 0;
}

static bool sync_take_back(struct blk_engine *e, void **tag)
{
	(void)e;
	(void)tag;
	return false;
}

static bool sync_next(struct blk_engine *e, void **tag, int64_t *result)
{
	struct blk_sync *s = self(e);

	if (!s->tag)
		return false;
	*tag = s->tag;
	s->tag = NULL;
	*result = blk_call_run(&s->call);
	return true;
}

static bool sync_wait(struct blk_engine *e, uint64_t deadline_ns)
{
	(void)deadline_ns;
	return self(e)->tag != NULL;
}

static void sync_free(struct blk_engine *e)
{
	free(self(e));
}

static const struct blk_engine_ops ops = {
	.slots = 1,
	.piece = BLK_PIECE,
	.fd = sync_fd,
	.add = sync_add,
	.submit = sync_submit,
	.take_back = sync_take_back,
	.next = sync_next,
	.wait = sync_wait,
	.free = sync_free,
};

int blk_sync_new(struct blk_engine **out, struct err *err)
{
	struct blk_sync *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	s->engine.ops = &ops;
	*out = &s->engine;
	return 0;
}
