// SPDX-License-Identifier: Apache-2.0
/*
 * entropy.c - PUT /entropy: the entropy device
 */
#include "api/limiter.h"
#include "api/resource.h"

static const struct schema_field fields[] = {
	{
		.name = "rate_limiter",
		.type = SCHEMA_OBJECT,
		.flags = SCHEMA_NULL | SCHEMA_HAS,
		SCHEMA_AT(struct entropy_config, rate_limiter),
		.has = offsetof(struct entropy_config, rate_limiter.present),
		.object = &schema_rate_limiter,
	},
};

static const struct schema_object schema = {
	.name = "EntropyDeviceConfig",
	.fields = fields,
	.nr = ARRAY_SIZE(fields),
	.size = sizeof(struct entropy_config),
};

static int put(struct api_call *call)
{
	struct entropy_config *entropy = &call->api->vm->config.entropy;

	*entropy = *(const struct entropy_config *)call->body;
	entropy->present = true;
	return 0;
}

static void show(struct api *api, struct buf *out)
{
	const struct entropy_config *entropy = &api->vm->config.entropy;

	if (entropy->present)
		schema_encode(&schema, entropy, out);
	else
		buf_add_str(out, "null");
}

static const struct api_route routes[] = {
	{
		.method = API_PUT,
		.path = "entropy",
		.flags = API_PRE,
		.schema = &schema,
		.apply = put,
	},
};

const struct api_resource api_entropy = {
	.routes = routes,
	.nr_routes = ARRAY_SIZE(routes),
	.key = "entropy",
	.show = show,
	.load = &routes[0],
};
