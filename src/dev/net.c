// SPDX-License-Identifier: Apache-2.0
/*
 * net.c - virtio network device: life, features, config space (theory: net.h)
 */
#include "dev/net_parts.h"

#include "base/log.h"
#include "host/tap.h"

#include <errno.h>
#include <stdlib.h>

#define STATUS_LINK_UP 1u

static const struct metric dev_net_metrics[] = {
	METRIC(struct net_metrics, activate_fails),
	METRIC(struct net_metrics, cfg_fails),
	METRIC(struct net_metrics, mac_address_updates),
	METRIC(struct net_metrics, no_rx_avail_buffer),
	METRIC(struct net_metrics, no_tx_avail_buffer),
	METRIC(struct net_metrics, event_fails),
	METRIC(struct net_metrics, rx_queue_event_count),
	METRIC(struct net_metrics, rx_event_rate_limiter_count),
	METRIC(struct net_metrics, rx_rate_limiter_throttled),
	METRIC(struct net_metrics, rx_tap_event_count),
	METRIC(struct net_metrics, rx_bytes_count),
	METRIC(struct net_metrics, rx_packets_count),
	METRIC(struct net_metrics, rx_fails),
	METRIC(struct net_metrics, rx_count),
	METRIC(struct net_metrics, tap_read_fails),
	METRIC(struct net_metrics, tap_write_fails),
	METRIC_AGG(struct net_metrics, tap_write_agg),
	METRIC(struct net_metrics, tx_bytes_count),
	METRIC(struct net_metrics, tx_malformed_frames),
	METRIC(struct net_metrics, tx_fails),
	METRIC(struct net_metrics, tx_count),
	METRIC(struct net_metrics, tx_packets_count),
	METRIC(struct net_metrics, tx_queue_event_count),
	METRIC(struct net_metrics, tx_rate_limiter_event_count),
	METRIC(struct net_metrics, tx_rate_limiter_throttled),
	METRIC(struct net_metrics, tx_spoofed_mac_count),
	METRIC(struct net_metrics, tx_remaining_reqs_count),
	METRIC(struct net_metrics, tx_denied_count),
};

const struct metric_group net_metric_group = {
	.name = "net",
	.metrics = dev_net_metrics,
	.nr = ARRAY_SIZE(dev_net_metrics),
};

/* What the guest takes unfinished. The tap wants checksums for the rest. */
static unsigned int offloads(const struct virtio_dev *dev)
{
	static const struct {
		uint64_t feature;
		unsigned int offload;
	} map[] = {
		{NET_F_GUEST_CSUM, TAP_OFFLOAD_CSUM},
		{NET_F_GUEST_TSO4, TAP_OFFLOAD_TSO4},
		{NET_F_GUEST_TSO6, TAP_OFFLOAD_TSO6},
		{NET_F_GUEST_UFO, TAP_OFFLOAD_UFO},
	};
	const uint64_t uso = NET_F_GUEST_USO4 | NET_F_GUEST_USO6;
	unsigned int bits = 0;

	if (!virtio_dev_has(dev, NET_F_GUEST_CSUM))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		if (virtio_dev_has(dev, map[i].feature))
			bits |= map[i].offload;
	if (virtio_dev_has(dev, NET_F_GUEST_ECN) &&
	    bits & (TAP_OFFLOAD_TSO4 | TAP_OFFLOAD_TSO6))
		bits |= TAP_OFFLOAD_ECN;
	if ((dev->acked & uso) == uso) /* the tap knows both or none */
		bits |= TAP_OFFLOAD_USO;
	return bits;
}

/* A socket has no offloads to set, and a deleted tap gives no frames. */
static int set_offload(const struct net_dev *n, int fd, unsigned int bits)
{
	int r = fd < 0 || n->stream ? 0 : tap_set_offload(fd, bits);

	return r == -ENOTTY || r == -EBADFD ? 0 : r;
}

int net_tap_fits(const struct net_dev *n, int fd)
{
	return set_offload(n, fd, offloads(&n->dev));
}

void net_set_tap(struct net_dev *n, int fd)
{
	virtio_dev_enter(&n->dev);
	n->fd = fd;
	net_rx_set_tap(n, fd);
	if (!(n->config.status & STATUS_LINK_UP)) {
		n->config.status |= STATUS_LINK_UP;
		virtio_dev_config_changed(&n->dev);
	}
	virtio_dev_leave(&n->dev);
}

void net_set_mac(struct net_dev *n, const uint8_t mac[static NET_MAC_BYTES])
{
	virtio_dev_enter(&n->dev);
	memcpy(n->config.mac, mac, NET_MAC_BYTES);
	virtio_dev_config_changed(&n->dev);
	virtio_dev_leave(&n->dev);
}

bool net_tap_deleted(const struct net_dev *n)
{
	return tap_set_offload(n->fd, offloads(&n->dev)) == -EBADFD;
}

static int net_activate(struct virtio_dev *dev)
{
	struct net_dev *n = net_of(dev);
	int r = set_offload(n, n->fd, offloads(dev));

	/* A device that is restored comes to life when it is resumed. */
	if (r == 0 && !dev->paused)
		r = n->source->start(n);
	if (r < 0)
		metric_inc(&n->metrics.activate_fails);
	return r;
}

static int net_reset(struct virtio_dev *dev)
{
	struct net_dev *n = net_of(dev);

	n->source->stop(n);
	n->source->reset(n);
	net_rx_reset(n);
	if (set_offload(n, n->fd, 0) < 0)
		metric_inc(&n->metrics.event_fails);
	return 0;
}

static void net_kick(struct virtio_dev *dev)
{
	struct net_dev *n = net_of(dev);

	n->source->kick(n);
}

/* Nothing there is the driver's to change. */
static void net_config_write(struct virtio_dev *dev, uint32_t off,
			     const void *data, uint32_t len)
{
	(void)off;
	(void)data;
	(void)len;
	metric_inc(&net_of(dev)->metrics.cfg_fails);
}

static void net_pausing(struct virtio_dev *dev)
{
	struct net_dev *n = net_of(dev);

	n->source->stop(n);
}

static void net_resumed(struct virtio_dev *dev)
{
	struct net_dev *n = net_of(dev);
	int r = n->source->start(n);

	if (r < 0) {
		metric_inc(&n->metrics.activate_fails);
		virtio_dev_broken(dev, err_name(r));
	}
}

static int net_drain(struct virtio_dev *dev, uint64_t deadline_ns)
{
	(void)deadline_ns;
	net_rx_drain(net_of(dev));
	return 0;
}

static void net_destroy(struct virtio_dev *dev)
{
	struct net_dev *n = net_of(dev);

	n->source->stop(n);
	n->source->free(n);
	net_rx_fini(n);
	net_tx_fini(n);
	virtio_dev_fini(dev);
	free(n);
}

static const struct virtio_dev_ops net_ops = {
	.id = 1,
	.activate = net_activate,
	.kick = net_kick,
	.reset = net_reset,
	.config_write = net_config_write,
	.drain = net_drain,
	.pausing = net_pausing,
	.resumed = net_resumed,
	.destroy = net_destroy,
};

void net_lost_tap(struct net_dev *n, const char *why)
{
	if (!(n->config.status & STATUS_LINK_UP))
		return;
	n->config.status &= (uint16_t)~STATUS_LINK_UP;
	log_warn("%s: %s; the guest's link is down", n->dev.name, why);
	virtio_dev_config_changed(&n->dev);
}

static uint64_t features(const struct net_params *params)
{
	uint64_t bits = NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 |
			NET_F_GUEST_TSO6 | NET_F_GUEST_ECN | NET_F_GUEST_UFO |
			NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN |
			NET_F_HOST_UFO | NET_F_MRG_RXBUF | NET_F_STATUS;

	if (params->has_mac)
		bits |= NET_F_MAC;
	if (params->has_mtu)
		bits |= NET_F_MTU;
	if (params->uso)
		bits |= NET_F_GUEST_USO4 | NET_F_GUEST_USO6 | NET_F_HOST_USO;
	return bits;
}

int net_new(struct net_dev **out, const struct net_params *params,
	    struct err *err)
{
	struct net_dev *n = calloc(1, sizeof(*n));
	struct virtio_dev_params common = {
		.ops = &net_ops,
		.name = params->name,
		.mem = params->mem,
		.loop = params->loop,
		.features = features(params),
		.nr_queues = NET_NR_QUEUES,
		.queue_max = VIRTQ_MAX_SIZE,
		.config_bytes = sizeof(n->config),
	};
	int r;

	if (!n)
		return err_set(err, -ENOMEM, "Out of memory");
	n->fd = params->fd;
	n->has_mac = params->has_mac;
	n->has_mtu = params->has_mtu;
	memcpy(n->config.mac, params->mac, NET_MAC_BYTES);
	n->config.status = STATUS_LINK_UP;
	n->config.mtu = params->mtu;
	common.config = &n->config;
	n->source = params->source;
	n->rules = params->rules;
	net_vhost_init(&n->vhost, params->vhost_fd, params->vhost_late,
		       params->mem);
	net_mmds_init(n, params->mmds, params->loop);
	r = virtio_dev_init(&n->dev, &common, err);
	if (r == 0)
		r = n->source->claim(n, err);
	net_rx_init(n);
	net_tx_init(n);
	if (r < 0) {
		net_destroy(&n->dev);
		return r;
	}
	*out = n;
	return 0;
}
