// SPDX-License-Identifier: Apache-2.0
/*
 * pmem.c - virtio pmem device (theory of operation: pmem.h)
 */
#include "dev/pmem.h"

#include "base/iov.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PMEM_FLUSH 0u

/* Answers. */
#define PMEM_OK  0u
#define PMEM_EIO 1u

static const struct metric pmem_metrics_list[] = {
	METRIC(struct pmem_metrics, activate_fails),
	METRIC(struct pmem_metrics, cfg_fails),
	METRIC(struct pmem_metrics, event_fails),
	METRIC(struct pmem_metrics, queue_event_count),
	METRIC(struct pmem_metrics, flush_count),
	METRIC(struct pmem_metrics, rate_limiter_throttled_events),
	METRIC(struct pmem_metrics, rate_limiter_event_count),
};

const struct metric_group pmem_metric_group = {
	"pmem",
	pmem_metrics_list,
	ARRAY_SIZE(pmem_metrics_list),
};

static struct pmem *pmem_of(struct virtio_dev *dev)
{
	return container_of(dev, struct pmem, dev);
}

/* The first 4 bytes that may be written; the chain has as many. */
static void pmem_find_answer(const struct virtq_chain *chain,
			     struct pmem_flush *flush)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < chain->nr_in; i++)
		for (size_t k = 0; k < chain->in[i].iov_len && n < 4; k++)
			flush->answer[n++] =
				(uint8_t *)chain->in[i].iov_base + k;
	assert(n == 4);
}

static void pmem_answer(struct virtq *q, const struct pmem_flush *flush,
			uint32_t answer)
{
	for (unsigned int n = 0; n < 4; n++)
		*flush->answer[n] = (uint8_t)(answer >> 8 * n);
	virtq_push(q, flush->head, sizeof(answer));
}

/* Return: false when the limiter says no. */
static bool pmem_take(struct pmem *p, struct virtq *q,
		      const struct virtq_chain *chain)
{
	struct pmem_flush *flush = &p->flush[p->nr_flushes];
	uint8_t type[4];

	if (chain->out_bytes < sizeof(type) || chain->in_bytes < 4) {
		metric_inc(&p->metrics.event_fails);
		virtq_push(q, chain->head, 0);
		return true;
	}
	if (!rate_limiter_take(&p->limiter, p->file_bytes)) {
		metric_inc(&p->metrics.rate_limiter_throttled_events);
		virtq_unpop(q);
		return false;
	}
	*flush = (struct pmem_flush){.head = chain->head};
	pmem_find_answer(chain, flush);
	(void)iov_read(chain->out, chain->nr_out, 0, type, sizeof(type));
	if (load_le32(type) != PMEM_FLUSH) {
		metric_inc(&p->metrics.event_fails);
		pmem_answer(q, flush, PMEM_EIO);
		return true;
	}
	p->nr_flushes++;
	return true;
}

static int pmem_sync(const struct pmem *p)
{
	int r;

	if (p->read_only)
		return 0;
	do
		r = fdatasync(p->fd) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r;
}

/* All that was taken: one call for what was stored before the last of it. */
static void pmem_flush_all(struct pmem *p, struct virtq *q)
{
	int r = p->nr_flushes > 0 ? pmem_sync(p) : 0;

	if (r < 0) {
		metric_add(&p->metrics.event_fails, p->nr_flushes);
		log_guest(LOG_ERROR, "%s: the host cannot flush its file: %s",
			  p->dev.name, err_name(r));
	}
	metric_add(&p->metrics.flush_count, p->nr_flushes);
	for (unsigned int i = 0; i < p->nr_flushes; i++)
		pmem_answer(q, &p->flush[i], r < 0 ? PMEM_EIO : PMEM_OK);
	p->nr_flushes = 0;
}

/* As many as a ring holds. Return: as virtq_pop(); 1: the rest has to wait. */
static int pmem_take_all(struct pmem *p, struct virtq *q)
{
	struct virtq_chain chain;
	int r = 1;

	for (unsigned int n = 0; n < ARRAY_SIZE(p->flush); n++) {
		r = virtq_pop(q, p->iov, ARRAY_SIZE(p->iov), &chain);
		if (r <= 0)
			return r;
		if (!pmem_take(p, q, &chain))
			return 1;
	}
	return r;
}

static void pmem_kick(struct virtio_dev *dev)
{
	struct pmem *p = pmem_of(dev);
	struct virtq *q = &dev->queue[0];
	uint64_t malformed = q->malformed;
	int r;

	metric_inc(&p->metrics.queue_event_count);
	r = pmem_take_all(p, q);
	pmem_flush_all(p, q);
	metric_add(&p->metrics.event_fails, q->malformed - malformed);
	virtio_dev_publish(dev, q);
	if (r < 0)
		virtio_dev_broken(dev, "its ring makes no sense");
	else if (r > 0 ? !p->limiter.blocked : virtq_enable_kicks(q))
		virtio_dev_schedule(dev);
}

static void pmem_limiter_ready(struct rate_limiter *limiter)
{
	struct pmem *p = container_of(limiter, struct pmem, limiter);

	virtio_dev_enter(&p->dev);
	metric_inc(&p->metrics.rate_limiter_event_count);
	if (virtio_dev_running(&p->dev))
		pmem_kick(&p->dev);
	virtio_dev_leave(&p->dev);
}

static void pmem_destroy(struct virtio_dev *dev)
{
	struct pmem *p = pmem_of(dev);

	rate_limiter_fini(&p->limiter);
	virtio_dev_fini(dev);
	free(p);
}

/* ---- saved state ---- */

struct pmem_saved {
	uint64_t start;
	uint64_t size;
	uint64_t file_bytes;
};

static const struct schema_field pmem_saved_fields[] = {
	SCHEMA_STATE_UINT(struct pmem_saved, start),
	SCHEMA_STATE_UINT(struct pmem_saved, size),
	SCHEMA_STATE_UINT(struct pmem_saved, file_bytes),
};

static const struct schema_object pmem_saved_schema =
	SCHEMA_STATE_OF(struct pmem_saved, pmem_saved_fields);

static void pmem_save(struct virtio_dev *dev, void *state)
{
	const struct pmem *p = pmem_of(dev);

	*(struct pmem_saved *)state = (struct pmem_saved){
		.start = p->space.start,
		.size = p->space.size,
		.file_bytes = p->file_bytes,
	};
}

static int pmem_load(struct virtio_dev *dev, const void *state, struct err *err)
{
	const struct pmem_saved *s = state;
	const struct pmem *p = pmem_of(dev);

	if (s->file_bytes != p->file_bytes)
		return err_set(err, -EINVAL,
			       "its file has %llu bytes and had %llu when the "
			       "VM was saved: it needs a copy of that one",
			       (unsigned long long)p->file_bytes,
			       (unsigned long long)s->file_bytes);
	if (s->start != p->space.start || s->size != p->space.size)
		return err_set(err, -EINVAL,
			       "the guest has its file elsewhere");
	return 0;
}

static const struct virtio_dev_ops pmem_ops = {
	.id = 27,
	.kick = pmem_kick,
	.destroy = pmem_destroy,
	.state = &pmem_saved_schema,
	.save = pmem_save,
	.load = pmem_load,
};

int pmem_new(struct pmem **out, const struct pmem_params *params,
	     struct err *err)
{
	struct pmem *p = calloc(1, sizeof(*p));
	struct virtio_dev_params common = {
		.ops = &pmem_ops,
		.mem = params->mem,
		.loop = params->loop,
		.nr_queues = 1,
		.queue_max = VIRTQ_MAX_SIZE,
		.config_bytes = sizeof(p->space),
	};
	char name[80];
	int r;

	if (!p)
		return err_set(err, -ENOMEM, "Out of memory");
	(void)snprintf(name, sizeof(name), "pmem %.64s", params->id);
	common.name = name;
	common.config = &p->space;
	p->space.start = params->region->gpa;
	p->space.size = params->region->size;
	p->read_only = params->region->read_only;
	p->fd = params->fd;
	p->file_bytes = params->file_bytes;
	rate_limiter_init(&p->limiter, params->loop, pmem_limiter_ready);
	r = virtio_dev_init(&p->dev, &common, err);
	if (r < 0) {
		pmem_destroy(&p->dev);
		return r;
	}
	*out = p;
	return 0;
}
