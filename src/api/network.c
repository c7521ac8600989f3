// SPDX-License-Identifier: Apache-2.0
/*
 * network.c - /network-interfaces: what connects the guest
 */
#include "api/resource.h"

#include "vm/live.h"

#include <errno.h>

/* The config file names no path. */
static int network_check_id(struct api_call *call)
{
	const struct net_config *body = call->body;

	if (!call->id || strcmp(call->id, body->iface_id) == 0)
		return 0;
	return err_set(call->err, -EINVAL,
		       "The id from the path [%s] does not match the id from "
		       "the body [%s]!",
		       call->id, body->iface_id);
}

static int no_hot_plug(struct api_call *call)
{
	return err_set(call->err, -EOPNOTSUPP, "PCI is not enabled");
}

static int network_put(struct api_call *call)
{
	int r;

	if (api_started(call->api))
		return no_hot_plug(call);
	r = vm_config_put_net(&call->api->vm->config, call->body, 0, call->err);
	if (r < 0)
		err_prefix(call->err, "Network config error: ");
	return r;
}

static int network_patch(struct api_call *call)
{
	const struct net_config *body = call->body;
	int r = live_net_set_limits(call->api->vm, body->iface_id,
				    &body->rx_rate_limiter,
				    &body->tx_rate_limiter, call->err);

	if (r < 0)
		err_prefix(call->err, "Network config error: ");
	return r;
}

static const struct api_route network_routes[] = {
	{
		.method = API_PUT,
		.path = "network-interfaces/{id}",
		.flags = API_BOTH | API_LIST,
		.schema = &config_net,
		.check = network_check_id,
		.apply = network_put,
		.count = API_COUNT(put.network_count),
	},
	{
		.method = API_PATCH,
		.path = "network-interfaces/{id}",
		.flags = API_POST,
		.schema = &config_net_patch,
		.check = network_check_id,
		.apply = network_patch,
		.count = API_COUNT(patch.network_count),
	},
	{
		.method = API_DELETE,
		.path = "network-interfaces/{id}",
		.flags = API_POST,
		.apply = no_hot_plug,
	},
};

const struct api_resource api_network = {
	.routes = network_routes,
	.nr_routes = ARRAY_SIZE(network_routes),
	.part = &config_part_nets,
	.load = &network_routes[0],
};
