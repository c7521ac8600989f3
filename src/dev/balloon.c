// SPDX-License-Identifier: Apache-2.0
/*
 * balloon.c - virtio memory balloon (theory of operation: balloon.h)
 */
#include "dev/balloon.h"

#include "base/iov.h"

#include <errno.h>
#include <stdlib.h>

#define QUEUE_INFLATE 0u
#define QUEUE_DEFLATE 1u

#define NS_PER_S      1000000000ull
#define STAT_BYTES    10u
#define CHUNK         256u
/* Another look at a ring, in pages: it may be empty as often as we look. */
#define LOOK_PAGES 256u
/* Of a wake-up; the request or report that is begun with the last is done. */
#define WAKE_PAGES 1024u
/* Of one report in one round: some milliseconds. */
#define REPORT_BYTES MIB(4)

/* What becomes of a chain. */
enum fate {
	FATE_DONE, /* back to the driver */
	FATE_HELD, /* ours for now */
	FATE_REST, /* back into its queue: there is more to do for it */
};

static const struct metric dev_balloon_metrics[] = {
	METRIC(struct balloon_metrics, activate_fails),
	METRIC(struct balloon_metrics, cfg_fails),
	METRIC(struct balloon_metrics, inflate_count),
	METRIC(struct balloon_metrics, stats_updates_count),
	METRIC(struct balloon_metrics, stats_update_fails),
	METRIC(struct balloon_metrics, deflate_count),
	METRIC(struct balloon_metrics, event_fails),
	METRIC(struct balloon_metrics, free_page_report_count),
	METRIC(struct balloon_metrics, free_page_report_freed),
	METRIC(struct balloon_metrics, free_page_report_fails),
	METRIC(struct balloon_metrics, free_page_hint_count),
	METRIC(struct balloon_metrics, free_page_hint_freed),
	METRIC(struct balloon_metrics, free_page_hint_fails),
};

const struct metric_group balloon_metric_group = {
	"balloon",
	dev_balloon_metrics,
	ARRAY_SIZE(dev_balloon_metrics),
};

static struct balloon *balloon_of(struct virtio_dev *dev)
{
	return container_of(dev, struct balloon, dev);
}

/* ---- inflate and deflate ---- */

/**
 * struct run - neighbouring pages, [@first, @end)
 */
struct run {
	uint64_t first;
	uint64_t end;
};

/* Return: bytes given back, the whole pages in it; 0: none, or a failure. */
static uint64_t discard(struct balloon *b, gpa_t gpa, uint64_t len)
{
	uint64_t page = gmem_page_bytes(b->mem);
	uint64_t first, end;

	if (!align_up_checked(gpa, page, &first))
		return 0;
	end = align_down(gpa + len, page);
	if (end <= first || gmem_discard(b->mem, first, end - first) < 0)
		return 0;
	return end - first;
}

static void flush_run(struct balloon *b, struct run *run)
{
	uint64_t len = (run->end - run->first) << BALLOON_PAGE_SHIFT;

	if (len > 0 && discard(b, run->first << BALLOON_PAGE_SHIFT, len) < len)
		metric_inc(&b->metrics.event_fails);
	*run = (struct run){0};
}

/* A page that is not RAM must not spoil its neighbours: it is a run alone. */
static void balloon_add_page(struct balloon *b, struct run *run, uint64_t pfn)
{
	if (!gmem_overlaps(b->mem, pfn << BALLOON_PAGE_SHIFT, PAGE_SIZE)) {
		metric_inc(&b->metrics.event_fails);
		return;
	}
	if (run->end > run->first && pfn == run->end) {
		run->end++;
		return;
	}
	if (run->end > run->first && pfn + 1 == run->first) {
		run->first--;
		return;
	}
	flush_run(b, run);
	*run = (struct run){pfn, pfn + 1};
}

/* @pages: how many were looked at, of this and all handlers. */
static enum fate inflate(struct balloon *b, const struct virtq_chain *chain,
			 unsigned int *pages)
{
	uint32_t bytes = chain->out_bytes;
	struct run run = {0};
	uint32_t off = 0;
	size_t n;

	metric_inc(&b->metrics.inflate_count);
	if (bytes == 0 || bytes % 4 != 0 || bytes > BALLOON_PFNS_MAX * 4) {
		metric_inc(&b->metrics.event_fails);
		return FATE_DONE;
	}
	for (; off < bytes; off += (uint32_t)n) {
		uint32_t pfn[CHUNK];

		n = iov_read(chain->out, chain->nr_out, off, pfn, sizeof(pfn));
		for (size_t i = 0; i < n / 4; i++)
			balloon_add_page(b, &run, pfn[i]);
	}
	flush_run(b, &run);
	*pages = bytes / 4;
	return FATE_DONE;
}

static enum fate deflate(struct balloon *b, const struct virtq_chain *chain,
			 unsigned int *pages)
{
	(void)chain;
	(void)pages;
	metric_inc(&b->metrics.deflate_count);
	return FATE_DONE;
}

/* ---- ranges of free pages ---- */

/*
 * At most @max bytes of @iov from @off on. Pieces end on whole pages, so that
 * they give back what the buffer would in one.
 *
 * Return: bytes of the buffer that are done now, @off included.
 */
static uint64_t report_piece(struct balloon *b, const struct iovec *iov,
			     uint64_t off, uint64_t max)
{
	uint64_t page = gmem_page_bytes(b->mem);
	uint64_t end = iov->iov_len, freed;
	gpa_t gpa;

	if (!gmem_owns(b->mem, iov->iov_base, &gpa))
		return end;
	if (end - off > max)
		end = align_down(gpa + off + max, page) - gpa;
	if ((int64_t)(end - off) <= 0)
		return off; /* no page more this time */
	freed = discard(b, gpa + off, end - off);
	if (freed > 0)
		metric_add(&b->metrics.free_page_report_freed, freed);
	else if (off == 0 || end - off >= page)
		metric_inc(&b->metrics.free_page_report_fails);
	return end;
}

/* Goes on where the last round of it ended. */
static enum fate report(struct balloon *b, const struct virtq_chain *chain,
			unsigned int *pages)
{
	uint64_t left = REPORT_BYTES;
	uint64_t at = 0; /* of the buffer in the chain */

	for (unsigned int i = 0; i < chain->nr_in; i++) {
		uint64_t len = chain->in[i].iov_len;
		uint64_t off, end;

		if (b->reported < at + len) {
			off = b->reported - at;
			end = report_piece(b, &chain->in[i], off, left);
			left -= end - off;
			b->reported = at + end;
			if (end < len)
				return FATE_REST;
		}
		at += len;
	}
	metric_inc(&b->metrics.free_page_report_count);
	b->reported = 0;
	*pages = (unsigned int)((REPORT_BYTES - left) >> BALLOON_PAGE_SHIFT) +
		 chain->nr_in;
	return FATE_DONE;
}

static void set_hint_cmd(struct balloon *b, uint32_t cmd)
{
	b->space.hint_cmd = cmd;
	virtio_dev_config_changed(&b->dev);
}

static enum fate hint(struct balloon *b, const struct virtq_chain *chain,
		      unsigned int *pages)
{
	struct balloon_hinting *h = &b->hinting;
	uint32_t cmd;

	(void)pages;
	if (chain->out_bytes > 0) {
		if (iov_read(chain->out, chain->nr_out, 0, &cmd, 4) != 4) {
			metric_inc(&b->metrics.free_page_hint_fails);
			return FATE_DONE;
		}
		h->guest_cmd = cmd;
		h->has_guest_cmd = true;
		if (cmd == BALLOON_HINT_STOP && h->acknowledge &&
		    b->space.hint_cmd > BALLOON_HINT_DONE)
			set_hint_cmd(b, BALLOON_HINT_DONE);
	}
	if (chain->nr_in == 0)
		return FATE_DONE;
	metric_inc(&b->metrics.free_page_hint_count);
	/* Ranges of no run, or of one that is over. */
	if (!h->has_guest_cmd || b->space.hint_cmd <= BALLOON_HINT_DONE ||
	    h->guest_cmd != b->space.hint_cmd)
		metric_inc(&b->metrics.free_page_hint_fails);
	return FATE_DONE;
}

/* ---- statistics ---- */

static void read_stats(struct balloon *b, const struct virtq_chain *chain)
{
	uint8_t stat[STAT_BYTES];
	struct balloon_stats stats = {0};

	metric_inc(&b->metrics.stats_updates_count);
	if (chain->out_bytes % STAT_BYTES != 0)
		metric_inc(&b->metrics.stats_update_fails);
	for (uint32_t i = 0; i < 4 * BALLOON_STATS; i++) {
		uint16_t tag;

		if (iov_read(chain->out, chain->nr_out,
			     (uint64_t)i * STAT_BYTES, stat,
			     sizeof(stat)) != sizeof(stat))
			break;
		tag = load_le16(stat);
		if (tag >= BALLOON_STATS)
			continue; /* newer than we are */
		stats.seen |= 1u << tag;
		stats.value[tag] = load_le64(stat + 2);
	}
	b->stats = stats;
}

static void return_stats(struct balloon *b)
{
	struct virtq *q = &b->dev.queue[b->queue_stats];

	if (!b->holds_stats)
		return;
	b->holds_stats = false;
	virtq_push(q, b->stats_head, 0);
	virtio_dev_publish(&b->dev, q);
}

/* The driver has one buffer; one too many goes back at once. */
static enum fate take_stats(struct balloon *b, const struct virtq_chain *chain,
			    unsigned int *pages)
{
	(void)pages;
	if (b->holds_stats) {
		metric_inc(&b->metrics.stats_update_fails);
		return_stats(b);
	}
	read_stats(b, chain);
	b->stats_head = chain->head;
	b->stats_at = (uint16_t)(b->dev.queue[b->queue_stats].next_avail - 1);
	b->holds_stats = true;
	return FATE_HELD;
}

static void arm(struct balloon *b)
{
	uint64_t ns = b->stats_s * NS_PER_S;

	timer_set(&b->timer, ns, ns);
	b->polling = true;
}

static void disarm(struct balloon *b)
{
	timer_stop(&b->timer);
	b->polling = false;
}

static void balloon_on_timer(struct timer *timer)
{
	struct balloon *b = container_of(timer, struct balloon, timer);

	virtio_dev_enter(&b->dev);
	if (virtio_dev_running(&b->dev))
		return_stats(b);
	else
		disarm(b); /* the next kick arms it */
	virtio_dev_leave(&b->dev);
}

/* ---- queues ---- */

typedef enum fate chain_fn(struct balloon *b, const struct virtq_chain *chain,
			   unsigned int *pages);

static chain_fn *handler_of(const struct balloon *b, unsigned int queue)
{
	if (queue == QUEUE_INFLATE)
		return inflate;
	if (queue == QUEUE_DEFLATE)
		return deflate;
	if (queue == b->queue_stats)
		return take_stats;
	return queue == b->queue_hinting ? hint : report;
}

static unsigned int balloon_spend(unsigned int budget, unsigned int pages)
{
	return budget - (pages < budget ? pages : budget);
}

/* Return: pages left of the @budget; 0: there may be more to do. */
static unsigned int balloon_serve(struct balloon *b, unsigned int queue,
				  unsigned int budget)
{
	chain_fn *handle = handler_of(b, queue);
	struct virtq *q = &b->dev.queue[queue];
	uint64_t malformed = q->malformed;
	struct virtq_chain chain;
	unsigned int pages;
	enum fate fate;
	int r = 1;

	while (budget > 0) {
		r = virtq_pop(q, b->iov, VIRTQ_MAX_SIZE, &chain);
		if (r < 0 || (r == 0 && !virtq_enable_kicks(q)))
			break;
		if (r == 0) {
			budget = balloon_spend(budget, LOOK_PAGES);
			continue;
		}
		pages = 0;
		fate = handle(b, &chain, &pages);
		budget = balloon_spend(budget, pages + 1);
		if (fate == FATE_DONE)
			virtq_push(q, chain.head, 0);
		if (fate != FATE_REST)
			continue;
		virtq_unpop(q);
		budget = 0;
	}
	metric_add(&b->metrics.event_fails, q->malformed - malformed);
	virtio_dev_publish(&b->dev, q);
	if (r < 0)
		virtio_dev_broken(&b->dev, "a ring makes no sense");
	return budget;
}

static void balloon_kick(struct virtio_dev *dev)
{
	struct balloon *b = balloon_of(dev);
	unsigned int budget = WAKE_PAGES;

	for (unsigned int i = 0; i < dev->nr_queues && dev->active; i++)
		budget = balloon_serve(b, i, budget);
	if (budget == 0)
		virtio_dev_schedule(dev);
	if (b->queue_stats && !b->polling && dev->active)
		arm(b);
}

static void forget(struct balloon *b)
{
	b->holds_stats = false;
	b->reported = 0;
	b->stats = (struct balloon_stats){0};
	b->hinting.has_guest_cmd = false;
	b->space.actual = 0;
	b->space.hint_cmd = BALLOON_HINT_STOP;
}

static int balloon_reset(struct virtio_dev *dev)
{
	forget(balloon_of(dev));
	return 0;
}

/* The driver tells how many pages we have; the rest is ours. */
static void balloon_config_write(struct virtio_dev *dev, uint32_t off,
				 const void *data, uint32_t len)
{
	struct balloon *b = balloon_of(dev);

	if (off == offsetof(struct balloon_config_space, actual) && len == 4)
		b->space.actual = load_le32(data);
	else
		metric_inc(&b->metrics.cfg_fails);
}

/* Behind the buffer that we hold a malformed chain may have gone back: then it
 * cannot go into the queue again, and the driver gets it early. */
static int balloon_drain(struct virtio_dev *dev, uint64_t deadline_ns)
{
	struct balloon *b = balloon_of(dev);
	struct virtq *q = &dev->queue[b->queue_stats];

	(void)deadline_ns;
	if (b->holds_stats && b->stats_at == (uint16_t)(q->next_avail - 1)) {
		virtq_unpop(q);
		b->holds_stats = false;
	}
	return_stats(b);
	return 0;
}

static void balloon_destroy(struct virtio_dev *dev)
{
	struct balloon *b = balloon_of(dev);

	timer_stop(&b->timer);
	virtio_dev_fini(dev);
	free(b);
}

/* ---- saved state ---- */

/* The driver's side of it; everything else is configuration. */
struct balloon_state {
	uint32_t num_pages;
	uint32_t actual;
	uint32_t hint_cmd;
	uint32_t last_cmd;
	uint32_t guest_cmd;
	bool has_guest_cmd;
	bool acknowledge;
};

static const struct schema_field balloon_state_fields[] = {
	SCHEMA_STATE_UINT(struct balloon_state, num_pages),
	SCHEMA_STATE_UINT(struct balloon_state, actual),
	SCHEMA_STATE_UINT(struct balloon_state, hint_cmd),
	SCHEMA_STATE_UINT(struct balloon_state, last_cmd),
	SCHEMA_STATE_UINT(struct balloon_state, guest_cmd),
	SCHEMA_STATE_BOOL(struct balloon_state, has_guest_cmd),
	SCHEMA_STATE_BOOL(struct balloon_state, acknowledge),
};

static const struct schema_object balloon_state_schema =
	SCHEMA_STATE_OF(struct balloon_state, balloon_state_fields);

static void balloon_save(struct virtio_dev *dev, void *state)
{
	const struct balloon *b = balloon_of(dev);

	*(struct balloon_state *)state = (struct balloon_state){
		.num_pages = b->space.num_pages,
		.actual = b->space.actual,
		.hint_cmd = b->space.hint_cmd,
		.last_cmd = b->hinting.last_cmd,
		.guest_cmd = b->hinting.guest_cmd,
		.has_guest_cmd = b->hinting.has_guest_cmd,
		.acknowledge = b->hinting.acknowledge,
	};
}

/* Any numbers are fine: the guest could have made them so. */
static int balloon_load(struct virtio_dev *dev, const void *state,
			struct err *err)
{
	const struct balloon_state *s = state;
	struct balloon *b = balloon_of(dev);

	(void)err;
	b->space.num_pages = s->num_pages;
	b->space.actual = s->actual;
	b->space.hint_cmd = s->hint_cmd;
	b->hinting = (struct balloon_hinting){
		.last_cmd = s->last_cmd,
		.guest_cmd = s->guest_cmd,
		.has_guest_cmd = s->has_guest_cmd,
		.acknowledge = s->acknowledge,
	};
	return 0;
}

static const struct virtio_dev_ops balloon_ops = {
	.id = 5,
	.kick = balloon_kick,
	.reset = balloon_reset,
	.config_write = balloon_config_write,
	.drain = balloon_drain,
	.destroy = balloon_destroy,
	.state = &balloon_state_schema,
	.save = balloon_save,
	.load = balloon_load,
};

/* ---- for the machine ---- */

int balloon_new(struct balloon **out, const struct balloon_params *params,
		struct err *err)
{
	struct balloon *b = calloc(1, sizeof(*b));
	struct virtio_dev_params common = {
		.ops = &balloon_ops,
		.name = "balloon",
		.mem = params->mem,
		.loop = params->loop,
		.nr_queues = 2,
		.queue_max = VIRTQ_MAX_SIZE,
		.config_bytes = sizeof(b->space),
	};
	int r;

	if (!b)
		return err_set(err, -ENOMEM, "Out of memory");
	b->mem = params->mem;
	b->space.num_pages = params->target_pages;
	b->stats_s = params->stats_s;
	common.config = &b->space;
	if (params->deflate_on_oom)
		common.features |= BALLOON_F_DEFLATE_ON_OOM;
	if (params->stats_s > 0) {
		common.features |= BALLOON_F_STATS;
		b->queue_stats = common.nr_queues++;
	}
	if (params->hinting) {
		common.features |= BALLOON_F_HINTING;
		b->queue_hinting = common.nr_queues++;
	}
	if (params->reporting) {
		common.features |= BALLOON_F_REPORTING;
		b->queue_reporting = common.nr_queues++;
	}
	timer_init(&b->timer, params->loop, balloon_on_timer);
	r = virtio_dev_init(&b->dev, &common, err);
	if (r < 0) {
		balloon_destroy(&b->dev);
		return r;
	}
	*out = b;
	return 0;
}

int balloon_set_target(struct balloon *b, uint32_t pages)
{
	int r = -ENOTCONN;

	virtio_dev_enter(&b->dev);
	if (b->dev.active) {
		b->space.num_pages = pages;
		virtio_dev_config_changed(&b->dev);
		r = 0;
	}
	virtio_dev_leave(&b->dev);
	return r;
}

void balloon_set_stats_interval(struct balloon *b, uint16_t seconds)
{
	virtio_dev_enter(&b->dev);
	b->stats_s = seconds;
	if (b->polling)
		arm(b);
	virtio_dev_leave(&b->dev);
}

void balloon_read(struct balloon *b, struct balloon_config_space *space,
		  struct balloon_stats *stats, struct balloon_hinting *hinting)
{
	virtio_dev_enter(&b->dev);
	*space = b->space;
	*stats = b->stats;
	*hinting = b->hinting;
	virtio_dev_leave(&b->dev);
}

static int send_hint_cmd(struct balloon *b, uint32_t cmd)
{
	if (!b->dev.active)
		return -ENOTCONN;
	set_hint_cmd(b, cmd);
	return 0;
}

int balloon_start_hinting(struct balloon *b, bool acknowledge)
{
	struct balloon_hinting *h = &b->hinting;
	uint32_t cmd;
	int r;

	virtio_dev_enter(&b->dev);
	cmd = h->last_cmd + 1;
	if (cmd <= BALLOON_HINT_DONE)
		cmd = BALLOON_HINT_DONE + 1;
	r = send_hint_cmd(b, cmd);
	if (r == 0) {
		h->last_cmd = cmd;
		h->acknowledge = acknowledge;
	}
	virtio_dev_leave(&b->dev);
	return r;
}

int balloon_stop_hinting(struct balloon *b)
{
	int r;

	virtio_dev_enter(&b->dev);
	r = send_hint_cmd(b, BALLOON_HINT_DONE);
	virtio_dev_leave(&b->dev);
	return r;
}
