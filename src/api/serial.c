// SPDX-License-Identifier: Apache-2.0
/*
 * serial.c - PUT /serial: where the console's output goes
 */
#include "api/limiter.h"
#include "api/resource.h"

static const struct schema_field fields[] = {
	{
		.name = "serial_out_path",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_NULL,
		SCHEMA_AT(struct serial_config, serial_out_path),
	},
	{
		.name = "rate_limiter",
		.type = SCHEMA_OBJECT,
		.flags = SCHEMA_NULL | SCHEMA_HAS,
		SCHEMA_AT(struct serial_config, rate_limiter),
		.has = offsetof(struct serial_config, rate_limiter.present),
		.object = &schema_token_bucket,
	},
};

static const struct schema_object schema = {
	.name = "SerialConfig",
	.fields = fields,
	.nr = ARRAY_SIZE(fields),
	.size = sizeof(struct serial_config),
};

/* The file is opened when the VM starts, as Firecracker does. */
static int put(struct api_call *call)
{
	struct serial_config *serial = &call->api->vm->config.serial;

	schema_free(&schema, serial);
	*serial = *(struct serial_config *)call->body;
	*(struct serial_config *)call->body = (struct serial_config){0};
	serial->present = true;
	return 0;
}

static const struct api_route routes[] = {
	{
		.method = API_PUT,
		.path = "serial",
		.flags = API_PRE,
		.schema = &schema,
		.apply = put,
		.count = API_COUNT(put.serial_count),
	},
};

const struct api_resource api_serial = {
	.routes = routes,
	.nr_routes = ARRAY_SIZE(routes),
};
