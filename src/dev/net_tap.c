// SPDX-License-Identifier: Apache-2.0
/*
 * net_tap.c - a tap as a source of frames (theory of operation: net_source.h)
 */
#include "dev/net_parts.h"

#include "base/fd.h"

#include <errno.h>

static int net_tap_claim(struct net_dev *n, struct err *err)
{
	(void)n;
	(void)err;
	return 0;
}

/* A tap is always there: whoever looks at it moves frames. */
static int net_tap_start(struct net_dev *n)
{
	(void)n;
	return 0;
}

static void nothing(struct net_dev *n)
{
	(void)n;
}

static void net_tap_kick(struct net_dev *n)
{
	if (virtq_has_work(&n->dev.queue[NET_QUEUE_TX])) {
		metric_inc(&n->metrics.tx_queue_event_count);
		net_tx_run(n);
	}
	if (virtio_dev_running(&n->dev))
		net_rx_kick(n);
}

static ssize_t read_packet(struct net_dev *n, const struct iovec *iov,
			   unsigned int nr)
{
	ssize_t len;

	do {
		len = fd_preadv(n->fd, iov, (int)nr, -1);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

static ssize_t write_packet(struct net_dev *n, const struct iovec *iov,
			    unsigned int nr)
{
	ssize_t len;

	do {
		len = fd_pwritev(n->fd, iov, (int)nr, -1, 0);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

const struct net_source_ops net_source_tap = {
	.claim = net_tap_claim,
	.start = net_tap_start,
	.stop = nothing,
	.reset = nothing,
	.kick = net_tap_kick,
	.read = read_packet,
	.write = write_packet,
	.free = nothing,
};
