// SPDX-License-Identifier: Apache-2.0
/*
 * vm_config.c - GET /vm/config: the whole configuration, key by key
 *
 * Every key of Firecracker's is there in every answer, with null or [] where
 * nothing is set. A part of the configuration is shown as its table says.
 */
#include "api/resource.h"

static int get_vm_config(struct api_call *call)
{
	struct buf *out = &call->reply->body;
	const char *comma = "";

	buf_add(out, "{", 1);
	for (size_t i = 0; i < API_NR_RESOURCES; i++) {
		const struct api_resource *res = api_resources[i];

		if (!api_key(res))
			continue;
		buf_addf(out, "%s\"%s\":", comma, api_key(res));
		if (res->show)
			res->show(call->api, out);
		else
			config_part_show(res->part, &call->api->vm->config,
					 out);
		comma = ",";
	}
	buf_add(out, "}", 1);
	return 0;
}

static const struct api_route vm_config_routes[] = {
	{
		.method = API_GET,
		.path = "vm/config",
		.flags = API_BOTH,
		.apply = get_vm_config,
	},
};

const struct api_resource api_vm_config = {
	.routes = vm_config_routes,
	.nr_routes = ARRAY_SIZE(vm_config_routes),
};
