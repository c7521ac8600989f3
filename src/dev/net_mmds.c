// SPDX-License-Identifier: Apache-2.0
/*
 * net_mmds.c - a tap with the metadata service before it (net_source.h)
 *
 * What the guest sends is shown to the service first (mmds/stack.h): it ends
 * there or goes on to the tap. What the service has for the guest comes before
 * what the tap has. As no descriptor tells of that, a kick that made an answer
 * is followed by a round of receiving, and so is the end of the service's
 * timer.
 */
#include "dev/net_parts.h"

#include "base/iov.h"

#include <errno.h>

static int net_mmds_claim(struct net_dev *n, struct err *err)
{
	n->mmds.stack =
		mmds_stack_new(n->mmds.service, n->has_mtu ? n->config.mtu : 0);
	return n->mmds.stack ? net_source_tap.claim(n, err)
			     : err_set(err, -ENOMEM, "Out of memory");
}

static int net_mmds_start(struct net_dev *n)
{
	return net_source_tap.start(n);
}

static void net_mmds_stop(struct net_dev *n)
{
	net_source_tap.stop(n);
}

static void net_mmds_reset(struct net_dev *n)
{
	mmds_stack_reset(n->mmds.stack);
	net_source_tap.reset(n);
}

/* The timer ends when the service's first one does. */
static void set_timer(struct net_dev *n)
{
	uint64_t deadline = mmds_stack_deadline(n->mmds.stack);
	uint64_t now;

	if (deadline == n->mmds.deadline_ns)
		return;
	n->mmds.deadline_ns = deadline;
	if (deadline == 0) {
		timer_stop(&n->mmds.timer);
		return;
	}
	now = now_ns();
	timer_set(&n->mmds.timer, deadline > now ? deadline - now : 1, 0);
}

static void net_mmds_kick(struct net_dev *n)
{
	net_source_tap.kick(n);
	if (virtio_dev_running(&n->dev) && mmds_stack_waits(n->mmds.stack))
		net_rx_run(n);
	set_timer(n);
}

static void on_mmds_timer(struct timer *timer)
{
	struct net_dev *n = container_of(timer, struct net_dev, mmds.timer);

	virtio_dev_enter(&n->dev);
	n->mmds.deadline_ns = 0;
	/* Of a VM that is paused the kick of its resume sets it again. */
	if (virtio_dev_running(&n->dev)) {
		mmds_stack_tick(n->mmds.stack, now_ns());
		if (mmds_stack_waits(n->mmds.stack))
			net_rx_run(n);
		set_timer(n);
	}
	virtio_dev_leave(&n->dev);
}

static ssize_t net_mmds_read(struct net_dev *n, const struct iovec *iov,
			     unsigned int nr)
{
	static const struct net_hdr plain;
	uint8_t frame[MMDS_GIVE_MAX];
	size_t len = mmds_stack_give(n->mmds.stack, frame, now_ns());

	if (len == 0)
		return net_source_tap.read(n, iov, nr);
	(void)iov_write(iov, nr, 0, &plain, sizeof(plain));
	(void)iov_write(iov, nr, sizeof(plain), frame, len);
	return (ssize_t)(sizeof(plain) + len);
}

/* Copied once: the guest may change its frame meanwhile. */
static void take_frame(struct net_dev *n, const struct iovec *iov,
		       unsigned int nr, size_t whole)
{
	uint8_t *frame = n->mmds.frame;
	struct net_hdr hdr = {0};
	size_t len;

	(void)iov_read(iov, nr, 0, &hdr, sizeof(hdr));
	len = iov_read(iov, nr, sizeof(hdr), frame, MMDS_FRAME_MAX);
	mmds_stack_take(n->mmds.stack, frame, len, whole,
			hdr.flags & NET_HDR_F_NEEDS_CSUM, now_ns());
}

static ssize_t net_mmds_write(struct net_dev *n, const struct iovec *iov,
			      unsigned int nr)
{
	uint8_t head[MMDS_HEAD_BYTES];
	size_t len = iov_read(iov, nr, NET_HDR_BYTES, head, sizeof(head));

	if (!mmds_stack_wants(n->mmds.stack, head, len))
		return net_source_tap.write(n, iov, nr);
	take_frame(n, iov, nr, (size_t)iov_bytes(iov, nr) - NET_HDR_BYTES);
	return 0;
}

static bool net_mmds_waits(const struct net_dev *n)
{
	return mmds_stack_waits(n->mmds.stack);
}

static void net_mmds_free(struct net_dev *n)
{
	timer_stop(&n->mmds.timer);
	mmds_stack_free(n->mmds.stack);
	n->mmds.stack = NULL;
	net_source_tap.free(n);
}

void net_mmds_init(struct net_dev *n, struct mmds *service, struct loop *loop)
{
	n->mmds.service = service;
	timer_init(&n->mmds.timer, loop, on_mmds_timer);
}

const struct net_source_ops net_source_mmds = {
	.claim = net_mmds_claim,
	.start = net_mmds_start,
	.stop = net_mmds_stop,
	.reset = net_mmds_reset,
	.kick = net_mmds_kick,
	.read = net_mmds_read,
	.write = net_mmds_write,
	.waits = net_mmds_waits,
	.free = net_mmds_free,
};
