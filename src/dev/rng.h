/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.h - virtio entropy device (virtio 1.2, 5.4)
 *
 * Theory of operation
 *
 * One queue; each chain is filled with bytes of the host's getrandom(), right
 * into guest memory: nothing is allocated, whatever length the guest asks for.
 * A request yields at most RNG_REQUEST_MAX bytes (the driver is told how many).
 * It waits as a whole while the rate limiter does not let that many pass. One
 * wake-up serves a bounded number of bytes and then lets the event loop see to
 * the rest of the VM.
 *
 * There is no state but that of the queue.
 */
#pragma once

#include "base/metrics.h"
#include "host/rate_limiter.h"
#include "virtio/device.h"

#define RNG_REQUEST_MAX 65536u

/* Firecracker's `entropy` metrics. */
struct rng_metrics {
	metric_t activate_fails;
	metric_t entropy_event_fails;
	metric_t entropy_event_count;
	metric_t entropy_bytes;
	metric_t host_rng_fails;
	metric_t entropy_rate_limiter_throttled;
	metric_t rate_limiter_event_count;
};

extern const struct metric_group rng_metric_group;

/**
 * struct rng - the device
 * @limiter:	set it before the guest runs
 * @iov:	the chain that is being served
 */
struct rng {
	struct virtio_dev dev;
	struct rng_metrics metrics;
	struct rate_limiter limiter;
	struct iovec iov[VIRTQ_MAX_SIZE];
};

/* Return: 0 and *@out, or -errno with a sentence. dev.ops->destroy() frees. */
int rng_new(struct rng **out, const struct gmem *mem, struct loop *loop,
	    struct err *err) __must_check;
