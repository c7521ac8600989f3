// SPDX-License-Identifier: Apache-2.0
/*
 * blk.c - virtio block device (theory of operation: blk.h)
 */
#include "dev/blk_priv.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NS_PER_S    1000000000u

#define SET_FILE_NS (5ull * NS_PER_S)
#define DESTROY_NS  (1ull * NS_PER_S)
#define RESET_NS    (1ull * NS_PER_S)

static const struct metric blk_metrics[] = {
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
	.metrics = blk_metrics,
	.nr = ARRAY_SIZE(blk_metrics),
};

static struct blk *blk_self(struct virtio_dev *dev)
{
	return container_of(dev, struct blk, dev);
}

static void blk_kick(struct virtio_dev *dev)
{
	struct blk *blk = blk_self(dev);

	metric_inc(&blk->counters.queue_event_count);
	if (!virtq_has_work(blk_queue(blk)))
		metric_inc(&blk->counters.no_avail_buffer);
	blk_serve(blk);
}

static void on_done(struct loop_source *src, uint32_t events)
{
	struct blk *blk = container_of(src, struct blk, done);

	(void)events;
	virtio_dev_enter(&blk->dev);
	blk_serve(blk); /* while paused it only takes results */
	virtio_dev_leave(&blk->dev);
}

static void on_limiter(struct rate_limiter *limiter)
{
	struct blk *blk = container_of(limiter, struct blk, limiter);

	virtio_dev_enter(&blk->dev);
	metric_inc(&blk->counters.rate_limiter_event_count);
	if (virtio_dev_running(&blk->dev))
		blk_serve(blk);
	virtio_dev_leave(&blk->dev);
}

/* ---- life ---- */

static int blk_activate(struct virtio_dev *dev)
{
	struct blk *blk = blk_self(dev);

	blk->write_through = blk->flush && !virtio_dev_has(dev, BLK_F_FLUSH);
	blk->holds = false;
	return 0;
}

/*
 * The host kernel may write guest memory until the last request is done. The
 * vCPU waits for that at most RESET_NS, without the lock, so that the VMM
 * thread can go on. If some are still in flight then, the driver sees by the
 * status that the reset is not done.
 */
static int blk_reset(struct virtio_dev *dev)
{
	struct blk *blk = blk_self(dev);
	struct block_engine *e = blk->engine;
	uint64_t deadline_ns = now_ns() + RESET_NS;
	bool in_time = true;

	blk_queue(blk)->ready = false; /* answers would go there */
	while (!blk_reap_reset(blk) && in_time) {
		virtio_dev_leave(dev);
		in_time = e->ops->wait(e, deadline_ns);
		virtio_dev_enter(dev);
		if (!dev->resetting)
			return 0; /* the VMM thread saw the last one */
	}
	if (blk->in_flight == 0)
		return 0;
	log_guest(
		LOG_WARN,
		"%s: a reset waits for %u requests that the host has not done",
		dev->name, blk->in_flight);
	return -EINPROGRESS;
}

static int blk_drain(struct virtio_dev *dev, uint64_t deadline_ns)
{
	return blk_settle(blk_self(dev), deadline_ns);
}

static void blk_resumed(struct virtio_dev *dev)
{
	struct blk *blk = blk_self(dev);

	if (blk->resized)
		virtio_dev_config_changed(dev);
	blk->resized = false;
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct blk *blk = blk_self(dev);
	struct block_engine *e = blk->engine;
	uint64_t deadline_ns = now_ns() + DESTROY_NS;
	bool in_time = true;

	/* As a reset: what has begun ends, the rest never does. */
	blk->dev.resetting = true;
	while (e && !blk_reap_reset(blk) && in_time)
		in_time = e->ops->wait(e, deadline_ns);
	if (!in_time)
		log_warn("%s: %u requests are lost: the host has not done them",
			 dev->name, blk->in_flight);
	rate_limiter_fini(&blk->limiter);
	if (blk->done.added)
		loop_del(dev->loop, &blk->done);
	if (e)
		e->ops->free(e);
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

static const struct schema_field blk_state_fields[] = {
	{
		.name = "sectors",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct blk_state, sectors),
		.range = &schema_u64,
	},
};

static const struct schema_object blk_state_schema = {
	.name = "Block",
	.fields = blk_state_fields,
	.nr = ARRAY_SIZE(blk_state_fields),
	.size = sizeof(struct blk_state),
};

static void blk_save(struct virtio_dev *dev, void *state)
{
	*(struct blk_state *)state = (struct blk_state){
		.sectors = blk_self(dev)->file.sectors,
	};
}

/* The file's size is what counts; the guest is told when it is another. */
static int blk_load(struct virtio_dev *dev, const void *state, struct err *err)
{
	const struct blk_state *s = state;
	struct blk *blk = blk_self(dev);

	(void)err;
	blk->resized = s->sectors != blk->file.sectors;
	return 0;
}

static const struct virtio_dev_ops blk_ops = {
	.id = 2,
	.activate = blk_activate,
	.kick = blk_kick,
	.reset = blk_reset,
	.drain = blk_drain,
	.resumed = blk_resumed,
	.destroy = blk_destroy,
	.state = &blk_state_schema,
	.save = blk_save,
	.load = blk_load,
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
		.blk_size = BLOCK_SECTOR_BYTES,
		/* The page cache's unit: 4 KiB. */
		.physical_block_exp = 3,
		.min_io_size = PAGE_SIZE / BLOCK_SECTOR_BYTES,
	};
	if (!discards)
		return;
	blk->config.max_discard_sectors = BLK_DISCARD_MAX;
	blk->config.max_discard_seg = 1;
	blk->config.discard_sector_alignment = PAGE_SIZE / BLOCK_SECTOR_BYTES;
	blk->config.max_write_zeroes_sectors = BLK_ZERO_MAX;
	blk->config.max_write_zeroes_seg = 1;
	blk->config.write_zeroes_may_unmap = 1;
}

static int watch_engine(struct blk *blk, struct loop *loop)
{
	int fd = blk->engine->ops->fd(blk->engine);

	if (fd < 0)
		return 0;
	blk->done = (struct loop_source){
		.fd = fd,
		.events = EPOLLIN,
		.cb = on_done,
	};
	return loop_add(loop, &blk->done);
}

static int try_engine(struct blk *blk, const struct blk_params *params,
		      struct err *err)
{
	int r = block_engine_new(&blk->engine, params->kind, err);

	if (r < 0)
		return r;
	r = watch_engine(blk, params->loop);
	if (r == 0)
		return 0;
	blk->engine->ops->free(blk->engine);
	blk->engine = NULL;
	return err_set(err, r, "the ring cannot be watched (%s)", err_name(r));
}

static int start_engine(struct blk *blk, const struct blk_params *params,
			struct err *err)
{
	struct err why = {0};

	if (blk->engine)
		return watch_engine(blk, params->loop);
	if (params->kind != BLOCK_ENGINE_SYNC) {
		if (try_engine(blk, params, &why) == 0)
			return 0;
		log_warn("%s: engine %s is not possible here: %s; using Sync",
			 blk->dev.name, block_engine_name(params->kind),
			 why.text);
	}
	return block_engine_new(&blk->engine, BLOCK_ENGINE_SYNC, err);
}

static int make_slots(struct blk *blk, struct err *err)
{
	unsigned int nr;

	assert(blk->engine);
	nr = blk->engine->ops->slots;
	blk->slots = calloc(nr, sizeof(*blk->slots));
	/* Mostly never touched, and then no memory: the largest requests. */
	blk->many = calloc((size_t)nr * BLK_SEG_MAX, sizeof(*blk->many));
	if (!blk->slots || !blk->many)
		return err_set(err, -ENOMEM, "Out of memory");
	for (unsigned int i = nr; i-- > 0;) {
		blk->slots[i].many = blk->many + (size_t)i * BLK_SEG_MAX;
		list_add_tail(&blk->free, &blk->slots[i].link);
	}
	return 0;
}

int blk_new(struct blk **out, const struct blk_params *params, struct err *err)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	char name[96];
	int r;

	if (!blk) {
		if (params->engine)
			params->engine->ops->free(params->engine);
		return err_set(err, -ENOMEM, "Out of memory");
	}
	(void)snprintf(name, sizeof(name), "block %s", params->id);
	blk->engine = params->engine;
	blk->file = params->file;
	blk->read_only = params->read_only;
	blk->flush = params->flush;
	memcpy(blk->id, params->id, strnlen(params->id, sizeof(blk->id)));
	list_init(&blk->free);
	list_init(&blk->later);
	set_config(blk, features_of(params) & BLK_F_DISCARD);
	rate_limiter_init(&blk->limiter, params->loop, on_limiter);
	r = virtio_dev_init(&blk->dev,
			    &(struct virtio_dev_params){
				    .ops = &blk_ops,
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
	if (r == 0)
		r = start_engine(blk, params, err);
	if (r == 0)
		r = make_slots(blk, err);
	if (r < 0) {
		blk_destroy(&blk->dev);
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
	return dev && dev->ops == &blk_ops ? blk_self(dev) : NULL;
}

int blk_set_file(struct blk *blk, const struct block_file *file)
{
	int r;

	virtio_dev_enter(&blk->dev);
	r = blk_settle(blk, now_ns() + SET_FILE_NS);
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
	return blk->done.added;
}
