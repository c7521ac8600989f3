// SPDX-License-Identifier: Apache-2.0
/*
 * rng.c - virtio entropy device (theory of operation: rng.h)
 */
#include "dev/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* What one wake-up serves before the loop goes round. */
#define BATCH_BYTES RNG_REQUEST_MAX
/* Another look at the ring counts as much: it may be empty when we look. */
#define LOOK_BYTES (BATCH_BYTES / 16)

static const struct metric dev_rng_metrics[] = {
	METRIC(struct rng_metrics, activate_fails),
	METRIC(struct rng_metrics, entropy_event_fails),
	METRIC(struct rng_metrics, entropy_event_count),
	METRIC(struct rng_metrics, entropy_bytes),
	METRIC(struct rng_metrics, host_rng_fails),
	METRIC(struct rng_metrics, entropy_rate_limiter_throttled),
	METRIC(struct rng_metrics, rate_limiter_event_count),
};

const struct metric_group rng_metric_group = {
	"entropy",
	dev_rng_metrics,
	ARRAY_SIZE(dev_rng_metrics),
};

static struct rng *rng_of(struct virtio_dev *dev)
{
	return container_of(dev, struct rng, dev);
}

static int fill_buffer(uint8_t *buf, size_t len)
{
	while (len > 0) {
		/* Long calls are cut short by signals. */
		ssize_t n = getrandom(buf, len, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Return: bytes written, from the start of the chain. */
static uint32_t fill_chain(struct rng *rng, const struct virtq_chain *chain,
			   uint32_t len)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < chain->nr_in && done < len; i++) {
		size_t n = chain->in[i].iov_len;

		if (n > len - done)
			n = len - done;
		if (fill_buffer(chain->in[i].iov_base, n) < 0) {
			metric_inc(&rng->metrics.host_rng_fails);
			break;
		}
		done += (uint32_t)n;
	}
	return done;
}

/* Return: bytes that count for the batch; 0 when the limiter says no. */
static uint32_t rng_serve(struct rng *rng, struct virtq *q,
			  const struct virtq_chain *chain)
{
	uint32_t len = chain->in_bytes, done;

	if (len > RNG_REQUEST_MAX)
		len = RNG_REQUEST_MAX;
	if (!rate_limiter_take(&rng->limiter, len)) {
		metric_inc(&rng->metrics.entropy_rate_limiter_throttled);
		virtq_unpop(q);
		return 0;
	}
	metric_inc(&rng->metrics.entropy_event_count);
	done = fill_chain(rng, chain, len);
	metric_add(&rng->metrics.entropy_bytes, done);
	if (done == 0)
		metric_inc(&rng->metrics.entropy_event_fails);
	virtq_push(q, chain->head, done);
	return len + 1;
}

/* @left is taken from. Return: false when nothing is left: a kick goes on. */
static bool rng_spend(struct rng *rng, uint32_t *left, uint32_t n)
{
	if (n >= *left) {
		virtio_dev_schedule(&rng->dev);
		return false;
	}
	*left -= n;
	return true;
}

/* Return: what virtq_pop() said last; 1 when there is a reason to stop. */
static int serve_some(struct rng *rng, struct virtq *q, uint32_t *left)
{
	struct virtq_chain chain;
	int r;

	while ((r = virtq_pop(q, rng->iov, ARRAY_SIZE(rng->iov), &chain)) > 0) {
		uint32_t n = rng_serve(rng, q, &chain);

		if (n == 0 || !rng_spend(rng, left, n))
			return 1;
	}
	return r;
}

static void rng_kick(struct virtio_dev *dev)
{
	struct rng *rng = rng_of(dev);
	struct virtq *q = &dev->queue[0];
	uint64_t malformed = q->malformed;
	uint32_t left = BATCH_BYTES;
	int r;

	do
		r = serve_some(rng, q, &left);
	while (r == 0 && virtq_enable_kicks(q) &&
	       rng_spend(rng, &left, LOOK_BYTES));
	metric_add(&rng->metrics.entropy_event_fails, q->malformed - malformed);
	virtio_dev_publish(dev, q);
	if (r < 0)
		virtio_dev_broken(dev, "its ring makes no sense");
}

static void rng_limiter_ready(struct rate_limiter *limiter)
{
	struct rng *rng = container_of(limiter, struct rng, limiter);

	virtio_dev_enter(&rng->dev);
	metric_inc(&rng->metrics.rate_limiter_event_count);
	if (virtio_dev_running(&rng->dev))
		rng_kick(&rng->dev);
	virtio_dev_leave(&rng->dev);
}

static void rng_destroy(struct virtio_dev *dev)
{
	struct rng *rng = rng_of(dev);

	rate_limiter_fini(&rng->limiter);
	virtio_dev_fini(dev);
	free(rng);
}

static const struct virtio_dev_ops rng_ops = {
	.id = 4,
	.kick = rng_kick,
	.destroy = rng_destroy,
};

int rng_new(struct rng **out, const struct gmem *mem, struct loop *loop,
	    struct err *err)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	const struct virtio_dev_params params = {
		.ops = &rng_ops,
		.name = "entropy",
		.mem = mem,
		.loop = loop,
		.nr_queues = 1,
		.queue_max = VIRTQ_MAX_SIZE,
	};
	int r;

	if (!rng)
		return err_set(err, -ENOMEM, "Out of memory");
	rate_limiter_init(&rng->limiter, loop, rng_limiter_ready);
	r = virtio_dev_init(&rng->dev, &params, err);
	if (r < 0) {
		rng_destroy(&rng->dev);
		return r;
	}
	*out = rng;
	return 0;
}
