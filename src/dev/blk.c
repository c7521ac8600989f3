// SPDX-License-Identifier: Apache-2.0
/*
 * blk.c - virtio block device (theory of operation: blk.h)
 */
#include "dev/blk_priv.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Status (5.2.6). */
#define S_OK     0u
#define S_IOERR  1u
#define S_UNSUPP 2u

/* Async: requests in flight. */
#define ASYNC_SLOTS 128u

#define NS_PER_US   1000u
#define NS_PER_MS   1000000u
#define NS_PER_S    1000000000u

/* A round on the VMM thread ends after so much, and the loop has its turn. */
#define ROUND_REQUESTS 256u
#define ROUND_NS       (10ull * NS_PER_MS)
/* What is done is shown to the guest before the round ends, when it took long
 * enough that one interrupt more does not matter. */
#define PUBLISH_NS  (100ull * NS_PER_US)

#define SET_FILE_NS (5ull * NS_PER_S)
#define DESTROY_NS  (1ull * NS_PER_S)
#define RESET_NS    (1ull * NS_PER_S)

static const struct metric metrics[] = {
	METRIC(struct blk_counters, activate_fails),
	METRIC(struct blk_counters, cfg_fails),
	METRIC(struct blk_counters, no_avail_buffer),
	METRIC(struct blk_counters, event_fails),
	METRIC(struct blk_counters, execute_fails),
	METRIC(struct blk_counters, invalid_reqs_count),
	METRIC(struct blk_counters, flush_count),
	METRIC(struct blk_counters, queue_event_count),
	METRIC(struct blk_counters, rate_limiter_event_count),
	METRIC(struct blk_counters, update_count),
	METRIC(struct blk_counters, update_fails),
	METRIC(struct blk_counters, read_bytes),
	METRIC(struct blk_counters, write_bytes),
	METRIC(struct blk_counters, read_count),
	METRIC(struct blk_counters, write_count),
	METRIC_AGG(struct blk_counters, read_agg),
	METRIC_AGG(struct blk_counters, write_agg),
	METRIC(struct blk_counters, rate_limiter_throttled_events),
	METRIC(struct blk_counters, io_engine_throttled_events),
	METRIC(struct blk_counters, remaining_reqs_count),
};

const struct metric_group blk_metric_group = {
	.name = "block",
	.metrics = metrics,
	.nr = ARRAY_SIZE(metrics),
};

static struct blk *self(struct virtio_dev *dev)
{
	return container_of(dev, struct blk, dev);
}

static struct virtq *queue_of(struct blk *blk)
{
	return &blk->dev.queue[0];
}

/* ---- slots ---- */

static struct blk_slot *slot_take(struct blk *blk)
{
	struct blk_slot *slot = blk->free;

	blk->free = slot->next;
	blk->in_flight++;
	return slot;
}

static void slot_give(struct blk *blk, struct blk_slot *slot)
{
	slot->next = blk->free;
	blk->free = slot;
	blk->in_flight--;
}

/* ---- answers ---- */

static void answer(struct blk *blk, const struct blk_slot *slot, int r)
{
	uint8_t status = r == 0 ? S_OK : r == -EOPNOTSUPP ? S_UNSUPP : S_IOERR;

	*slot->status = status;
	virtq_push(queue_of(blk), slot->head, (r == 0 ? slot->bytes : 0) + 1);
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
		virtio_dev_publish(&blk->dev, queue_of(blk));
	}
}

/* ---- the two engines ---- */

static void begin(struct blk *blk, struct blk_slot *slot)
{
	slot->start_ns = now_ns();
	if (blk->uring && blk_uring_can(&blk->file, &slot->io))
		blk_uring_add(blk->uring, &blk->file, &slot->io, slot);
	else
		finish(blk, slot, blk_sync_run(&blk->file, &slot->io));
}

/* What io_uring did not do or not wholly. Return: as blk_io_step(). */
static int go_on(struct blk *blk, struct blk_slot *slot, int result)
{
	int r = blk_io_step(&slot->io, result);

	switch (r) {
	case 1:
		blk_uring_add(blk->uring, &blk->file, &slot->io, slot);
		break;
	case -EAGAIN:
	case -EINVAL:
	case -EOPNOTSUPP:
		/* No memory for it, or no such operation: the plain way. */
		r = blk_sync_run(&blk->file, &slot->io);
		break;
	default:
		break;
	}
	return r;
}

/* What the ring does not take, for lack of memory or for good, goes the plain
 * way: it is done, however often that happens, and nobody has to come back. */
static void submit(struct blk *blk)
{
	int r = blk->uring ? blk_uring_submit(blk->uring) : 0;
	void *tag;

	if (r == 0)
		return;
	metric_inc(&blk->counters.io_engine_throttled_events);
	log_guest(LOG_WARN, "%s: io_uring takes no requests now: %s",
		  blk->dev.name, err_name(r));
	while (blk_uring_take_back(blk->uring, &tag)) {
		struct blk_slot *slot = tag;

		finish(blk, slot, blk_sync_run(&blk->file, &slot->io));
	}
}

static void reap(struct blk *blk)
{
	void *tag;
	int result;

	while (blk->uring && blk_uring_next(blk->uring, &tag, &result)) {
		struct blk_slot *slot = tag;
		int r;

		if (blk->dev.resetting) {
			/* Nobody waits for an answer, nor for the rest. */
			slot_give(blk, slot);
			continue;
		}
		r = go_on(blk, slot, result);
		if (r <= 0)
			finish(blk, slot, r);
	}
}

/* Begin what was added, end what is done. */
static void turn(struct blk *blk)
{
	submit(blk);
	reap(blk);
	submit(blk); /* of short transfers, the rest */
	if (blk->dev.resetting && blk->in_flight == 0)
		virtio_dev_reset_done(&blk->dev);
}

/* Wait for all that is in flight. Return: 0 or -ETIME. */
static int wait_all(struct blk *blk, uint64_t deadline_ns)
{
	for (;;) {
		turn(blk);
		if (blk->in_flight == 0)
			return 0;
		if (!blk_uring_wait(blk->uring, deadline_ns))
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
	struct virtq *q = queue_of(blk);
	struct blk_slot *slot = blk->free;
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
		begin(blk, slot_take(blk));
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
		return virtq_enable_kicks(queue_of(blk));
	case STOP_SLOTS:
		if (blk->free)
			return true;
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

static void serve(struct blk *blk)
{
	struct virtq *q = queue_of(blk);
	unsigned int left = ROUND_REQUESTS;
	enum stop stop;

	if (blk->limiter.blocked)
		return;
	blk->round_ns = now_ns();
	blk->last_ns = blk->round_ns;
	blk->published_ns = blk->round_ns;
	do {
		virtq_disable_kicks(q);
		stop = take_many(blk, &left);
		turn(blk);
		virtio_dev_publish(&blk->dev, q);
	} while (look_again(blk, stop));
	if (stop != STOP_EMPTY && virtq_has_work(q))
		metric_inc(&blk->counters.remaining_reqs_count);
}

static void kick(struct virtio_dev *dev)
{
	struct blk *blk = self(dev);

	metric_inc(&blk->counters.queue_event_count);
	if (!virtq_has_work(queue_of(blk)))
		metric_inc(&blk->counters.no_avail_buffer);
	serve(blk);
}

static void on_done(struct loop_source *src, uint32_t events)
{
	struct blk *blk = container_of(src, struct blk, done);

	(void)events;
	virtio_dev_enter(&blk->dev);
	/* Also while paused: until it is drained, I/O goes on. */
	blk->published_ns = now_ns();
	turn(blk);
	virtio_dev_publish(&blk->dev, queue_of(blk));
	if (virtio_dev_running(&blk->dev))
		serve(blk);
	virtio_dev_leave(&blk->dev);
}

static void on_limiter(struct rate_limiter *limiter)
{
	struct blk *blk = container_of(limiter, struct blk, limiter);

	virtio_dev_enter(&blk->dev);
	metric_inc(&blk->counters.rate_limiter_event_count);
	if (virtio_dev_running(&blk->dev))
		serve(blk);
	virtio_dev_leave(&blk->dev);
}

/* ---- life ---- */

static int activate(struct virtio_dev *dev)
{
	struct blk *blk = self(dev);

	blk->write_through = blk->flush && !virtio_dev_has(dev, BLK_F_FLUSH);
	return 0;
}

/*
 * Guest memory is in the hands of the kernel until its last request is done.
 * The vCPU waits for that, a while, and without the lock: the VMM thread has
 * others to see to. Then the driver waits, or does not, by the status.
 */
static int reset(struct virtio_dev *dev)
{
	struct blk *blk = self(dev);
	uint64_t deadline_ns = now_ns() + RESET_NS;
	bool in_time = true;

	queue_of(blk)->ready = false; /* answers would go there */
	reap(blk);
	while (blk->in_flight > 0 && in_time) {
		virtio_dev_leave(dev);
		in_time = blk_uring_wait(blk->uring, deadline_ns);
		virtio_dev_enter(dev);
		if (!dev->resetting)
			return 0; /* the VMM thread saw the last one */
		reap(blk);
	}
	if (blk->in_flight == 0)
		return 0;
	log_guest(
		LOG_WARN,
		"%s: a reset waits for %u requests that the host has not done",
		dev->name, blk->in_flight);
	return -EINPROGRESS;
}

static int drain(struct virtio_dev *dev, uint64_t deadline_ns)
{
	struct blk *blk = self(dev);
	int r = wait_all(blk, deadline_ns);

	virtio_dev_publish(dev, queue_of(blk));
	return r;
}

static void resumed(struct virtio_dev *dev)
{
	struct blk *blk = self(dev);

	if (blk->resized)
		virtio_dev_config_changed(dev);
	blk->resized = false;
}

static void destroy(struct virtio_dev *dev)
{
	struct blk *blk = self(dev);

	if (blk->uring && wait_all(blk, now_ns() + DESTROY_NS) < 0)
		log_warn("%s: %u requests are lost: the host has not done them",
			 dev->name, blk->in_flight);
	rate_limiter_free(&blk->limiter);
	if (blk->done.added)
		loop_del(dev->loop, &blk->done);
	blk_uring_free(blk->uring);
	virtio_dev_fini(dev);
	free(blk->slots);
	free(blk->many);
	free(blk);
}

/* ---- saved state ---- */

/**
 * struct blk_state - what the configuration does not tell
 * @sectors:	as the guest knows the disk
 */
struct blk_state {
	uint64_t sectors;
};

static const struct schema_field state_fields[] = {
	{
		.name = "sectors",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct blk_state, sectors),
		.range = &schema_u64,
	},
};

static const struct schema_object state_schema = {
	.name = "Block",
	.fields = state_fields,
	.nr = ARRAY_SIZE(state_fields),
	.size = sizeof(struct blk_state),
};

static void save(struct virtio_dev *dev, void *state)
{
	*(struct blk_state *)state = (struct blk_state){
		.sectors = self(dev)->file.sectors,
	};
}

/* The file's size is what counts; the guest is told when it is another. */
static int load(struct virtio_dev *dev, const void *state, struct err *err)
{
	const struct blk_state *s = state;
	struct blk *blk = self(dev);

	(void)err;
	blk->resized = s->sectors != blk->file.sectors;
	return 0;
}

static const struct virtio_dev_ops ops = {
	.id = VIRTIO_ID_BLOCK,
	.activate = activate,
	.kick = kick,
	.reset = reset,
	.drain = drain,
	.resumed = resumed,
	.destroy = destroy,
	.state = &state_schema,
	.save = save,
	.load = load,
};

/* ---- making one ---- */

static uint64_t features_of(const struct blk_params *params)
{
	uint64_t features = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY;

	if (params->read_only)
		features |= BLK_F_RO;
	else if (!params->no_discard)
		features |= BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
	if (params->flush)
		features |= BLK_F_FLUSH;
	return features;
}

static void set_config(struct blk *blk, bool discards)
{
	blk->config = (struct blk_config){
		.capacity = blk->file.sectors,
		.seg_max = BLK_SEG_MAX,
		.blk_size = BLK_SECTOR_BYTES,
		/* The page cache's unit: 4 KiB. */
		.physical_block_exp = 3,
		.min_io_size = PAGE_SIZE / BLK_SECTOR_BYTES,
	};
	if (!discards)
		return;
	blk->config.max_discard_sectors = BLK_DISCARD_MAX;
	blk->config.max_discard_seg = 1;
	blk->config.discard_sector_alignment = PAGE_SIZE / BLK_SECTOR_BYTES;
	blk->config.max_write_zeroes_sectors = BLK_ZERO_MAX;
	blk->config.max_write_zeroes_seg = 1;
	blk->config.write_zeroes_may_unmap = 1;
}

static void start_async(struct blk *blk, struct loop *loop)
{
	struct err why = {0};
	int r = blk_uring_new(&blk->uring, ASYNC_SLOTS, &why);

	if (r == 0) {
		blk->done = (struct loop_source){
			.fd = blk_uring_fd(blk->uring),
			.events = EPOLLIN,
			.kind = LOOP_BACKEND,
			.cb = on_done,
		};
		r = loop_add(loop, &blk->done);
		if (r == 0)
			return;
		blk_uring_free(blk->uring);
		blk->uring = NULL;
		(void)err_set(&why, r, "the ring cannot be watched (%s)",
			      err_name(r));
	}
	log_warn("%s: engine Async is not possible here: %s; using Sync",
		 blk->dev.name, why.text);
}

static int make_slots(struct blk *blk, struct err *err)
{
	blk->nr_slots = blk->uring ? ASYNC_SLOTS : 1;
	blk->slots = calloc(blk->nr_slots, sizeof(*blk->slots));
	/* Mostly never touched, and then no memory: the largest requests. */
	blk->many =
		calloc((size_t)blk->nr_slots * BLK_SEG_MAX, sizeof(*blk->many));
	if (!blk->slots || !blk->many)
		return err_set(err, -ENOMEM, "Out of memory");
	for (unsigned int i = blk->nr_slots; i-- > 0;) {
		blk->slots[i].many = blk->many + (size_t)i * BLK_SEG_MAX;
		blk->slots[i].next = blk->free;
		blk->free = &blk->slots[i];
	}
	return 0;
}

int blk_new(struct blk **out, const struct blk_params *params, struct err *err)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	char name[96];
	int r;

	if (!blk)
		return err_set(err, -ENOMEM, "Out of memory");
	(void)snprintf(name, sizeof(name), "block %s", params->id);
	blk->file = params->file;
	blk->read_only = params->read_only;
	blk->flush = params->flush;
	memcpy(blk->id, params->id, strnlen(params->id, sizeof(blk->id)));
	set_config(blk, features_of(params) & BLK_F_DISCARD);
	rate_limiter_init(&blk->limiter, params->loop, on_limiter);
	r = virtio_dev_init(&blk->dev,
			    &(struct virtio_dev_params){
				    .ops = &ops,
				    .name = name,
				    .mem = params->mem,
				    .loop = params->loop,
				    .features = features_of(params),
				    .nr_queues = 1,
				    .queue_max = VIRTQ_MAX_SIZE,
				    .config = &blk->config,
				    .config_bytes = BLK_CONFIG_BYTES,
			    },
			    err);
	if (r == 0 && params->async)
		start_async(blk, params->loop);
	if (r == 0)
		r = make_slots(blk, err);
	if (r < 0) {
		destroy(&blk->dev);
		return r;
	}
	*out = blk;
	return 0;
}

struct virtio_dev *blk_dev(struct blk *blk)
{
	return &blk->dev;
}

struct blk *blk_of(struct virtio_dev *dev)
{
	return dev && dev->ops == &ops ? self(dev) : NULL;
}

int blk_set_file(struct blk *blk, const struct blk_file *file)
{
	int r;

	virtio_dev_enter(&blk->dev);
	r = wait_all(blk, now_ns() + SET_FILE_NS);
	virtio_dev_publish(&blk->dev, queue_of(blk));
	if (r == 0) {
		blk->file = *file;
		blk->config.capacity = file->sectors;
		virtio_dev_config_changed(&blk->dev);
	}
	virtio_dev_leave(&blk->dev);
	return r;
}

struct rate_limiter *blk_limiter(struct blk *blk)
{
	return &blk->limiter;
}

struct blk_counters *blk_counters(struct blk *blk)
{
	return &blk->counters;
}

bool blk_is_async(const struct blk *blk)
{
	return blk->uring != NULL;
}
