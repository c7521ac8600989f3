// SPDX-License-Identifier: Apache-2.0
/*
 * memory_hotplug.c - /hotplug/memory: memory that may be plugged, how much the
 * guest shall have of it, and has
 */
#include "api/resource.h"
#include "dev/mem.h"
#include "vm/live.h"

#include <errno.h>
#include <inttypes.h>

#define HOTPLUG_UPDATE "Memory hotplug update error: "

struct size_body {
	uint32_t requested_size_mib;
};

static const struct schema_field size_fields[] = {
	{
		.name = "requested_size_mib",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_REQUIRED,
		.range = &schema_u32,
		SCHEMA_AT(struct size_body, requested_size_mib),
	},
};

static const struct schema_object size_schema = {
	.name = "MemoryHotplugSizeUpdate",
	.fields = size_fields,
	.nr = ARRAY_SIZE(size_fields),
	.size = sizeof(struct size_body),
};

static void hotplug_put_init(struct api_call *call)
{
	config_part_memory_hotplug.init(call->body);
}

static int hotplug_put(struct api_call *call)
{
	struct memory_hotplug_config *body = call->body;

	if (memory_hotplug_check(body, call->err) < 0)
		return err_prefix_api(call->err,
				      "Memory hotplug config error: ");
	body->present = true;
	call->api->vm->config.memory_hotplug = *body;
	return 0;
}

/* Return: the device of the running VM, or NULL with Firecracker's sentence. */
static struct mem_dev *hotplug_device(struct api_call *call, const char *area)
{
	struct mem_dev *m = live_memory(call->api->vm);

	if (!m)
		err_set(call->err, -ENODEV,
			"%sFailed perform action on device: Device not found",
			area);
	return m;
}

static int hotplug_patch(struct api_call *call)
{
	const struct size_body *body = call->body;
	uint64_t bytes = MIB((uint64_t)body->requested_size_mib);
	struct mem_dev *m = hotplug_device(call, HOTPLUG_UPDATE);
	int r;

	if (!m)
		return call->err->rc;
	r = mem_dev_request(m, bytes);
	if (r == -ENOTCONN)
		return err_set(call->err, r,
			       HOTPLUG_UPDATE
			       "Failed to create memory hotplug device: Device "
			       "is not active");
	if (r < 0)
		return err_set(call->err, r,
			       HOTPLUG_UPDATE
			       "Failed to create memory hotplug device: Size "
			       "%" PRIu64 " is invalid: it must be a multiple "
			       "of block size and less than the total size",
			       bytes);
	return 0;
}

static int hotplug_get(struct api_call *call)
{
	struct mem_dev *m = hotplug_device(call, "Internal VMM error: ");
	const struct memory_hotplug_config *config =
		&call->api->vm->config.memory_hotplug;
	struct mem_config_space space;

	if (!m)
		return call->err->rc;
	mem_dev_read(m, &space);
	buf_addf(&call->reply->body,
		 "{\"block_size_mib\":%u,\"total_size_mib\":%u,"
		 "\"slot_size_mib\":%u,\"plugged_size_mib\":%" PRIu64
		 ",\"requested_size_mib\":%" PRIu64 "}",
		 config->block_size_mib, config->total_size_mib,
		 config->slot_size_mib, space.plugged_size >> 20,
		 space.requested_size >> 20);
	return 0;
}

static const struct api_route hotplug_routes[] = {
	{
		.method = API_PUT,
		.path = "hotplug/memory",
		.flags = API_PRE,
		.schema = &config_memory_hotplug,
		.init = hotplug_put_init,
		.apply = hotplug_put,
		.count = API_COUNT(put.hotplug_memory_count),
	},
	{
		.method = API_PATCH,
		.path = "hotplug/memory",
		.flags = API_POST,
		.schema = &size_schema,
		.apply = hotplug_patch,
		.count = API_COUNT(patch.hotplug_memory_count),
	},
	{
		.method = API_GET,
		.path = "hotplug/memory",
		.flags = API_POST,
		.apply = hotplug_get,
		.count = API_COUNT(get.hotplug_memory_count),
	},
};

const struct api_resource api_memory_hotplug = {
	.routes = hotplug_routes,
	.nr_routes = ARRAY_SIZE(hotplug_routes),
	.part = &config_part_memory_hotplug,
	.load = &hotplug_routes[0],
};
