/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_parts.h - between the parts of the network device (net.h)
 *
 * All with the device's lock held, on the VMM thread unless said otherwise.
 */
#pragma once

#include "dev/net.h"

static inline struct net_dev *net_of(struct virtio_dev *dev)
{
	return container_of(dev, struct net_dev, dev);
}

/* Chains that the queue returned unread are counted as frames of ours. */
static inline void net_count_malformed(const struct virtq *q, uint64_t *seen,
				       metric_t *metric)
{
	metric_add(metric, q->malformed - *seen);
	*seen = q->malformed;
}

/* Send what the guest has made available, a burst at most. */
void net_tx_run(struct net_dev *n);
void net_tx_init(struct net_dev *n);
void net_tx_fini(struct net_dev *n);

/* Receive what the tap has, a burst at most; settles in a state of net.h. */
void net_rx_run(struct net_dev *n);

/* The guest may have added buffers, or just started. */
void net_rx_kick(struct net_dev *n);

/* Forget the held chains: the queue is reset. Any thread. */
void net_rx_reset(struct net_dev *n);

/* Show a deferred frame, give the held chains back to the queue. */
void net_rx_drain(struct net_dev *n);
void net_rx_init(struct net_dev *n);

/* The source is full, or no longer: the loop watches for that. */
void net_rx_watch_out(struct net_dev *n);

/* It is watched by the next run. */
void net_rx_set_tap(struct net_dev *n, int fd);
void net_rx_fini(struct net_dev *n);

/* The source with the metadata service: there is a timer, stopped. */
void net_mmds_init(struct net_dev *n, struct mmds *service, struct loop *loop);

/* Has it been? */
bool net_tap_deleted(const struct net_dev *n);

/* The tap was deleted, or the stream ended: the guest's link goes down, once.
 * @why: a sentence for the log */
void net_lost_tap(struct net_dev *n, const char *why);

#define NET_TAP_DELETED "the tap was deleted"
