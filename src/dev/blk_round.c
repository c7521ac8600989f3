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

/*
 * A callback of the loop ends after so many chains, a piece's worth of bytes
 * (at most one piece more was begun then), or so much time, and the others have
 * their turn.
 */
#define ROUND_CHAINS 256
#define ROUND_NS     (10ull * NS_PER_MS)
/*
 * On a slow disk answers are shown while others still wait: see is_due(). Where
 * all are done in HOLD_MIN_NS that loses more by interrupts than it gains: four
 * requests of some milliseconds cost two of them, one for the last alone.
 */
#define HOLD_MIN_NS (10ull * NS_PER_MS)
#define HOLD_MAX_NS (50ull * NS_PER_MS)
#define HOLD_RATIO  3u

/* ---- slots ---- */

static struct blk_slot *first(struct list *list)
{
	return container_of(list->next, struct blk_slot, link);
}

/* The free slot that the next request gets; NULL: none is free. */
static struct blk_slot *blk_round_slot_free(struct blk *blk)
{
	return list_empty(&blk->free)
		       ? NULL
		       : container_of(blk->free.prev, struct blk_slot, link);
}

static void slot_take(struct blk *blk, struct blk_slot *slot)
{
	list_del(&slot->link);
	blk->in_flight++;
	assert(blk->in_flight <= blk->engine->ops->slots);
}

/* Every request ends here. If a round stopped because no slot was free, it is
 * scheduled again: the driver was told not to kick, so nothing else would. */
static void slot_give(struct blk *blk, struct blk_slot *slot)
{
	list_del(&slot->link);
	list_add_tail(&blk->free, &slot->link);
	assert(blk->in_flight > 0);
	blk->in_flight--;
	if (blk->large == slot)
		blk->large = NULL;
	if (blk->starved)
		virtio_dev_schedule(&blk->dev);
	blk->starved = false;
}

/* ---- answers ---- */

/* Requests of the driver that are not done; the index is whatever it says. */
static unsigned int waiting(struct blk *blk)
{
	const struct virtq *q = blk_queue(blk);
	uint16_t ahead = (uint16_t)(virtq_avail_index(q) - q->next_avail);

	return blk->in_flight + ahead;
}

/*
 * Are answers to be shown though there is more to do? Each time costs the guest
 * an interrupt, and what it adds then waits behind all that is there. So they
 * are held until three of four are done: the others keep the disk busy while
 * the guest has its turn, and no request takes twice as long as it would have
 * to. Longer than a person notices none is held.
 */
static bool is_due(struct blk *blk, uint64_t now)
{
	const struct virtq *q = blk_queue(blk);
	uint16_t held = (uint16_t)(q->next_used - q->published);
	uint64_t ns = now - blk->held_ns;

	return ns > HOLD_MAX_NS ||
	       (ns > HOLD_MIN_NS && held >= HOLD_RATIO * waiting(blk));
}

static void blk_round_show(struct blk *blk)
{
	blk->holds = false;
	virtio_dev_publish(&blk->dev, blk_queue(blk));
}

static void blk_round_answer(struct blk *blk, const struct blk_slot *slot,
			     int r)
{
	uint8_t status = r == 0 ? S_OK : r == -EOPNOTSUPP ? S_UNSUPP : S_IOERR;

	*slot->status = status;
	virtq_push(blk_queue(blk), slot->head, (r == 0 ? slot->bytes : 0) + 1);
}

static void blk_round_count(struct blk *blk, const struct blk_slot *slot,
			    uint64_t now)
{
	struct blk_counters *c = &blk->counters;
	uint64_t us = (now - slot->start_ns) / NS_PER_US;

	switch (slot->io.kind) {
	case BLOCK_IO_READ:
		metric_inc(&c->read_count);
		metric_add(&c->read_bytes, slot->total);
		metric_agg_add(&c->read_agg, us);
		break;
	case BLOCK_IO_WRITE:
		metric_inc(&c->write_count);
		metric_add(&c->write_bytes, slot->total);
		metric_agg_add(&c->write_agg, us);
		break;
	case BLOCK_IO_FLUSH:
		metric_inc(&c->flush_count);
		break;
	default:
		break;
	}
}

static void blk_round_finish(struct blk *blk, struct blk_slot *slot, int r)
{
	static const char *const names[] = {
		[BLOCK_IO_READ] = "read",   [BLOCK_IO_WRITE] = "write",
		[BLOCK_IO_FLUSH] = "flush", [BLOCK_IO_DISCARD] = "discard",
		[BLOCK_IO_UNMAP] = "unmap", [BLOCK_IO_ZERO] = "write zeroes",
	};
	uint64_t now = now_ns();

	static_assert(ARRAY_SIZE(names) == BLOCK_IO_NR_KINDS,
		      "name every kind");
	if (r == 0) {
		blk_round_count(blk, slot, now);
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
	blk_round_answer(blk, slot, r);
	slot_give(blk, slot);
	blk->last_ns = now;
	if (!blk->holds)
		blk->held_ns = now;
	blk->holds = true;
	if (is_due(blk, now))
		blk_round_show(blk);
}

/* ---- calls ---- */

/* The result of a request's call: it is done, or goes on later. */
static void step(struct blk *blk, struct blk_slot *slot, int64_t result)
{
	int r;

	/* No hole could be punched, so zeros were written: charge for them. */
	if (slot->io.kind == BLOCK_IO_UNMAP && slot->io.by_hand && result > 0) {
		rate_limiter_charge(&blk->limiter, (uint64_t)result);
		slot->cost += (uint64_t)result;
	}
	r = block_io_step(&slot->io, result);
	if (r > 0)
		list_add_tail(&blk->later, &slot->link);
	else
		blk_round_finish(blk, slot, r);
}

/* Begin the next call of a request. */
static void blk_round_begin(struct blk *blk, struct blk_slot *slot)
{
	struct block_engine *e = blk->engine;
	struct block_call call;
	bool sync = slot->sync;

	slot->sync = false;
	block_io_call(&slot->io, &blk->file, e->ops->piece, &call);
	call.large = slot == blk->large;
	blk->bytes_left -= (int64_t)block_call_cost(&call);
	if (sync || !e->ops->add(e, &call, slot))
		step(blk, slot, block_call_run(&call));
}

/* Submit what was added. Calls that the engine refuses are made synchronously,
 * here: nothing is left to retry. */
static void submit(struct blk *blk)
{
	struct block_engine *e = blk->engine;
	int r = e->ops->submit(e);
	void *tag;

	if (r == 0)
		return;
	metric_inc(&blk->counters.io_engine_throttled_events);
	log_guest(LOG_WARN, "%s: %s takes no requests now: %s", blk->dev.name,
		  e->ops->name, err_name(r));
	while (e->ops->take_back(e, &tag)) {
		struct blk_slot *slot = tag;

		slot->sync = true;
		blk_round_begin(blk, slot);
	}
}

/* The engine had no memory, or lacks the operation: call synchronously. */
static bool wants_sync(const struct blk *blk, int64_t result)
{
	return blk_is_async(blk) && (result == -EAGAIN || result == -EINVAL ||
				     result == -EOPNOTSUPP);
}

static void reap(struct blk *blk)
{
	struct block_engine *e = blk->engine;
	int64_t result;
	void *tag;

	while (e->ops->next(e, &tag, &result)) {
		struct blk_slot *slot = tag;

		if (blk->dev.resetting) {
			/* Nobody waits for an answer, nor for the rest. */
			slot_give(blk, slot);
		} else if (wants_sync(blk, result)) {
			slot->sync = true;
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

/* Return the last request that was popped to the queue. It is popped again
 * later and starts over, on the new file if there is one. No other request was
 * popped since (has_room()), so slot_give() schedules the round that does it.
 */
static void put_back(struct blk *blk, struct blk_slot *slot)
{
	virtq_unpop(blk_queue(blk));
	rate_limiter_give_back(&blk->limiter, slot->cost);
	slot_give(blk, slot);
}

static void round_begin(struct blk *blk)
{
	blk->bytes_left = (int64_t)blk->engine->ops->piece;
	blk->chains_left = ROUND_CHAINS;
	blk->round_ns = now_ns();
	blk->last_ns = blk->round_ns;
}

static bool round_is_over(const struct blk *blk)
{
	return blk->bytes_left <= 0 || blk->chains_left <= 0 ||
	       blk->last_ns - blk->round_ns > ROUND_NS;
}

/* Paused or broken, a device begins nothing, unless it is to settle. */
static bool may_begin(const struct blk *blk)
{
	return (virtio_dev_running(&blk->dev) || blk->settling) &&
	       !list_empty(&blk->later) && !round_is_over(blk);
}

static void begin_later(struct blk *blk)
{
	while (may_begin(blk)) {
		struct blk_slot *slot = first(&blk->later);

		list_del(&slot->link);
		if (blk->settling && slot == blk->large)
			put_back(blk, slot);
		else
			blk_round_begin(blk, slot);
	}
}

/* Make calls and finish requests until no call can be made now. */
static void turn(struct blk *blk)
{
	if (blk->dev.resetting)
		abandon(blk);
	do {
		begin_later(blk);
		submit(blk);
		reap(blk);
	} while (may_begin(blk));
	if (blk->dev.resetting && blk->in_flight == 0)
		virtio_dev_reset_done(&blk->dev);
}

bool blk_reap_reset(struct blk *blk)
{
	abandon(blk);
	reap(blk);
	return blk->in_flight == 0;
}

static int blk_round_settle(struct blk *blk, uint64_t deadline_ns)
{
	struct block_engine *e = blk->engine;

	for (;;) {
		round_begin(blk);
		turn(blk);
		if (blk->in_flight == 0)
			return 0;
		if (list_empty(&blk->later) ? !e->ops->wait(e, deadline_ns)
					    : now_ns() >= deadline_ns)
			return -ETIME;
	}
}

int blk_settle(struct blk *blk, uint64_t deadline_ns)
{
	int r;

	blk->settling = true;
	r = blk_round_settle(blk, deadline_ns);
	blk->settling = false;
	blk_round_show(blk);
	if (r < 0)
		virtio_dev_schedule(&blk->dev);
	return r;
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

static bool has_room(const struct blk *blk)
{
	return !list_empty(&blk->free) && !blk->large;
}

static void begin_new(struct blk *blk, struct blk_slot *slot)
{
	slot_take(blk, slot);
	slot->start_ns = now_ns();
	if (block_io_is_large(&slot->io, blk->engine->ops->piece))
		blk->large = slot;
	blk_round_begin(blk, slot);
}

static enum stop blk_round_take(struct blk *blk)
{
	struct virtq *q = blk_queue(blk);
	struct blk_slot *slot = blk_round_slot_free(blk);
	uint64_t malformed = q->malformed;
	struct virtq_chain chain;
	int r;

	r = virtq_pop(q, blk->iov, ARRAY_SIZE(blk->iov), &chain);
	/* An empty queue counts as a chain: a guest could fill it again each
	 * time, and the round would never end. */
	blk->chains_left -= (int64_t)(q->malformed - malformed) + 1;
	if (r <= 0)
		return r < 0 ? STOP_BROKEN : STOP_EMPTY;
	r = blk_parse(blk, &chain, slot);
	slot->cost = r > 0 ? blk_cost(slot) : 0;
	/* A flush or a malformed request costs the limiter one operation. */
	if (!rate_limiter_take(&blk->limiter, slot->cost)) {
		metric_inc(&blk->counters.rate_limiter_throttled_events);
		virtq_unpop(q);
		return STOP_LIMIT;
	}
	if (r > 0) {
		begin_new(blk, slot);
		return STOP_NOT;
	}
	if (r < 0)
		metric_inc(&blk->counters.invalid_reqs_count);
	if (slot->status)
		blk_round_answer(blk, slot, r);
	else
		virtq_push(q, slot->head, 0); /* no room to tell */
	return STOP_NOT;
}

static enum stop take_many(struct blk *blk)
{
	for (;;) {
		enum stop stop;

		if (blk->limiter.blocked)
			return STOP_LIMIT;
		if (!has_room(blk))
			return STOP_SLOTS;
		if (round_is_over(blk))
			return STOP_ROUND;
		stop = blk_round_take(blk);
		if (stop != STOP_NOT)
			return stop;
	}
}

/* Did the reason to stop go away meanwhile? */
static bool goes_on(struct blk *blk, enum stop stop)
{
	if (round_is_over(blk))
		return false;
	return stop == STOP_SLOTS
		       ? has_room(blk)
		       : stop == STOP_EMPTY && virtq_has_work(blk_queue(blk));
}

/* Arrange for the next round: by the driver's kick, by a completion, or by our
 * own schedule. Return: true to take requests again at once. */
static bool look_again(struct blk *blk, enum stop stop)
{
	switch (stop) {
	case STOP_EMPTY:
		return virtq_enable_kicks(blk_queue(blk));
	case STOP_SLOTS:
		if (has_room(blk))
			return true;
		blk->starved = true;
		metric_inc(&blk->counters.io_engine_throttled_events);
		return false;
	case STOP_BROKEN:
		blk_round_show(blk);
		virtio_dev_broken(&blk->dev, "the request queue");
		return false;
	case STOP_ROUND:
		virtio_dev_schedule(&blk->dev);
		return false;
	default:
		return false;
	}
}

/*
 * The driver is not asked to kick, and not interrupted, as long as there is
 * something to do: what it adds meanwhile is found by another look. The last
 * look is when it knows that it is to kick, and before it is interrupted: what
 * it was about to add costs no interrupt of its own.
 */
static void take_and_begin(struct blk *blk)
{
	struct virtq *q = blk_queue(blk);
	enum stop stop;

	blk->starved = false;
	do {
		virtq_disable_kicks(q);
		do {
			stop = take_many(blk);
			turn(blk);
		} while (goes_on(blk, stop));
	} while (look_again(blk, stop));
	/* The next round is sure to come, and shows what this one does not. */
	if (stop != STOP_ROUND || !blk->holds || is_due(blk, blk->last_ns))
		blk_round_show(blk);
	if (stop != STOP_EMPTY && virtq_has_work(q))
		metric_inc(&blk->counters.remaining_reqs_count);
}

void blk_serve(struct blk *blk)
{
	round_begin(blk);
	if (virtio_dev_running(&blk->dev))
		blk->starved = false; /* we are the round */
	turn(blk);
	/* Else what is done is shown by blk_settle(), or when it resumes. */
	if (virtio_dev_running(&blk->dev))
		take_and_begin(blk);
	if (virtio_dev_running(&blk->dev) && !list_empty(&blk->later))
		virtio_dev_schedule(&blk->dev);
}
