// SPDX-License-Identifier: Apache-2.0
/*
 * network.c - /network-interfaces: what connects the guest
 */
#include "api/limiter.h"
#include "api/resource.h"

#include "base/mac.h"
#include "vm/live.h"

#include <errno.h>

static int parse_mac(const char *text, void *value, struct err *err)
{
	if (mac_parse(text, value))
		return 0;
	return err_set(err, -EINVAL, "The provided MAC address is invalid.");
}

static void show_mac(const void *value, struct buf *out)
{
	const uint8_t *mac = value;

	buf_addf(out, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
}

static const struct schema_parser mac_parser = {parse_mac, show_mac};

#define LIMITER(member)                                             \
	{                                                           \
		.name = #member,                                    \
		.type = SCHEMA_OBJECT,                              \
		.flags = SCHEMA_NULL | SCHEMA_HAS,                  \
		SCHEMA_AT(struct net_config, member),               \
		.has = offsetof(struct net_config, member.present), \
		.object = &schema_rate_limiter,                     \
	}

static const struct schema_field put_fields[] = {
	{
		.name = "iface_id",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct net_config, iface_id),
	},
	{
		.name = "host_dev_name",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct net_config, host_dev_name),
	},
	{
		.name = "guest_mac",
		.type = SCHEMA_PARSED,
		.flags = SCHEMA_NULL | SCHEMA_HAS,
		SCHEMA_AT(struct net_config, guest_mac),
		.has = offsetof(struct net_config, has_mac),
		.parser = &mac_parser,
	},
	{
		.name = "mtu",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_NULL | SCHEMA_HAS,
		SCHEMA_AT(struct net_config, mtu),
		.has = offsetof(struct net_config, has_mtu),
		.range = &schema_u16,
	},
	LIMITER(rx_rate_limiter),
	LIMITER(tx_rate_limiter),
	{
		.name = "vhost",
		.type = SCHEMA_BOOL,
		.flags = SCHEMA_EXTRA | SCHEMA_OMIT,
		SCHEMA_AT(struct net_config, vhost),
	},
};

static const struct schema_field patch_fields[] = {
	{
		.name = "iface_id",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct net_config, iface_id),
	},
	LIMITER(rx_rate_limiter),
	LIMITER(tx_rate_limiter),
};

static const struct schema_object put_schema = {
	.name = "NetworkInterfaceConfig",
	.fields = put_fields,
	.nr = ARRAY_SIZE(put_fields),
	.size = sizeof(struct net_config),
};

static const struct schema_object patch_schema = {
	.name = "NetworkInterfaceUpdateConfig",
	.fields = patch_fields,
	.nr = ARRAY_SIZE(patch_fields),
	.size = sizeof(struct net_config),
};

/* The config file names no path. */
static int check_id(struct api_call *call)
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

static int put(struct api_call *call)
{
	int r;

	if (api_started(call->api))
		return no_hot_plug(call);
	r = vm_config_put_net(&call->api->vm->config, call->body, 0, call->err);
	if (r < 0)
		err_prefix(call->err, "Network config error: ");
	return r;
}

static int patch(struct api_call *call)
{
	const struct net_config *body = call->body;
	int r = live_net_set_limits(call->api->vm, body->iface_id,
				    &body->rx_rate_limiter,
				    &body->tx_rate_limiter, call->err);

	if (r < 0)
		err_prefix(call->err, "Network config error: ");
	return r;
}

static void show(struct api *api, struct buf *out)
{
	const struct vm_config *config = &api->vm->config;

	buf_add(out, "[", 1);
	for (size_t i = 0; i < config->nr_nets; i++) {
		if (i > 0)
			buf_add(out, ",", 1);
		schema_encode(&put_schema, &config->nets[i], out);
	}
	buf_add(out, "]", 1);
}

static const struct api_route routes[] = {
	{
		.method = API_PUT,
		.path = "network-interfaces/{id}",
		.flags = API_BOTH | API_LIST,
		.schema = &put_schema,
		.check = check_id,
		.apply = put,
		.count = API_COUNT(put.network_count),
	},
	{
		.method = API_PATCH,
		.path = "network-interfaces/{id}",
		.flags = API_POST,
		.schema = &patch_schema,
		.check = check_id,
		.apply = patch,
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
	.routes = routes,
	.nr_routes = ARRAY_SIZE(routes),
	.key = "network-interfaces",
	.show = show,
	.load = &routes[0],
};
