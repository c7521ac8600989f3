// SPDX-License-Identifier: Apache-2.0
/*
 * cpu_config.c - PUT /cpu-config: a custom CPU template
 *
 * One template at a time, custom or static: each replaces the other. The last
 * PUT wins whole. GET /vm/config does not show it, as Firecracker's does not.
 */
#include "api/resource.h"

static int cpu_config_put(struct api_call *call)
{
	struct vm_config *config = &call->api->vm->config;
	struct cpu_config *body = call->body;

	cpu_config_free(&config->cpu);
	config->cpu = *body;
	config->cpu.present = true;
	*body = (struct cpu_config){0}; /* taken over */
	config->machine.cpu_template = CPU_TEMPLATE_UNSET;
	return 0;
}

static void cpu_config_show(struct api *api, struct buf *out)
{
	(void)api;
	buf_add_str(out, "null");
}

static const struct api_route cpu_config_routes[] = {
	{
		.method = API_PUT,
		.path = "cpu-config",
		.flags = API_PRE,
		.schema = &config_cpu,
		.apply = cpu_config_put,
		.count = API_COUNT(put.cpu_cfg_count),
	},
};

const struct api_resource api_cpu_config = {
	.routes = cpu_config_routes,
	.nr_routes = ARRAY_SIZE(cpu_config_routes),
	.part = &config_part_cpu,
	.show = cpu_config_show,
	.load = &cpu_config_routes[0],
};
