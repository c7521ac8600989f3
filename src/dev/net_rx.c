// SPDX-License-Identifier: Apache-2.0
/*
 * net_rx.c - from the tap to the guest (theory of operation: net.h)
 */
#include "dev/net_parts.h"

#include "base/iov.h"
#include "base/log.h"

#include <errno.h>

#define NUM_BUFFERS_OFF offsetof(struct net_hdr, num_buffers)

/* ---- chains ahead ---- */

static struct net_rx_chain *first_chain(struct net_rx *rx)
{
	return &rx->chain[rx->first_chain];
}

/* Room for one chain more, and for what is beyond. */
static bool make_room(struct net_rx *rx)
{
	const unsigned int chains = ARRAY_SIZE(rx->chain) - 1;
	const unsigned int iovs = NET_RX_IOV - VIRTQ_MAX_SIZE - 1;

	if (rx->first_chain + rx->nr_chains <= chains &&
	    rx->first_iov + rx->nr_iov <= iovs)
		return true;
	memmove(rx->chain, first_chain(rx), rx->nr_chains * sizeof(*rx->chain));
	memmove(rx->iov, rx->iov + rx->first_iov,
		rx->nr_iov * sizeof(*rx->iov));
	rx->first_chain = 0;
	rx->first_iov = 0;
	return rx->nr_chains <= chains && rx->nr_iov <= iovs;
}

static void hold(struct net_rx *rx, const struct virtq *q,
		 const struct virtq_chain *chain)
{
	assert(rx->first_chain + rx->nr_chains < ARRAY_SIZE(rx->chain));
	rx->chain[rx->first_chain + rx->nr_chains++] = (struct net_rx_chain){
		.head = chain->head,
		.at = (uint16_t)(q->next_avail - 1),
		.nr_iov = chain->nr_in,
		.bytes = chain->in_bytes,
	};
	rx->nr_iov += chain->nr_in;
	rx->bytes += chain->in_bytes;
}

/* Take chains until they hold any frame, or there are no more.
 * Return: 0 or -EPROTO. */
static int take_chains(struct net_dev *n, struct virtq *q)
{
	bool merge = virtio_dev_has(&n->dev, NET_F_MRG_RXBUF);
	struct net_rx *rx = &n->rx;
	unsigned int left = q->size; /* another vCPU may add useless ones */

	while (rx->bytes < NET_MAX_PACKET && (merge || rx->nr_chains == 0) &&
	       left-- > 0 && make_room(rx)) {
		struct virtq_chain chain;
		int r = virtq_pop(q, &rx->iov[rx->first_iov + rx->nr_iov],
				  VIRTQ_MAX_SIZE, &chain);

		if (r <= 0)
			return r;
		if (chain.nr_out > 0 || chain.nr_in == 0) {
			metric_inc(&n->metrics.rx_fails);
			virtq_push(q, chain.head, 0);
			continue;
		}
		hold(rx, q, &chain);
	}
	return 0;
}

/* ---- watching the tap ---- */

/* @in: EPOLLIN or 0. Return: 0 or -errno. */
static int net_rx_watch(struct net_dev *n, uint32_t in)
{
	const bool full = n->source->full && n->source->full(n);
	const uint32_t events = in | (full ? EPOLLOUT : 0);
	struct net_rx *rx = &n->rx;

	if (rx->tap.added)
		return loop_mod(n->dev.loop, &rx->tap, events);
	if (events == 0)
		return 0;
	rx->tap.events = events;
	return loop_add(n->dev.loop, &rx->tap);
}

static void unwatch(struct net_dev *n)
{
	if (net_rx_watch(n, 0) < 0)
		loop_del(n->dev.loop, &n->rx.tap);
}

void net_rx_watch_out(struct net_dev *n)
{
	const uint32_t in = n->rx.state == NET_RX_ARMED ? EPOLLIN : 0;

	/* Not watched, it is asked in the next round. */
	if (n->rx.state == NET_RX_DOWN || net_rx_watch(n, in) < 0)
		virtio_dev_schedule(&n->dev);
}

static void net_rx_settle(struct net_dev *n, enum net_rx_state state)
{
	struct net_rx *rx = &n->rx;
	uint64_t wait = 0;

	if (state == NET_RX_ARMED && net_rx_watch(n, EPOLLIN) < 0)
		state = NET_RX_DOWN;
	if (state == NET_RX_DOWN)
		loop_del(n->dev.loop, &rx->tap); /* errors show for ever */
	else if (state != NET_RX_ARMED)
		unwatch(n);
	if (state == NET_RX_DOWN)
		wait = NET_RETRY_NS;
	else if (state == NET_RX_LATE)
		wait = NET_LATE_NS;
	if (wait > 0)
		timer_set(&rx->timer, wait, 0);
	rx->state = state;
}

static void read_failed(struct net_dev *n, int error)
{
	metric_inc(&n->metrics.tap_read_fails);
	metric_inc(&n->metrics.rx_fails);
	if (error == EBADFD)
		net_lost_tap(n, NET_TAP_DELETED);
	else
		log_guest(LOG_WARN, "%s: the tap gave no frame: %s",
			  n->dev.name, err_name(error));
	net_rx_settle(n, NET_RX_DOWN);
}

/* ---- frames ---- */

static ssize_t read_frame(struct net_dev *n)
{
	struct net_rx *rx = &n->rx;
	struct iovec *iov = &rx->iov[rx->first_iov];

	iov[rx->nr_iov] = (struct iovec){
		.iov_base = rx->beyond,
		.iov_len = sizeof(rx->beyond),
	};
	return n->source->read(n, iov, rx->nr_iov + 1);
}

/* What a tap queued before the guest chose other features may not suit it. */
static bool suits(const struct net_dev *n)
{
	static const uint64_t features[] = {
		[NET_GSO_TCPV4] = NET_F_GUEST_TSO4,
		[NET_GSO_UDP] = NET_F_GUEST_UFO,
		[NET_GSO_TCPV6] = NET_F_GUEST_TSO6,
		[NET_GSO_UDP_L4] = NET_F_GUEST_USO4 | NET_F_GUEST_USO6,
	};
	const struct net_rx *rx = &n->rx;
	uint8_t start[2] = {0}; /* flags, gso_type */
	unsigned int type;

	(void)iov_read(&rx->iov[rx->first_iov], rx->nr_iov, 0, start,
		       sizeof(start));
	type = start[1] & ~(unsigned int)NET_GSO_ECN;
	if (start[0] & NET_HDR_F_NEEDS_CSUM &&
	    !virtio_dev_has(&n->dev, NET_F_GUEST_CSUM))
		return false;
	return type == NET_GSO_NONE ||
	       (type < ARRAY_SIZE(features) &&
		virtio_dev_has(&n->dev, features[type]));
}

/* 5.1.6.4.1: no flags for a driver that did not ask for checksums. The bits
 * that are left are those of features that it has. */
static uint8_t flags_for(const struct net_dev *n, uint8_t flags)
{
	const uint8_t known = NET_HDR_F_NEEDS_CSUM | NET_HDR_F_DATA_VALID;

	return virtio_dev_has(&n->dev, NET_F_GUEST_CSUM) ? flags & known : 0;
}

/* What the tap does not write, or not for this driver: not seen before the
 * caller publishes. */
static void finish_header(const struct net_dev *n, const struct iovec *iov,
			  unsigned int nr_iov, uint16_t nr_buffers)
{
	uint8_t num_buffers[2];
	uint8_t flags = 0;

	(void)iov_read(iov, nr_iov, 0, &flags, 1);
	if (flags_for(n, flags) != flags) {
		flags = flags_for(n, flags);
		(void)iov_write(iov, nr_iov, 0, &flags, 1);
	}
	store_le16(num_buffers, nr_buffers);
	(void)iov_write(iov, nr_iov, NUM_BUFFERS_OFF, num_buffers,
			sizeof(num_buffers));
}

/* Show the guest the frame of @len bytes in the first held chains. */
static void net_rx_deliver(struct net_dev *n, uint32_t len)
{
	struct virtq *q = &n->dev.queue[NET_QUEUE_RX];
	struct net_rx *rx = &n->rx;
	const struct iovec *iov = &rx->iov[rx->first_iov];
	unsigned int nr_iov = rx->nr_iov;
	uint16_t used = 0;
	uint32_t left = len;

	while (left > 0) {
		const struct net_rx_chain *c = first_chain(rx);
		uint32_t part = left < c->bytes ? left : c->bytes;

		virtq_push(q, c->head, part);
		left -= part;
		used++;
		rx->bytes -= c->bytes;
		rx->first_iov += c->nr_iov;
		rx->nr_iov -= c->nr_iov;
		rx->first_chain++;
		rx->nr_chains--;
	}
	finish_header(n, iov, nr_iov, used);
	metric_inc(&n->metrics.rx_packets_count);
	metric_inc(&n->metrics.rx_count);
	metric_add(&n->metrics.rx_bytes_count, len - NET_HDR_BYTES);
}

/* Deliver, or wait for the limiter. Return: false to wait. */
static bool net_rx_pass(struct net_dev *n, uint32_t len)
{
	struct net_rx *rx = &n->rx;

	if (!rate_limiter_take(&rx->limiter, len - NET_HDR_BYTES)) {
		rx->deferred = len;
		metric_inc(&n->metrics.rx_rate_limiter_throttled);
		net_rx_settle(n, NET_RX_LIMITED);
		return false;
	}
	rx->deferred = 0;
	net_rx_deliver(n, len);
	return true;
}

/* The driver may still add to what is held. */
static bool more_may_come(struct net_dev *n, const struct virtq *q)
{
	return virtio_dev_has(&n->dev, NET_F_MRG_RXBUF) &&
	       n->rx.nr_chains < q->size && make_room(&n->rx);
}

static void drop_late(struct net_dev *n)
{
	if (n->rx.late > 0)
		metric_inc(&n->metrics.rx_fails);
	n->rx.late = 0;
}

/* Read, if there is any room. Return: as net_rx_receive(), 1 with *@len. */
static int next_frame(struct net_dev *n, struct virtq *q, ssize_t *len)
{
	struct net_rx *rx = &n->rx;

	if (rx->bytes == 0) {
		if (virtq_enable_kicks(q))
			return 1;
		metric_inc(&n->metrics.no_rx_avail_buffer);
		net_rx_settle(n, NET_RX_STARVED);
		return 0;
	}
	*len = read_frame(n);
	if (*len == -EAGAIN) {
		net_rx_settle(n, NET_RX_ARMED);
		return 0;
	}
	if (*len <= 0) { /* 0: the peer of a socket is gone */
		read_failed(n, *len < 0 ? (int)-*len : EPIPE);
		return 0;
	}
	if ((uint64_t)*len > rx->bytes && *len <= (ssize_t)NET_MAX_PACKET &&
	    more_may_come(n, q)) {
		rx->late = (uint32_t)*len;
		rx->in_chains = (uint32_t)rx->bytes;
		*len = 0; /* it may fit the next time */
	}
	return 1;
}

/* The frame that did not fit. Return: as net_rx_receive(), 1 with *@len. */
static int late_frame(struct net_dev *n, struct virtq *q, ssize_t *len)
{
	struct net_rx *rx = &n->rx;

	if (rx->bytes < rx->late) {
		if (!more_may_come(n, q)) {
			drop_late(n);
			return 1;
		}
		if (virtq_enable_kicks(q))
			return 1;
		metric_inc(&n->metrics.no_rx_avail_buffer);
		net_rx_settle(n, NET_RX_LATE);
		return 0;
	}
	(void)iov_write(&rx->iov[rx->first_iov], rx->nr_iov, rx->in_chains,
			rx->beyond, rx->late - rx->in_chains);
	*len = rx->late;
	rx->late = 0;
	return 1;
}

/* One frame. Return: 1 go on; 0 settled; -EPROTO. */
static int net_rx_receive(struct net_dev *n, struct virtq *q)
{
	struct net_rx *rx = &n->rx;
	ssize_t len = 0;
	int r = 0;

	if (rx->bytes < NET_MAX_PACKET)
		r = take_chains(n, q);
	if (r < 0)
		return r;
	r = rx->late > 0 ? late_frame(n, q, &len) : next_frame(n, q, &len);
	if (r <= 0 || len == 0)
		return r;
	if ((uint64_t)len > rx->bytes ||
	    len < (ssize_t)(NET_HDR_BYTES + NET_MIN_FRAME) || !suits(n)) {
		metric_inc(&n->metrics.rx_fails);
		return 1;
	}
	return net_rx_pass(n, (uint32_t)len);
}

/* Others have their turn first. The tap says when it has more; of a frame that
 * was read already, or comes from elsewhere, nobody would. */
static void yield(struct net_dev *n)
{
	bool waits = n->source->waits && n->source->waits(n);

	if (n->rx.late == 0 && !waits) {
		net_rx_settle(n, NET_RX_ARMED);
		return;
	}
	net_rx_settle(n, NET_RX_IDLE);
	virtio_dev_schedule(&n->dev);
}

void net_rx_run(struct net_dev *n)
{
	struct virtq *q = &n->dev.queue[NET_QUEUE_RX];
	struct net_rx *rx = &n->rx;
	unsigned int budget = NET_BURST;
	int r = 1;

	if (!q->ready || rx->limiter.blocked)
		return;
	virtq_disable_kicks(q);
	if (rx->deferred > 0)
		r = net_rx_pass(n, rx->deferred);
	while (r > 0 && budget-- > 0)
		r = net_rx_receive(n, q);
	net_count_malformed(q, &rx->malformed, &n->metrics.rx_fails);
	virtio_dev_publish(&n->dev, q);
	if (r < 0)
		virtio_dev_broken(&n->dev, "an impossible receive ring");
	else if (r > 0)
		yield(n);
}

void net_rx_kick(struct net_dev *n)
{
	switch (n->rx.state) {
	case NET_RX_STARVED:
	case NET_RX_LATE:
		if (!virtq_has_work(&n->dev.queue[NET_QUEUE_RX]))
			return; /* the kick was for the other queue */
		metric_inc(&n->metrics.rx_queue_event_count);
		break;
	case NET_RX_IDLE:
	case NET_RX_LIMITED:
		break;
	default:
		return;
	}
	net_rx_run(n);
}

void net_rx_reset(struct net_dev *n)
{
	struct net_rx *rx = &n->rx;

	rx->first_chain = 0;
	rx->nr_chains = 0;
	rx->first_iov = 0;
	rx->nr_iov = 0;
	rx->bytes = 0;
	rx->deferred = 0;
	rx->late = 0;
}

void net_rx_drain(struct net_dev *n)
{
	struct virtq *q = &n->dev.queue[NET_QUEUE_RX];
	struct net_rx *rx = &n->rx;

	if (rx->deferred > 0) {
		net_rx_deliver(n, rx->deferred);
		virtio_dev_publish(&n->dev, q);
	}
	drop_late(n);
	if (rx->nr_chains > 0)
		virtq_rewind(q, first_chain(rx)->at, rx->nr_chains);
	net_rx_reset(n);
}

static void on_readable(struct net_dev *n, uint32_t events)
{
	struct net_rx *rx = &n->rx;

	if (events == 0)
		return;
	if (rx->state != NET_RX_ARMED) {
		/* An error, which no mask hides. */
		loop_del(n->dev.loop, &rx->tap);
		return;
	}
	metric_inc(&n->metrics.rx_tap_event_count);
	net_rx_run(n);
	if (rx->state == NET_RX_ARMED && events & (EPOLLERR | EPOLLHUP))
		net_rx_settle(n, NET_RX_DOWN);
}

static void on_tap(struct loop_source *src, uint32_t events)
{
	struct net_dev *n = container_of(src, struct net_dev, rx.tap);
	struct net_rx *rx = &n->rx;

	virtio_dev_enter(&n->dev);
	if (!virtio_dev_running(&n->dev)) {
		loop_del(n->dev.loop, src);
		rx->state = NET_RX_IDLE;
	} else {
		if (n->source->writable && events & ~(uint32_t)EPOLLIN)
			n->source->writable(n);
		on_readable(n, events & ~(uint32_t)EPOLLOUT);
	}
	virtio_dev_leave(&n->dev);
}

static void net_rx_on_timer(struct timer *timer)
{
	struct net_dev *n = container_of(timer, struct net_dev, rx.timer);
	struct net_rx *rx = &n->rx;

	virtio_dev_enter(&n->dev);
	if (rx->state == NET_RX_LATE || rx->state == NET_RX_DOWN) {
		drop_late(n);
		rx->state = NET_RX_IDLE;
		if (virtio_dev_running(&n->dev))
			net_rx_run(n);
	}
	virtio_dev_leave(&n->dev);
}

static void net_rx_limiter_ready(struct rate_limiter *limiter)
{
	struct net_dev *n = container_of(limiter, struct net_dev, rx.limiter);

	virtio_dev_enter(&n->dev);
	metric_inc(&n->metrics.rx_event_rate_limiter_count);
	if (virtio_dev_running(&n->dev))
		net_rx_run(n);
	virtio_dev_leave(&n->dev);
}

void net_rx_init(struct net_dev *n)
{
	struct net_rx *rx = &n->rx;

	rx->tap = (struct loop_source){
		.fd = n->fd,
		.cb = on_tap,
	};
	timer_init(&rx->timer, n->dev.loop, net_rx_on_timer);
	rate_limiter_init(&rx->limiter, n->dev.loop, net_rx_limiter_ready);
}

void net_rx_set_tap(struct net_dev *n, int fd)
{
	loop_del(n->dev.loop, &n->rx.tap);
	n->rx.tap.fd = fd;
}

void net_rx_fini(struct net_dev *n)
{
	loop_del(n->dev.loop, &n->rx.tap);
	timer_stop(&n->rx.timer);
	rate_limiter_fini(&n->rx.limiter);
}
