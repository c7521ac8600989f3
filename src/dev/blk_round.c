// SPDX-License-Identifier: Apache-2.0
/*
 * blk_round.c - block requests on their way: slots, answers, rounds (blk.h)
 */
#include "dev/blk_priv.h"

#include "base/log.h"

#include <errno.h>

/* Status (5.2.6). */
#define S_OK      0u
#define S_IOERR   1u
#define S_UNSUPP  2u

#define NS_PER_US 1000u
#define NS_PER_MS 1000000u

/* A round on the VMM thread ends after so much, and the loop has its turn. */
#define ROUND_REQUESTS 256u
#define ROUND_NS       (10ull * NS_PER_MS)
/* What is done is shown to the guest before the round ends, when it took long
 * enough that one interrupt more does not matter. */
#define PUBLISH_NS (100ull * NS_PER_US)

/* ---- slots ---- */

static struct blk_slot *first(struct list *list)
{
	return container_of(list->next, struct blk_slot, link);
}

/* The free slot that the next request gets; NULL: none is free. */
static struct blk_slot *slot_free(struct blk *blk)
{
	return list_empty(&blk->free)
		       ? NULL
		       : container_of(blk->free.prev, struct blk_slot, link);
}

static void slot_take(struct blk *blk, struct blk_slot *slot)
{
	list_del(&slot->link);
	blk->in_flight++;
}

/* The one end of every request. Whoever brings it about, a round that found no
 * slot gets another look: a kick in between is one that nobody sent. */
static void slot_give(struct blk *blk, struct blk_slot *slot)
{
	list_del(&slot->link);
	list_add_tail(&blk->free, &slot->link);
	blk->in_flight--;
	if (blk->starved)
		virtio_dev_kick(&blk->dev);
	blk->starved = false;
}

/* ---- answers ---- */

static void answer(struct blk *blk, const struct blk_slot *slot, int r)
{
	uint8_t status = r == 0 ? S_OK : r == -EOPNOTSUPP ? S_UNSUPP : S_IOERR;

	*slot->status = status;
	virtq_push(blk_queue(blk), slot->head, (r == 0 ? slot->bytes : 0) + 1);
}

static void count(struct blk *blk, const struct blk_slot *slot, uint64_t now)
{
	struct blk_counters *c = &blk->counters;
	uint64_t us = (now - slot->start_ns) / NS_PER_US;

	switch (slot->io.kind) {
	case BLK_IO_READ:
		metric_inc(&c->read_count);
		metric_add(&c->read_bytes, slot->total);
		metric_agg_add(&c->read_agg, us);
		break;
	case BLK_IO_WRITE:
		metric_inc(&c->write_count);
		metric_add(&c->write_bytes, slot->total);
		metric_agg_add(&c->write_agg, us);
		break;
	case BLK_IO_FLUSH:
		metric_inc(&c->flush_count);
		break;
	default:
		break;
	}
}

static void finish(struct blk *blk, struct blk_slot *slot, int r)
{
	static const char *const names[] = {
		[BLK_IO_READ] = "read",   [BLK_IO_WRITE] = "write",
		[BLK_IO_FLUSH] = "flush", [BLK_IO_DISCARD] = "discard",
		[BLK_IO_UNMAP] = "unmap", [BLK_IO_ZERO] = "write zeroes",
	};
	uint64_t now = now_ns();

	static_assert(ARRAY_SIZE(names) == BLK_IO_NR_KINDS, "name every kind");
	if (r == 0) {
		count(blk, slot, now);
	} else {
		metric_inc(&blk->counters.execute_fails);
		log_guest(LOG_ERROR, "%s: cannot %s at byte %llu: %s",
			  blk->dev.name, names[slot->io.kind],
			  (unsigned long long)slot->io.off,
			  r == -ENODATA ? "the file is shorter than it was"
					: err_name(r));
		/* The guest asked for what we offered: no UNSUPP. */
		r = -EIO;
	}
	answer(blk, slot, r);
	slot_give(blk, slot);
	blk->last_ns = now;
	if (now - blk->published_ns > PUBLISH_NS) {
		blk->published_ns = now;
		virtio_dev_publish(&blk->dev, blk_queue(blk));
	}
}

/* ---- calls ---- */

/* The result of a request's call: it is done, or goes on later. */
static void step(struct blk *blk, struct blk_slot *slot, int64_t result)
{
	int r = blk_io_step(&slot->io, result);

	if (r > 0)
		list_add_tail(&blk->later, &slot->link);
	else
		finish(blk, slot, r);
}

/* Begin the next call of a request. */
static void begin(struct blk *blk, struct blk_slot *slot)
{
	struct blk_engine *e = blk->engine;
	struct blk_call call;
	bool plain = slot->plain;

	slot->plain = false;
	blk_io_call(&slot->io, &blk->file, &call);
	if (plain || !e->ops->add(e, &call, slot))
		step(blk, slot, blk_call_run(&call));
}

/* What the engine does not take, for lack of memory or for good, goes the plain
 * way: it is done, however often that happens, and nobody has to come back. */
static void submit(struct blk *blk)
{
	struct blk_engine *e = blk->engine;
	int r = e->ops->submit(e);
	void *tag;

	if (r == 0)
		return;
	metric_inc(&blk->counters.io_engine_throttled_events);
	log_guest(LOG_WARN, "%s: io_uring takes no requests now: %s",
		  blk->dev.name, err_name(r));
	while (e->ops->take_back(e, &tag)) {
		struct blk_slot *slot = tag;

		slot->plain = true;
		begin(blk, slot);
	}
}

/* No memory for it, or no such operation there: the plain way. */
static bool wants_plain(const struct blk *blk, int64_t result)
{
	return blk_is_async(blk) && (result == -EAGAIN || result == -EINVAL ||
				     result == -EOPNOTSUPP);
}

static void reap(struct blk *blk)
{
	struct blk_engine *e = blk->engine;
	int64_t result;
	void *tag;

	while (e->ops->next(e, &tag, &result)) {
		struct blk_slot *slot = tag;

		if (blk->dev.resetting) {
			/* Nobody waits for an answer, nor for the rest. */
			slot_give(blk, slot);
		} else if (wants_plain(blk, result)) {
			slot->plain = true;
			list_add_tail(&blk->later, &slot->link);
		} else {
			step(blk, slot, result);
		}
	}
}

/* A reset: what has not begun its next call never will. */
static void abandon(struct blk *blk)
{
	while (!list_empty(&blk->later))
		slot_give(blk, first(&blk->later));
}

static void begin_later(struct blk *blk)
{
	while (!list_empty(&blk->later)) {
		struct blk_slot *slot = first(&blk->later);

		list_del(&slot->link);
		begin(blk, slot);
	}
}

void blk_turn(struct blk *blk)
{
	if (blk->dev.resetting)
		abandon(blk);
	do {
		begin_later(blk);
		submit(blk);
		reap(blk);
	} while (!list_empty(&blk->later));
	if (blk->dev.resetting && blk->in_flight == 0)
		virtio_dev_reset_done(&blk->dev);
}

bool blk_reap_reset(struct blk *blk)
{
	abandon(blk);
	reap(blk);
	return blk->in_flight == 0;
}

int blk_settle(struct blk *blk, uint64_t deadline_ns)
{
	for (;;) {
		blk_turn(blk);
		if (blk->in_flight == 0)
			return 0;
		if (!blk->engine->ops->wait(blk->engine, deadline_ns))
			return -ETIME;
	}
}

/* ---- rounds ---- */

/* Why a round stops taking requests. */
enum stop {
	STOP_NOT,
	STOP_EMPTY,  /* there are none */
	STOP_BROKEN, /* the ring makes no sense */
	STOP_LIMIT,  /* the limiter calls */
	STOP_SLOTS,  /* a completion calls */
	STOP_ROUND,  /* enough for now */
};

static enum stop take(struct blk *blk)
{
	struct virtq *q = blk_queue(blk);
	struct blk_slot *slot = slot_free(blk);
	struct virtq_chain chain;
	int r;

	if (!slot)
		return STOP_SLOTS;
	r = virtq_pop(q, blk->iov, ARRAY_SIZE(blk->iov), &chain);
	if (r <= 0)
		return r < 0 ? STOP_BROKEN : STOP_EMPTY;
	r = blk_parse(blk, &chain, slot);
	/* What moves no data, and what makes no sense, is an operation, too. */
	if (!rate_limiter_take(&blk->limiter, r > 0 ? blk_cost(slot) : 0)) {
		metric_inc(&blk->counters.rate_limiter_throttled_events);
		virtq_unpop(q);
		return STOP_LIMIT;
	}
	if (r > 0) {
		slot_take(blk, slot);
		slot->start_ns = now_ns();
		begin(blk, slot);
		return STOP_NOT;
	}
	if (r < 0)
		metric_inc(&blk->counters.invalid_reqs_count);
	if (slot->status)
		answer(blk, slot, r);
	else
		virtq_push(q, slot->head, 0); /* no room to tell */
	return STOP_NOT;
}

static enum stop take_many(struct blk *blk, unsigned int *left)
{
	enum stop stop;

	do {
		stop = take(blk);
		/* Empty counts: it may be filled as often as we look. */
		if ((stop == STOP_NOT || stop == STOP_EMPTY) &&
		    (--*left == 0 || blk->last_ns - blk->round_ns > ROUND_NS))
			stop = STOP_ROUND;
	} while (stop == STOP_NOT);
	return stop;
}

/* Another look at the queue before the round ends? */
static bool look_again(struct blk *blk, enum stop stop)
{
	switch (stop) {
	case STOP_EMPTY:
		return virtq_enable_kicks(blk_queue(blk));
	case STOP_SLOTS:
		if (slot_free(blk))
			return true;
		blk->starved = true;
		metric_inc(&blk->counters.io_engine_throttled_events);
		return false;
	case STOP_BROKEN:
		virtio_dev_broken(&blk->dev, "the request queue");
		return false;
	case STOP_ROUND:
		virtio_dev_kick(&blk->dev);
		return false;
	default:
		return false;
	}
}

void blk_serve(struct blk *blk)
{
	struct virtq *q = blk_queue(blk);
	unsigned int left = ROUND_REQUESTS;
	enum stop stop;

	blk->starved = false;
	if (blk->limiter.blocked)
		return;
	blk->round_ns = now_ns();
	blk->last_ns = blk->round_ns;
	blk->published_ns = blk->round_ns;
	do {
		virtq_disable_kicks(q);
		stop = take_many(blk, &left);
		blk_turn(blk);
		virtio_dev_publish(&blk->dev, q);
	} while (look_again(blk, stop));
	if (stop != STOP_EMPTY && virtq_has_work(q))
		metric_inc(&blk->counters.remaining_reqs_count);
}
