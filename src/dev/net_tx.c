// SPDX-License-Identifier: Apache-2.0
/*
 * net_tx.c - from the guest to the tap (theory of operation: net.h)
 */
#include "dev/net_parts.h"

#include "base/iov.h"
#include "base/log.h"

#include <errno.h>

#define NS_PER_US 1000u

/**
 * struct frame - the start of what the guest sends, copied out of its memory
 */
struct frame {
	struct net_hdr hdr;
	uint8_t dst[NET_MAC_BYTES];
	uint8_t src[NET_MAC_BYTES];
};

/* What has to be negotiated for a segmentation type; 0: there is no such. */
static uint64_t feature_of(unsigned int gso_type)
{
	switch (gso_type) {
	case NET_GSO_TCPV4:
		return NET_F_HOST_TSO4;
	case NET_GSO_TCPV6:
		return NET_F_HOST_TSO6;
	case NET_GSO_UDP:
		return NET_F_HOST_UFO;
	case NET_GSO_UDP_L4:
		return NET_F_HOST_USO;
	default:
		return 0;
	}
}

/* 5.1.6.2.1. Return: false when the driver must not send such a frame. */
static bool gso_is_valid(const struct virtio_dev *dev, struct net_hdr *hdr,
			 uint32_t len)
{
	unsigned int type = hdr->gso_type & ~(unsigned int)NET_GSO_ECN;
	bool tcp = type == NET_GSO_TCPV4 || type == NET_GSO_TCPV6;

	if (hdr->gso_type == NET_GSO_NONE) {
		hdr->hdr_len = 0;
		hdr->gso_size = 0;
		return true;
	}
	if (!virtio_dev_has(dev, feature_of(type)) ||
	    !(hdr->flags & NET_HDR_F_NEEDS_CSUM) || hdr->gso_size == 0)
		return false;
	if (hdr->gso_type & NET_GSO_ECN &&
	    !(tcp && virtio_dev_has(dev, NET_F_HOST_ECN)))
		return false;
	if (hdr->hdr_len > len) /* a hint only */
		hdr->hdr_len = (uint16_t)len;
	return true;
}

/* Check a header, and leave in it only what the tap is to see. */
static bool header_is_valid(const struct virtio_dev *dev, struct net_hdr *hdr,
			    uint32_t len)
{
	/* 5.1.6.2.2: bits that the device does not know are ignored. */
	hdr->flags &= NET_HDR_F_NEEDS_CSUM;
	hdr->num_buffers = 0;
	if (hdr->flags & NET_HDR_F_NEEDS_CSUM) {
		if (!virtio_dev_has(dev, NET_F_CSUM) ||
		    (uint32_t)hdr->csum_start + hdr->csum_offset + 2 > len)
			return false;
	} else {
		hdr->csum_start = 0;
		hdr->csum_offset = 0;
	}
	return gso_is_valid(dev, hdr, len);
}

/* Our header before the guest's buffers, whose own is skipped. */
static struct iovec *put_header(struct net_tx *tx, unsigned int *nr,
				struct net_hdr *hdr)
{
	struct iovec *iov = tx->iov + 1;
	size_t skip = NET_HDR_BYTES;

	while (skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		(*nr)--;
	}
	iov->iov_base = (uint8_t *)iov->iov_base + skip;
	iov->iov_len -= skip;
	iov--;
	*iov = (struct iovec){hdr, NET_HDR_BYTES};
	(*nr)++;
	return iov;
}

static void write_failed(struct net_dev *n, int error)
{
	metric_inc(&n->metrics.tap_write_fails);
	metric_inc(&n->metrics.tx_fails);
	if (error == EBADFD)
		net_lost_tap(n, NET_TAP_DELETED);
	else if (error != EAGAIN && error != n->tx.refused)
		log_guest(LOG_WARN,
			  "%s: the tap takes no frame: %s%s; the metrics count "
			  "how many",
			  n->dev.name, err_name(error),
			  error == EIO ? " (it is down)" : "");
	/* A tap that stays down is said once, not for each frame. */
	if (error != EAGAIN)
		n->tx.refused = error;
}

/* What ended in the source was never the host's: it is not counted, nor is the
 * limiter for it. Return: whether the frame was meant for the host. */
static bool write_frame(struct net_dev *n, const struct iovec *iov,
			unsigned int nr, uint32_t len)
{
	uint64_t start = now_ns();
	ssize_t done;

	done = n->source->write(n, iov, nr);
	if (done == 0) {
		rate_limiter_give_back(&n->tx.limiter, len);
		return false;
	}
	metric_agg_add(&n->metrics.tap_write_agg,
		       (now_ns() - start) / NS_PER_US);
	if (done != (ssize_t)len + (ssize_t)NET_HDR_BYTES) {
		write_failed(n, done < 0 ? (int)-done : EMSGSIZE);
		return true;
	}
	n->tx.refused = 0;
	metric_inc(&n->metrics.tx_packets_count);
	metric_inc(&n->metrics.tx_count);
	metric_add(&n->metrics.tx_bytes_count, len);
	return true;
}

/* Return: false when the limiter lets no more pass, and nothing was done. */
static bool send_chain(struct net_dev *n, const struct virtq_chain *chain)
{
	uint32_t len = chain->out_bytes - NET_HDR_BYTES;
	unsigned int nr = chain->nr_out;
	struct frame frame;
	struct iovec *iov;

	if (chain->nr_in > 0 ||
	    chain->out_bytes < NET_HDR_BYTES + NET_MIN_FRAME ||
	    len > NET_MAX_FRAME) {
		metric_inc(&n->metrics.tx_malformed_frames);
		return true;
	}
	(void)iov_read(chain->out, nr, 0, &frame, sizeof(frame));
	if (!header_is_valid(&n->dev, &frame.hdr, len)) {
		metric_inc(&n->metrics.tx_malformed_frames);
		return true;
	}
	if (!rate_limiter_take(&n->tx.limiter, len))
		return false;
	iov = put_header(&n->tx, &nr, &frame.hdr);
	if (write_frame(n, iov, nr, len) && n->has_mac &&
	    memcmp(frame.src, n->config.mac, NET_MAC_BYTES) != 0)
		metric_inc(&n->metrics.tx_spoofed_mac_count);
	return true;
}

/* Return: 1 go on, 0 nothing left, -EAGAIN the limiter, -EPROTO. */
static int send_next(struct net_dev *n, struct virtq *q)
{
	struct virtq_chain chain;
	int r = virtq_pop(q, n->tx.iov + 1, VIRTQ_MAX_SIZE, &chain);

	if (r <= 0)
		return r;
	metric_add(&n->metrics.tx_remaining_reqs_count,
		   (uint16_t)(virtq_avail_index(q) - q->next_avail));
	if (!send_chain(n, &chain)) {
		virtq_unpop(q);
		metric_inc(&n->metrics.tx_rate_limiter_throttled);
		return -EAGAIN;
	}
	virtq_push(q, chain.head, 0);
	return 1;
}

static bool net_tx_is_full(const struct net_dev *n)
{
	return n->source->full && n->source->full(n);
}

void net_tx_run(struct net_dev *n)
{
	struct virtq *q = &n->dev.queue[NET_QUEUE_TX];
	unsigned int budget = NET_BURST; /* of frames and of looks for them */
	int r;

	if (n->tx.limiter.blocked || net_tx_is_full(n))
		return;
	if (!virtq_has_work(q))
		metric_inc(&n->metrics.no_tx_avail_buffer);
	virtq_disable_kicks(q);
	do {
		r = send_next(n, q);
		budget--;
	} while (budget > 0 && !net_tx_is_full(n) &&
		 (r > 0 || (r == 0 && virtq_enable_kicks(q))));
	net_count_malformed(q, &n->tx.malformed,
			    &n->metrics.tx_malformed_frames);
	virtio_dev_publish(&n->dev, q);
	if (r == -EPROTO)
		virtio_dev_broken(&n->dev, "an impossible send ring");
	else if (budget == 0)
		virtio_dev_schedule(&n->dev); /* others have their turn first */
}

static void net_tx_limiter_ready(struct rate_limiter *limiter)
{
	struct net_dev *n = container_of(limiter, struct net_dev, tx.limiter);

	virtio_dev_enter(&n->dev);
	metric_inc(&n->metrics.tx_rate_limiter_event_count);
	if (virtio_dev_running(&n->dev))
		net_tx_run(n);
	virtio_dev_leave(&n->dev);
}

void net_tx_init(struct net_dev *n)
{
	rate_limiter_init(&n->tx.limiter, n->dev.loop, net_tx_limiter_ready);
}

void net_tx_fini(struct net_dev *n)
{
	rate_limiter_fini(&n->tx.limiter);
}
