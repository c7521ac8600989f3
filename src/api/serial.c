// SPDX-License-Identifier: Apache-2.0
/*
 * serial.c - PUT /serial: where the console's output goes
 */
#include "api/resource.h"

/* The file is opened when the VM starts, as Firecracker does; where the process
 * is locked already, now: no later request names it. */
static int serial_put(struct api_call *call)
{
	struct vm_config *config = &call->api->vm->config;
	struct serial_config *serial = &config->serial;
	struct serial_config *body = call->body;
	int fd = -1;

	if (call->api->opener.locked && body->serial_out_path) {
		fd = path_open(config->opener, PATH_SERIAL,
			       body->serial_out_path, call->err);
		if (fd < 0)
			return fd;
	}
	config_part_serial.close(serial);
	*serial = *body;
	config_part_serial.init(body);
	serial->fd = fd;
	serial->present = true;
	return 0;
}

static const struct api_route serial_routes[] = {
	{
		.method = API_PUT,
		.path = "serial",
		.flags = API_PRE,
		.schema = &config_serial,
		.apply = serial_put,
		.count = API_COUNT(put.serial_count),
	},
};

const struct api_resource api_serial = {
	.routes = serial_routes,
	.nr_routes = ARRAY_SIZE(serial_routes),
	.part = &config_part_serial,
};
