// SPDX-License-Identifier: Apache-2.0
/*
 * mem.c - virtio memory device (theory of operation: mem.h)
 */
#include "dev/mem.h"

#include "base/iov.h"
#include "host/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What one wake-up plugs or unplugs before the loop goes round. */
#define MEM_WAKE_BYTES GIB(1)
/* Any other request, and another look at the ring, count as much. */
#define MEM_LOOK_BYTES MIB(16)

enum mem_request {
	MEM_PLUG,
	MEM_UNPLUG,
	MEM_UNPLUG_ALL,
	MEM_STATE,
};

enum mem_answer {
	MEM_ACK,
	MEM_NACK,
	MEM_BUSY,
	MEM_ERROR,
};

enum mem_state {
	MEM_IS_PLUGGED,
	MEM_IS_UNPLUGGED,
	MEM_IS_MIXED,
};

/* As the driver writes it (5.15.6). */
struct mem_wire_request {
	uint16_t type;
	uint16_t padding[3];
	uint64_t addr;
	uint16_t nr_blocks;
	uint16_t more_padding[3];
};

struct mem_wire_answer {
	uint16_t type;
	uint16_t padding[3];
	uint16_t state;
} __attribute__((packed));

static const struct metric dev_mem_metrics[] = {
	METRIC(struct mem_metrics, activate_fails),
	METRIC(struct mem_metrics, queue_event_fails),
	METRIC(struct mem_metrics, queue_event_count),
	METRIC_AGG(struct mem_metrics, plug_agg),
	METRIC(struct mem_metrics, plug_count),
	METRIC(struct mem_metrics, plug_bytes),
	METRIC(struct mem_metrics, plug_fails),
	METRIC_AGG(struct mem_metrics, unplug_agg),
	METRIC(struct mem_metrics, unplug_count),
	METRIC(struct mem_metrics, unplug_bytes),
	METRIC(struct mem_metrics, unplug_fails),
	METRIC(struct mem_metrics, unplug_discard_fails),
	METRIC_AGG(struct mem_metrics, unplug_all_agg),
	METRIC(struct mem_metrics, unplug_all_count),
	METRIC(struct mem_metrics, unplug_all_fails),
	METRIC_AGG(struct mem_metrics, state_agg),
	METRIC(struct mem_metrics, state_count),
	METRIC(struct mem_metrics, state_fails),
};

const struct metric_group mem_metric_group = {
	"memory_hotplug",
	dev_mem_metrics,
	ARRAY_SIZE(dev_mem_metrics),
};

static struct mem_dev *mem_dev_of(struct virtio_dev *dev)
{
	return container_of(dev, struct mem_dev, dev);
}

/* ---- blocks ---- */

/* A run of blocks of the region, bytes. */
struct mem_range {
	gpa_t gpa;
	uint64_t len;
};

static uint64_t mem_plugged_in(const struct mem_dev *m, struct mem_range range)
{
	return gmem_plugged(m->region, range.gpa, range.len);
}

/* The part of @range from @at on that is in one slot of KVM's. */
static struct mem_range mem_slot_part(const struct mem_dev *m,
				      struct mem_range range, gpa_t at)
{
	uint64_t slot = m->region->slot_bytes;
	uint64_t left = slot - (at - m->region->gpa) % slot;
	uint64_t end = range.gpa + range.len;

	return (struct mem_range){at, left < end - at ? left : end - at};
}

/* The slot that @at is in is there, while a block of it is plugged. */
static bool mem_has_slot(const struct mem_dev *m, gpa_t at, uint64_t *off)
{
	uint64_t slot = m->region->slot_bytes;

	*off = (at - m->region->gpa) / slot * slot;
	return gmem_plugged(m->region, m->region->gpa + *off, slot) > 0;
}

static int mem_unplug_part(struct mem_dev *m, struct mem_range part)
{
	uint64_t plugged = mem_plugged_in(m, part), off;
	int r;

	if (plugged == 0)
		return 0;
	r = gmem_unplug(m->mem, part.gpa, part.len);
	assert(r == 0);
	m->space.plugged_size -= plugged;
	if (mem_has_slot(m, part.gpa, &off))
		return gmem_empty(m->mem, part.gpa, part.len);
	/* With what the guest left beside its blocks. */
	r = m->slots.set(m->slots.ctx, off, false);
	if (r == 0)
		r = gmem_empty(m->mem, m->region->gpa + off,
			       m->region->slot_bytes);
	return r;
}

/* What of @range is plugged is not any more. */
static void mem_unplug_range(struct mem_dev *m, struct mem_range range)
{
	struct mem_range part;

	for (gpa_t at = range.gpa; at < range.gpa + range.len; at += part.len) {
		part = mem_slot_part(m, range, at);
		if (mem_unplug_part(m, part) < 0)
			metric_inc(&m->metrics.unplug_discard_fails);
	}
}

/* Nothing of @range is plugged. Return: 0 or -errno: nothing is, then. */
static int mem_plug_range(struct mem_dev *m, struct mem_range range, bool anew)
{
	struct mem_range part;
	int r = 0;

	for (gpa_t at = range.gpa; at < range.gpa + range.len && r == 0;
	     at += part.len) {
		uint64_t off;

		part = mem_slot_part(m, range, at);
		if (!mem_has_slot(m, at, &off))
			r = m->slots.set(m->slots.ctx, off, true);
		if (r == 0)
			r = gmem_plug(m->mem, part.gpa, part.len, anew);
		if (r == 0)
			m->space.plugged_size += part.len;
	}
	if (r < 0)
		mem_unplug_range(m, range);
	return r;
}

/* As much as was requested, in whole slots. A part that is plugged stays
 * usable: until all are unplugged it only grows. */
static void mem_set_usable(struct mem_dev *m, uint64_t least)
{
	uint64_t slot = m->region->slot_bytes;
	uint64_t usable = (m->space.requested_size + slot - 1) / slot * slot;

	m->space.usable_region_size = usable > least ? usable : least;
}

/* ---- requests ---- */

/* Return: whether @q names blocks of the usable part. */
static bool mem_range_of(const struct mem_dev *m,
			 const struct mem_wire_request *q,
			 struct mem_range *range)
{
	uint64_t block = m->space.block_size;

	*range = (struct mem_range){q->addr, q->nr_blocks * block};
	return range->len > 0 && q->addr >= m->space.addr &&
	       is_aligned(q->addr - m->space.addr, block) &&
	       range_fits(q->addr - m->space.addr, range->len,
			  m->space.usable_region_size);
}

static enum mem_answer mem_plug(struct mem_dev *m,
				const struct mem_wire_request *q)
{
	struct mem_range range;

	if (!mem_range_of(m, q, &range) || mem_plugged_in(m, range) > 0)
		return MEM_ERROR;
	if (m->space.plugged_size > m->space.requested_size ||
	    range.len > m->space.requested_size - m->space.plugged_size)
		return MEM_NACK;
	if (mem_plug_range(m, range, true) < 0)
		return MEM_BUSY;
	metric_add(&m->metrics.plug_bytes, range.len);
	return MEM_ACK;
}

static enum mem_answer mem_unplug(struct mem_dev *m,
				  const struct mem_wire_request *q)
{
	struct mem_range range;

	if (!mem_range_of(m, q, &range) || mem_plugged_in(m, range) < range.len)
		return MEM_ERROR;
	mem_unplug_range(m, range);
	metric_add(&m->metrics.unplug_bytes, range.len);
	return MEM_ACK;
}

static enum mem_answer mem_unplug_all(struct mem_dev *m)
{
	if (m->space.plugged_size > 0)
		mem_unplug_range(
			m, (struct mem_range){m->region->gpa, m->region->size});
	mem_set_usable(m, 0);
	virtio_dev_config_changed(&m->dev);
	return MEM_ACK;
}

static enum mem_answer mem_tell_state(const struct mem_dev *m,
				      const struct mem_wire_request *q,
				      uint16_t *state)
{
	struct mem_range range;
	uint64_t plugged;

	if (!mem_range_of(m, q, &range))
		return MEM_ERROR;
	plugged = mem_plugged_in(m, range);
	*state = plugged == 0          ? MEM_IS_UNPLUGGED
		 : plugged < range.len ? MEM_IS_MIXED
				       : MEM_IS_PLUGGED;
	return MEM_ACK;
}

/* What is counted of a kind of request. */
struct mem_counted {
	metric_t *count;
	metric_t *fails;
	struct metric_agg *agg;
};

static struct mem_counted mem_counted_of(struct mem_dev *m, uint16_t type)
{
	struct mem_metrics *c = &m->metrics;

	switch (type) {
	case MEM_PLUG:
		return (struct mem_counted){&c->plug_count, &c->plug_fails,
					    &c->plug_agg};
	case MEM_UNPLUG:
		return (struct mem_counted){&c->unplug_count, &c->unplug_fails,
					    &c->unplug_agg};
	case MEM_UNPLUG_ALL:
		return (struct mem_counted){&c->unplug_all_count,
					    &c->unplug_all_fails,
					    &c->unplug_all_agg};
	default:
		return (struct mem_counted){&c->state_count, &c->state_fails,
					    &c->state_agg};
	}
}

static enum mem_answer mem_do(struct mem_dev *m,
			      const struct mem_wire_request *q, uint16_t *state)
{
	struct mem_counted counted = mem_counted_of(m, q->type);
	uint64_t begin_ns = now_ns();
	enum mem_answer answer = MEM_ERROR;

	switch (q->type) {
	case MEM_PLUG:
		answer = mem_plug(m, q);
		break;
	case MEM_UNPLUG:
		answer = mem_unplug(m, q);
		break;
	case MEM_UNPLUG_ALL:
		answer = mem_unplug_all(m);
		break;
	case MEM_STATE:
		answer = mem_tell_state(m, q, state);
		break;
	default:
		metric_inc(&m->metrics.queue_event_fails);
		return MEM_ERROR;
	}
	metric_inc(counted.count);
	if (answer != MEM_ACK)
		metric_inc(counted.fails);
	metric_agg_add(counted.agg, (now_ns() - begin_ns) / 1000);
	return answer;
}

/* Return: bytes that count for the wake-up. */
static uint64_t mem_serve(struct mem_dev *m, struct virtq *q,
			  const struct virtq_chain *chain)
{
	struct mem_wire_request request;
	struct mem_wire_answer answer = {0};
	uint16_t state = 0;
	uint64_t before = m->space.plugged_size;

	if (chain->out_bytes < sizeof(request) ||
	    chain->in_bytes < sizeof(answer)) {
		metric_inc(&m->metrics.queue_event_fails);
		virtq_push(q, chain->head, 0);
		return MEM_LOOK_BYTES;
	}
	(void)iov_read(chain->out, chain->nr_out, 0, &request, sizeof(request));
	answer.type = (uint16_t)mem_do(m, &request, &state);
	answer.state = state;
	(void)iov_write(chain->in, chain->nr_in, 0, &answer, sizeof(answer));
	virtq_push(q, chain->head, sizeof(answer));
	return MEM_LOOK_BYTES + (before > m->space.plugged_size
					 ? before - m->space.plugged_size
					 : m->space.plugged_size - before);
}

/* Return: what virtq_pop() said last; 1 when the rest has to wait. */
static int mem_serve_some(struct mem_dev *m, struct virtq *q, uint64_t *left)
{
	struct virtq_chain chain;
	int r = 0;

	while (*left > 0 &&
	       (r = virtq_pop(q, m->iov, ARRAY_SIZE(m->iov), &chain)) > 0) {
		uint64_t n = mem_serve(m, q, &chain);

		*left -= n < *left ? n : *left;
	}
	return *left > 0 ? r : 1;
}

static void mem_kick(struct virtio_dev *dev)
{
	struct mem_dev *m = mem_dev_of(dev);
	struct virtq *q = &dev->queue[0];
	uint64_t malformed = q->malformed;
	uint64_t left = MEM_WAKE_BYTES;
	int r;

	metric_inc(&m->metrics.queue_event_count);
	do {
		r = mem_serve_some(m, q, &left);
		left -= left < MEM_LOOK_BYTES ? left : MEM_LOOK_BYTES;
	} while (r == 0 && virtq_enable_kicks(q));
	if (r > 0)
		virtio_dev_schedule(dev);
	metric_add(&m->metrics.queue_event_fails, q->malformed - malformed);
	virtio_dev_publish(dev, q);
	if (r < 0)
		virtio_dev_broken(dev, "its ring makes no sense");
}

static int mem_activate(struct virtio_dev *dev)
{
	if (virtio_dev_has(dev, MEM_F_UNPLUGGED_INACCESSIBLE))
		return 0;
	metric_inc(&mem_dev_of(dev)->metrics.activate_fails);
	return -EINVAL;
}

static void mem_destroy(struct virtio_dev *dev)
{
	virtio_dev_fini(dev);
	free(mem_dev_of(dev));
}

/* ---- saved state ---- */

/* @plugged: a bit per block, four to a hexadecimal digit, the first block
 * lowest in the first digit. */
struct mem_saved {
	uint64_t addr;
	uint64_t requested_size;
	uint64_t usable_region_size;
	char *plugged;
};

static const struct schema_field mem_saved_fields[] = {
	SCHEMA_STATE_UINT(struct mem_saved, addr),
	SCHEMA_STATE_UINT(struct mem_saved, requested_size),
	SCHEMA_STATE_UINT(struct mem_saved, usable_region_size),
	{SCHEMA_STATE("plugged", SCHEMA_STRING, struct mem_saved, plugged)},
};

static const struct schema_object mem_saved_schema =
	SCHEMA_STATE_OF(struct mem_saved, mem_saved_fields);

static size_t mem_digits(const struct mem_dev *m)
{
	return (m->region->size / m->region->block_bytes + 3) / 4;
}

/* Of four blocks, as far as there are so many. */
static unsigned int mem_digit(const struct mem_dev *m, size_t at)
{
	const struct gmem_region *r = m->region;
	unsigned int digit = 0;

	for (unsigned int i = 0; i < 4; i++) {
		uint64_t off = (at * 4 + i) * r->block_bytes;

		if (off < r->size &&
		    gmem_plugged(r, r->gpa + off, r->block_bytes) > 0)
			digit |= 1u << i;
	}
	return digit;
}

/* Without memory the text stays NULL, which is no state that loads. */
static void mem_save(struct virtio_dev *dev, void *state)
{
	const struct mem_dev *m = mem_dev_of(dev);
	size_t nr = mem_digits(m);
	char *text = malloc(nr + 1);

	for (size_t i = 0; text && i < nr; i++)
		text[i] = "0123456789abcdef"[mem_digit(m, i)];
	if (text)
		text[nr] = '\0';
	*(struct mem_saved *)state = (struct mem_saved){
		.addr = m->space.addr,
		.requested_size = m->space.requested_size,
		.usable_region_size = m->space.usable_region_size,
		.plugged = text,
	};
}

static int mem_load_digit(struct mem_dev *m, size_t at, char c)
{
	const char *digits = "0123456789abcdef", *p = strchr(digits, c);
	unsigned int bits = p ? (unsigned int)(p - digits) : 0;
	const struct gmem_region *r = m->region;
	int rc = c != '\0' && p ? 0 : -EINVAL;

	for (unsigned int i = 0; i < 4 && rc == 0; i++) {
		uint64_t off = (at * 4 + i) * r->block_bytes;

		if (!(bits & 1u << i))
			continue;
		rc = off < m->space.usable_region_size
			     ? mem_plug_range(
				       m,
				       (struct mem_range){r->gpa + off,
							  r->block_bytes},
				       false)
			     : -EINVAL;
	}
	return rc;
}

static bool mem_saved_fits(const struct mem_dev *m, const struct mem_saved *s)
{
	uint64_t block = m->space.block_size;

	return s->addr == m->space.addr &&
	       s->requested_size <= m->space.region_size &&
	       s->usable_region_size <= m->space.region_size &&
	       is_aligned(s->requested_size, block) &&
	       s->usable_region_size % m->region->slot_bytes == 0 &&
	       s->requested_size <= s->usable_region_size &&
	       strlen(s->plugged) == mem_digits(m);
}

static int mem_load(struct virtio_dev *dev, const void *state, struct err *err)
{
	const struct mem_saved *s = state;
	struct mem_dev *m = mem_dev_of(dev);
	int r = 0;

	if (!mem_saved_fits(m, s))
		return err_set(err, -EINVAL,
			       "the plugged memory is not that of the region");
	m->space.requested_size = s->requested_size;
	m->space.usable_region_size = s->usable_region_size;
	for (size_t i = 0; s->plugged[i] && r == 0; i++)
		r = mem_load_digit(m, i, s->plugged[i]);
	return r < 0 ? err_set(err, r, "cannot plug the guest's memory: %s",
			       err_name(r))
		     : 0;
}

static const struct virtio_dev_ops mem_ops = {
	.id = 24,
	.activate = mem_activate,
	.kick = mem_kick,
	.destroy = mem_destroy,
	.state = &mem_saved_schema,
	.save = mem_save,
	.load = mem_load,
};

/* ---- for the machine ---- */

int mem_dev_new(struct mem_dev **out, struct gmem *mem, struct loop *loop,
		const struct mem_slots *slots, struct err *err)
{
	struct mem_dev *m = calloc(1, sizeof(*m));
	struct virtio_dev_params common = {
		.ops = &mem_ops,
		.name = "memory",
		.mem = mem,
		.loop = loop,
		.features = MEM_F_UNPLUGGED_INACCESSIBLE,
		.nr_queues = 1,
		.queue_max = VIRTQ_MAX_SIZE,
		.config_bytes = sizeof(m->space),
	};
	int r;

	if (!m)
		return err_set(err, -ENOMEM, "Out of memory");
	m->mem = mem;
	m->region = gmem_hot(mem);
	m->slots = *slots;
	m->space.block_size = m->region->block_bytes;
	m->space.addr = m->region->gpa;
	m->space.region_size = m->region->size;
	common.config = &m->space;
	r = virtio_dev_init(&m->dev, &common, err);
	if (r < 0) {
		mem_destroy(&m->dev);
		return r;
	}
	*out = m;
	return 0;
}

int mem_dev_request(struct mem_dev *m, uint64_t bytes)
{
	int r = 0;

	virtio_dev_enter(&m->dev);
	if (!m->dev.active)
		r = -ENOTCONN;
	else if (!is_aligned(bytes, m->space.block_size) ||
		 bytes > m->space.region_size)
		r = -EINVAL;
	if (r == 0) {
		m->space.requested_size = bytes;
		mem_set_usable(m, m->space.usable_region_size);
		virtio_dev_config_changed(&m->dev);
	}
	virtio_dev_leave(&m->dev);
	return r;
}

void mem_dev_read(struct mem_dev *m, struct mem_config_space *space)
{
	virtio_dev_enter(&m->dev);
	*space = m->space;
	virtio_dev_leave(&m->dev);
}
