// SPDX-License-Identifier: Apache-2.0
/*
 * kind_net.c - the network interfaces of the configuration
 */
#include "dev/net.h"
#include "host/tap.h"
#include "sandbox/stage.h"
#include "vm/slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t kind_net_count(const struct vm_config *config)
{
	return config->nr_nets;
}

/* The metadata service, if this interface is to have it. */
static struct mmds *service_of(const struct virtio_slots *slots,
			       const struct net_config *config)
{
	const struct vm_env *env = &slots->board->env;
	const struct mmds_config *mmds = &env->config->mmds;
	char *const *ids = mmds->network_interfaces.items;

	for (size_t i = 0; i < mmds->network_interfaces.nr; i++)
		if (strcmp(ids[i], config->iface_id) == 0)
			return env->mmds;
	return NULL;
}

static int kind_net_make(struct virtio_slots *slots, size_t i,
			 struct virtio_dev **out, struct err *err)
{
	const struct net_config *config = &slots->board->env.config->nets[i];
	struct net_params params = {
		.mem = &slots->board->mem,
		.loop = slots->board->env.loop,
		.fd = config->fd,
		.mmds = service_of(slots, config),
		.vhost_fd = config->vhost_fd,
		.vhost_late = sandbox_isolates(slots->board->env.sandbox),
		.has_mac = config->has_mac,
		.has_mtu = config->has_mtu,
		.mtu = config->mtu,
		.rules = config->egress,
	};
	const bool socket = net_config_is_socket(config->host_dev_name);
	struct net_dev *net;
	char name[64];
	int r;

	params.uso = !socket && (config->pending || tap_has_uso(config->fd));
	if (socket && params.mmds)
		return err_set(err, -EINVAL,
			       "Interface %s: a socket and the metadata "
			       "service do not go together",
			       config->iface_id);
	params.source = socket                  ? &net_source_stream
			: params.mmds           ? &net_source_mmds
			: config->vhost_fd >= 0 ? &net_source_vhost
						: &net_source_tap;
	if (config->vhost && params.mmds)
		return err_set(err, -EINVAL,
			       "Interface %s: vhost and the metadata service "
			       "do not go together: the host kernel moves the "
			       "frames, and this process sees none",
			       config->iface_id);
	if (config->vhost &&
	    slots->board->env.config->machine.track_dirty_pages)
		return err_set(err, -EINVAL,
			       "Interface %s: vhost and track_dirty_pages do "
			       "not go together: the host kernel writes guest "
			       "memory unseen",
			       config->iface_id);
	(void)snprintf(name, sizeof(name), "net %s", config->iface_id);
	params.name = name;
	memcpy(params.mac, config->guest_mac, sizeof(params.mac));
	r = net_new(&net, &params, err);
	if (r < 0)
		return r;
	slots_add_limiter(slots, &net->rx.limiter, &config->rx_rate_limiter);
	slots_add_limiter(slots, &net->tx.limiter, &config->tx_rate_limiter);
	r = slots_add_counters(slots, &net_metric_group, config->iface_id,
			       &net->metrics, err);
	if (r < 0) {
		net->dev.ops->destroy(&net->dev);
		return r;
	}
	*out = &net->dev;
	return 0;
}

const struct virtio_kind virtio_kind_net = {
	.name = "net",
	.count = kind_net_count,
	.make = kind_net_make,
};
