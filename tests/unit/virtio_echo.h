/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_echo.h - a device for tests of the virtio core
 *
 * It writes what a chain holds for reading to the same chain's buffers for
 * writing, on each of its queues. It can hold on to chains instead, as a device
 * with a slow back end does, and finishes them when it is told.
 */
#pragma once

#include "base/iov.h"
#include "virtio/device.h"

#include <stdlib.h>

#define ECHO_ID        4u /* a number of the standard: drivers know it */
#define ECHO_QUEUES    2u
#define ECHO_QUEUE_MAX VIRTQ_MAX_SIZE
#define ECHO_SEGMENTS  VIRTQ_MAX_SIZE
#define ECHO_HELD_MAX  64u
#define ECHO_FEATURES  0x5ull

/* A chain in the hands of the back end. */
struct echo_held {
	struct virtq *q;
	struct virtq_chain chain;
	struct iovec iov[ECHO_SEGMENTS];
};

/**
 * struct echo - the device
 * @hold:	keep chains until echo_finish()
 * @config:	8 bytes, the upper 4 writable
 * @saw:	called with every chain before it is answered; may be NULL
 */
struct echo {
	struct virtio_dev dev;
	uint8_t config[8];
	bool hold;
	int activate_result;
	unsigned int nr_kicks;
	unsigned int nr_chains;
	unsigned int nr_activated;
	unsigned int nr_resets;
	unsigned int nr_held;
	struct iovec iov[ECHO_SEGMENTS];
	struct echo_held held[ECHO_HELD_MAX];
	void (*saw)(struct echo *echo, struct virtq *q,
		    const struct virtq_chain *chain);
	void *ctx;
};

static inline struct echo *echo_of(struct virtio_dev *dev)
{
	return container_of(dev, struct echo, dev);
}

/* The driver may have it read and written at the same place. */
static inline void echo_answer(struct virtq *q, const struct virtq_chain *chain)
{
	uint32_t done = 0;
	size_t n, written;

	do {
		uint8_t piece[512];

		n = iov_read(chain->out, chain->nr_out, done, piece,
			     sizeof(piece));
		written = iov_write(chain->in, chain->nr_in, done, piece, n);
		done += (uint32_t)written;
	} while (n > 0 && written == n);
	virtq_push(q, chain->head, done);
}

static inline void echo_take(struct echo *echo, struct virtq *q,
			     const struct virtq_chain *chain)
{
	struct echo_held *held;

	echo->nr_chains++;
	if (echo->saw)
		echo->saw(echo, q, chain);
	if (!echo->hold || echo->nr_held == ECHO_HELD_MAX) {
		echo_answer(q, chain);
		return;
	}
	held = &echo->held[echo->nr_held++];
	held->q = q;
	held->chain = *chain;
	memcpy(held->iov, chain->out, sizeof(held->iov));
	held->chain.out = held->iov;
	held->chain.in = held->iov + chain->nr_out;
}

static inline void echo_queue(struct echo *echo, struct virtq *q)
{
	struct virtq_chain chain;
	int r;

	do {
		virtq_disable_kicks(q);
		while ((r = virtq_pop(q, echo->iov, ECHO_SEGMENTS, &chain)) > 0)
			echo_take(echo, q, &chain);
	} while (r == 0 && virtq_enable_kicks(q));
	virtio_dev_publish(&echo->dev, q);
	if (r < 0)
		virtio_dev_broken(&echo->dev, "a ring that makes no sense");
}

static inline void echo_kick(struct virtio_dev *dev)
{
	struct echo *echo = echo_of(dev);

	echo->nr_kicks++;
	for (unsigned int i = 0; i < dev->nr_queues && dev->active; i++)
		echo_queue(echo, &dev->queue[i]);
}

/* The back end is done with all that was held. */
static inline void echo_finish(struct echo *echo)
{
	virtio_dev_enter(&echo->dev);
	for (unsigned int i = 0; i < echo->nr_held; i++) {
		struct echo_held *held = &echo->held[i];

		echo_answer(held->q, &held->chain);
		virtio_dev_publish(&echo->dev, held->q);
	}
	echo->nr_held = 0;
	virtio_dev_leave(&echo->dev);
}

static inline int echo_activate(struct virtio_dev *dev)
{
	struct echo *echo = echo_of(dev);

	echo->nr_activated++;
	return echo->activate_result;
}

static inline int echo_reset(struct virtio_dev *dev)
{
	struct echo *echo = echo_of(dev);

	echo->nr_resets++;
	echo->nr_held = 0;
	return 0;
}

static inline void echo_config_write(struct virtio_dev *dev, uint32_t off,
				     const void *data, uint32_t len)
{
	struct echo *echo = echo_of(dev);

	for (uint32_t i = 0; i < len; i++)
		if (off + i >= 4)
			echo->config[off + i] = ((const uint8_t *)data)[i];
}

static inline void echo_destroy(struct virtio_dev *dev)
{
	virtio_dev_fini(dev);
	free(echo_of(dev));
}

static const struct virtio_dev_ops echo_ops = {
	.id = ECHO_ID,
	.activate = echo_activate,
	.kick = echo_kick,
	.reset = echo_reset,
	.config_write = echo_config_write,
	.destroy = echo_destroy,
};

static inline struct echo *echo_new(const struct gmem *mem, struct loop *loop)
{
	struct echo *echo = calloc(1, sizeof(*echo));
	struct virtio_dev_params params = {
		.ops = &echo_ops,
		.name = "echo",
		.mem = mem,
		.loop = loop,
		.features = ECHO_FEATURES,
		.nr_queues = ECHO_QUEUES,
		.queue_max = ECHO_QUEUE_MAX,
	};
	struct err err = {0};

	if (!echo)
		abort();
	for (unsigned int i = 0; i < sizeof(echo->config); i++)
		echo->config[i] = (uint8_t)(0xc0 + i);
	params.config = echo->config;
	params.config_bytes = sizeof(echo->config);
	if (virtio_dev_init(&echo->dev, &params, &err) < 0)
		abort();
	return echo;
}
