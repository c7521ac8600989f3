// SPDX-License-Identifier: Apache-2.0
/*
 * serial.c - PUT /serial: where the console's output goes
 */
#include "api/resource.h"

/* The file is opened when the VM starts, as Firecracker does. */
static int put(struct api_call *call)
{
	struct serial_config *serial = &call->api->vm->config.serial;

	config_part_serial.close(serial);
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
		.schema = &config_serial,
		.apply = put,
		.count = API_COUNT(put.serial_count),
	},
};

const struct api_resource api_serial = {
	.routes = routes,
	.nr_routes = ARRAY_SIZE(routes),
	.part = &config_part_serial,
};
