// SPDX-License-Identifier: Apache-2.0
/*
 * blk.c - virtio block device (theory of operation: blk.h)
 */
#include "dev/blk.h"

#include "base/iov.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Feature bits (virtio 1.2, 5.2.3). */
#define F_SEG_MAX      (1ull << 2)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

/* Request types and status (5.2.6). */
#define T_IN           0u
#define T_OUT          1u
#define T_FLUSH        4u
#define T_GET_ID       8u
#define T_DISCARD      11u
#define T_WRITE_ZEROES 13u
#define S_OK           0u
#define S_IOERR        1u
#define S_UNSUPP       2u

/* What a request may ask for; in the config space. */
#define SEG_MAX             254u
#define DISCARD_SECTORS_MAX (1u << 21) /* 1 GiB */
#define ZERO_SECTORS_MAX    (1u << 15) /* 16 MiB: may have to be written */

/* Async: requests in flight. */
#define ASYNC_SLOTS   128u

#define HEADER_BYTES  16u
#define RANGE_BYTES   16u
#define RANGE_F_UNMAP 1u

#define NS_PER_US     1000u
#define NS_PER_MS     1000000u
#define NS_PER_S      1000000000u

/* A round on the VMM thread ends after so much, and the loop has its turn. */
#define ROUND_REQUESTS 256u
#define ROUND_NS       (10ull * NS_PER_MS)
/* What is done is shown to the guest before the round ends, when it took long
 * enough that one interrupt more does not matter. */
#define PUBLISH_NS  (100ull * NS_PER_US)

#define SET_FILE_NS (5ull * NS_PER_S)
#define DESTROY_NS  (1ull * NS_PER_S)
#define RESET_NS    (1ull * NS_PER_S)

/* Buffers that a slot holds itself; longer requests use its part of `many`. */
#define FEW      4u

#define ID_BYTES 20u /* of GET_ID */

/**
 * struct blk_config - the config space (5.2.4), little-endian
 */
struct blk_config {
	uint64_t capacity;
	uint32_t size_max;
	uint32_t seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};

static_assert(sizeof(struct blk_config) == 64, "60 bytes, and padding");
#define CONFIG_BYTES 60u

/**
 * struct slot - a request in flight
 * @io:		what it does to the file
 * @head:	of its chain
 * @status:	where its status byte goes
 * @bytes:	of data that the device writes
 * @total:	of data, either way
 * @start_ns:	when it was begun
 * @next:	free slots
 */
struct slot {
	struct blk_io io;
	struct slot *next;
	struct iovec *many;
	uint8_t *status;
	uint64_t start_ns;
	uint32_t bytes;
	uint32_t total;
	uint16_t head;
	struct iovec few[FEW];
};

/**
 * struct blk - a block device
 * @file:	the disk
 * @write_through: FLUSH was offered and not taken
 * @resized:	restored with another size than it was saved with
 * @uring:	NULL: Sync
 * @done:	the ring, on the loop
 * @slots, @many: @nr_slots of them, and their buffers
 * @free:	the last one used first: few of them are ever touched
 * @round_ns, @last_ns, @published_ns: when the round began, a request was last
 *		done, and the guest was last shown
 * @iov:	the chain that is being looked at
 */
struct blk {
	struct virtio_dev dev;
	struct blk_config config;
	struct blk_file file;
	char id[ID_BYTES];
	bool read_only;
	bool flush;
	bool write_through;
	bool resized;
	struct rate_limiter limiter;
	struct blk_counters counters;
	struct blk_uring *uring;
	struct loop_source done;
	unsigned int nr_slots;
	unsigned int in_flight;
	struct slot *slots;
	struct slot *free;
	struct iovec *many;
	uint64_t round_ns;
	uint64_t last_ns;
	uint64_t published_ns;
	struct iovec iov[VIRTQ_MAX_SIZE];
};

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

static struct slot *slot_take(struct blk *blk)
{
	struct slot *slot = blk->free;

	blk->free = slot->next;
	blk->in_flight++;
	return slot;
}

static void slot_give(struct blk *blk, struct slot *slot)
{
	slot->next = blk->free;
	blk->free = slot;
	blk->in_flight--;
}

/* ---- from a chain to an operation ---- */

/**
 * struct header - of a request, copied out of guest memory
 */
struct header {
	uint32_t type;
	uint64_t sector;
};

static bool read_header(const struct virtq_chain *c, struct header *header)
{
	uint8_t bytes[HEADER_BYTES];

	if (iov_read(c->out, c->nr_out, 0, bytes, sizeof(bytes)) !=
	    sizeof(bytes))
		return false;
	header->type = load_le32(bytes);
	header->sector = load_le64(bytes + 8);
	return true;
}

static bool on_disk(const struct blk *blk, uint64_t sector, uint64_t sectors)
{
	return range_fits(sector, sectors, blk->file.sectors);
}

/* The data of a transfer, [@off, +@len) of @iov, into the slot's buffers. */
static bool set_buffers(struct slot *slot, const struct iovec *iov, size_t nr,
			uint64_t off, uint32_t len)
{
	size_t max = nr <= FEW ? FEW : SEG_MAX;

	slot->io.iov = nr <= FEW ? slot->few : slot->many;
	slot->io.nr_iov =
		(unsigned int)iov_slice(iov, nr, off, len, slot->io.iov, max);
	slot->io.left = len;
	slot->total = len;
	return iov_bytes(slot->io.iov, slot->io.nr_iov) == len;
}

static int set_transfer(const struct blk *blk, const struct virtq_chain *c,
			const struct header *header, struct slot *slot)
{
	bool read = header->type == T_IN;
	uint32_t in = c->in_bytes - 1, out = c->out_bytes - HEADER_BYTES;
	uint32_t len = read ? in : out;

	if ((read ? out : in) != 0 || len == 0 || len % BLK_SECTOR_BYTES != 0 ||
	    !on_disk(blk, header->sector, len / BLK_SECTOR_BYTES) ||
	    (!read && blk->read_only))
		return -EINVAL;
	slot->io.kind = read ? BLK_IO_READ : BLK_IO_WRITE;
	slot->io.off = header->sector * BLK_SECTOR_BYTES;
	slot->bytes = read ? len : 0;
	return set_buffers(slot, read ? c->in : c->out,
			   read ? c->nr_in : c->nr_out, read ? 0 : HEADER_BYTES,
			   len)
		       ? 0
		       : -EINVAL;
}

/* DISCARD and WRITE_ZEROES: one range, as we told the driver. */
static int set_range(const struct blk *blk, const struct virtq_chain *c,
		     const struct header *header, struct slot *slot)
{
	bool zero = header->type == T_WRITE_ZEROES;
	uint8_t bytes[RANGE_BYTES];
	uint64_t sector;
	uint32_t sectors, flags;

	if (!virtio_dev_has(&blk->dev, zero ? F_WRITE_ZEROES : F_DISCARD))
		return -EOPNOTSUPP;
	if (c->out_bytes != HEADER_BYTES + RANGE_BYTES ||
	    iov_read(c->out, c->nr_out, HEADER_BYTES, bytes, sizeof(bytes)) !=
		    sizeof(bytes))
		return -EINVAL;
	sector = load_le64(bytes);
	sectors = load_le32(bytes + 8);
	flags = load_le32(bytes + 12);
	if ((flags & ~(zero ? RANGE_F_UNMAP : 0u)) != 0)
		return -EOPNOTSUPP;
	if (sectors == 0 ||
	    sectors > (zero ? ZERO_SECTORS_MAX : DISCARD_SECTORS_MAX) ||
	    !on_disk(blk, sector, sectors))
		return -EINVAL;
	slot->io.kind = !zero                   ? BLK_IO_DISCARD
			: flags & RANGE_F_UNMAP ? BLK_IO_UNMAP
						: BLK_IO_ZERO;
	slot->io.off = sector * BLK_SECTOR_BYTES;
	slot->io.left = (uint64_t)sectors * BLK_SECTOR_BYTES;
	return 0;
}

/* Bytes as the limiter counts them: zeroes that are written, too. */
static uint64_t cost(const struct slot *slot)
{
	return slot->io.kind == BLK_IO_ZERO ? slot->io.left : slot->total;
}

/* The last writable byte; NULL when there is none. */
static uint8_t *status_of(const struct virtq_chain *c)
{
	const struct iovec *last;

	if (c->nr_in == 0)
		return NULL;
	last = &c->in[c->nr_in - 1];
	return (uint8_t *)last->iov_base + last->iov_len - 1;
}

/* Return: 1: the operation is in @slot; 0: done already; -errno: refused. */
static int parse(struct blk *blk, const struct virtq_chain *c,
		 struct slot *slot)
{
	struct header header;
	int r;

	slot->io = (struct blk_io){.stable = blk->write_through};
	slot->head = c->head;
	slot->status = status_of(c);
	slot->bytes = 0;
	slot->total = 0;
	if (!slot->status || !read_header(c, &header))
		return -EINVAL;
	switch (header.type) {
	case T_IN:
	case T_OUT:
		r = set_transfer(blk, c, &header, slot);
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		r = set_range(blk, c, &header, slot);
		break;
	case T_FLUSH:
		slot->io.kind = BLK_IO_FLUSH;
		r = virtio_dev_has(&blk->dev, F_FLUSH) ? 0 : -EOPNOTSUPP;
		break;
	case T_GET_ID:
		if (c->in_bytes <= ID_BYTES)
			return -EINVAL;
		slot->bytes = (uint32_t)iov_write(c->in, c->nr_in, 0, blk->id,
						  ID_BYTES);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
	return r < 0 ? r : 1;
}

/* ---- answers ---- */

static void answer(struct blk *blk, const struct slot *slot, int r)
{
	uint8_t status = r == 0 ? S_OK : r == -EOPNOTSUPP ? S_UNSUPP : S_IOERR;

	*slot->status = status;
	virtq_push(queue_of(blk), slot->head, (r == 0 ? slot->bytes : 0) + 1);
}

static void count(struct blk *blk, const struct slot *slot, uint64_t now)
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

static void finish(struct blk *blk, struct slot *slot, int r)
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

static void begin(struct blk *blk, struct slot *slot)
{
	slot->start_ns = now_ns();
	if (blk->uring && blk_uring_can(&blk->file, &slot->io))
		blk_uring_add(blk->uring, &blk->file, &slot->io, slot);
	else
		finish(blk, slot, blk_sync_run(&blk->file, &slot->io));
}

/* What io_uring did not do or not wholly. Return: as blk_io_step(). */
static int go_on(struct blk *blk, struct slot *slot, int result)
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
		struct slot *slot = tag;

		finish(blk, slot, blk_sync_run(&blk->file, &slot->io));
	}
}

static void reap(struct blk *blk)
{
	void *tag;
	int result;

	while (blk->uring && blk_uring_next(blk->uring, &tag, &result)) {
		struct slot *slot = tag;
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
	struct slot *slot = blk->free;
	struct virtq_chain chain;
	int r;

	if (!slot)
		return STOP_SLOTS;
	r = virtq_pop(q, blk->iov, ARRAY_SIZE(blk->iov), &chain);
	if (r <= 0)
		return r < 0 ? STOP_BROKEN : STOP_EMPTY;
	r = parse(blk, &chain, slot);
	/* What moves no data, and what makes no sense, is an operation, too. */
	if (!rate_limiter_take(&blk->limiter, r > 0 ? cost(slot) : 0)) {
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

	blk->write_through = blk->flush && !virtio_dev_has(dev, F_FLUSH);
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
	uint64_t features = F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY;

	if (params->read_only)
		features |= F_RO;
	else
		features |= F_DISCARD | F_WRITE_ZEROES;
	if (params->flush)
		features |= F_FLUSH;
	return features;
}

static void set_config(struct blk *blk)
{
	blk->config = (struct blk_config){
		.capacity = blk->file.sectors,
		.seg_max = SEG_MAX,
		.blk_size = BLK_SECTOR_BYTES,
		/* The page cache's unit: 4 KiB. */
		.physical_block_exp = 3,
		.min_io_size = PAGE_SIZE / BLK_SECTOR_BYTES,
	};
	if (blk->read_only)
		return;
	blk->config.max_discard_sectors = DISCARD_SECTORS_MAX;
	blk->config.max_discard_seg = 1;
	blk->config.discard_sector_alignment = PAGE_SIZE / BLK_SECTOR_BYTES;
	blk->config.max_write_zeroes_sectors = ZERO_SECTORS_MAX;
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
	blk->many = calloc((size_t)blk->nr_slots * SEG_MAX, sizeof(*blk->many));
	if (!blk->slots || !blk->many)
		return err_set(err, -ENOMEM, "Out of memory");
	for (unsigned int i = blk->nr_slots; i-- > 0;) {
		blk->slots[i].many = blk->many + (size_t)i * SEG_MAX;
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
	set_config(blk);
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
				    .config_bytes = CONFIG_BYTES,
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
