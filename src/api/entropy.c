// SPDX-License-Identifier: Apache-2.0
/*
 * entropy.c - PUT /entropy: the entropy device
 */
#include "api/resource.h"

static int entropy_put(struct api_call *call)
{
	struct entropy_config *entropy = &call->api->vm->config.entropy;

	*entropy = *(const struct entropy_config *)call->body;
	entropy->present = true;
	return 0;
}

static const struct api_route entropy_routes[] = {
	{
		.method = API_PUT,
		.path = "entropy",
		.flags = API_PRE,
		.schema = &config_entropy,
		.apply = entropy_put,
	},
};

const struct api_resource api_entropy = {
	.routes = entropy_routes,
	.nr_routes = ARRAY_SIZE(entropy_routes),
	.part = &config_part_entropy,
	.load = &entropy_routes[0],
};
