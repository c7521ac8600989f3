// SPDX-License-Identifier: Apache-2.0
/*
 * vsock.c - PUT /vsock: the socket device
 */
#include "api/resource.h"

/*
 * The old device and its socket go first, as in Firecracker: the new one may
 * have the same path. When that cannot be bound there is none.
 */
static int vsock_put(struct api_call *call)
{
	struct vm_config *config = &call->api->vm->config;
	struct vsock_config *vsock = &config->vsock;
	struct vsock_config *body = call->body;
	int r;

	vsock_config_free(vsock);
	*vsock = *body;
	*body = (struct vsock_config){.fd = -1};
	vsock->fd = -1;
	r = vsock_config_bind(config->opener, vsock, call->err);
	if (r < 0) {
		vsock_config_free(vsock);
		(void)err_prefix(call->err, "Vsock config error: ");
		return r;
	}
	vsock->present = true;
	/* What the gate has bound it removes. */
	if (call->api->opener.locked)
		vsock->file = (struct file_id){0};
	return 0;
}

static const struct api_route vsock_routes[] = {
	{
		.method = API_PUT,
		.path = "vsock",
		.flags = API_PRE,
		.schema = &config_vsock,
		.apply = vsock_put,
		.count = API_COUNT(put.vsock_count),
		.deprecation = "PUT /vsock: vsock_id field is deprecated.",
	},
};

const struct api_resource api_vsock = {
	.routes = vsock_routes,
	.nr_routes = ARRAY_SIZE(vsock_routes),
	.part = &config_part_vsock,
	.load = &vsock_routes[0],
};
