// SPDX-License-Identifier: Apache-2.0
/*
 * instance.c - GET / and GET /version: who answers here, and in which state
 */
#include "api/resource.h"

static const char *state_name(enum vm_state state)
{
	switch (state) {
	case VM_NOT_STARTED:
		return "Not started";
	case VM_RUNNING:
		return "Running";
	case VM_PAUSED:
		return "Paused";
	}
	return "Not started";
}

static int get_instance(struct api_call *call)
{
	const struct api *api = call->api;
	struct buf *out = &call->reply->body;

	buf_add_str(out, "{\"id\":");
	buf_add_json(out, api->settings.id, strlen(api->settings.id));
	buf_addf(out,
		 ",\"state\":\"%s\",\"vmm_version\":\"%s\","
		 "\"app_name\":\"Firecracker\"}",
		 state_name(api->vm->state), FIRECRACKER_COMPAT_VERSION);
	return 0;
}

static int get_version(struct api_call *call)
{
	buf_addf(&call->reply->body, "{\"firecracker_version\":\"%s\"}",
		 FIRECRACKER_COMPAT_VERSION);
	return 0;
}

static const struct api_route instance_routes[] = {
	{
		.method = API_GET,
		.path = "",
		.flags = API_BOTH,
		.apply = get_instance,
		.count = API_COUNT(get.instance_info_count),
	},
	{
		.method = API_GET,
		.path = "version",
		.flags = API_BOTH,
		.apply = get_version,
		.count = API_COUNT(get.vmm_version_count),
	},
};

const struct api_resource api_instance = {
	.routes = instance_routes,
	.nr_routes = ARRAY_SIZE(instance_routes),
};
