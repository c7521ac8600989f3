// SPDX-License-Identifier: Apache-2.0
/*
 * machine_config.c - /machine-config: CPUs and memory
 */
#include "api/resource.h"

#include <errno.h>

#define CPU_TEMPLATE_OLD "cpu_template field is deprecated."

/* A PUT without a template keeps the one that is set. */
static void put_init(struct api_call *call)
{
	struct machine_config *body = call->body;

	body->cpu_template = call->api->vm->config.machine.cpu_template;
}

static void patch_init(struct api_call *call)
{
	*(struct machine_config *)call->body = call->api->vm->config.machine;
}

static int patch_check(struct api_call *call)
{
	if (call->seen.fields == 0)
		return err_set(call->err, -EINVAL, "Empty PATCH request.");
	return 0;
}

static bool memory_is_valid(const struct machine_config *machine)
{
	uint64_t bytes;

	if (machine->mem_size_mib == 0 ||
	    __builtin_mul_overflow(machine->mem_size_mib, MIB(1), &bytes))
		return false;
	return machine->huge_pages == HUGE_PAGES_NONE ||
	       is_aligned(bytes, MIB(2));
}

static int apply(struct api_call *call)
{
	struct machine_config *body = call->body;

	if (body->vcpu_count < 1 || body->vcpu_count > CONFIG_VCPUS_MAX ||
	    (body->smt && body->vcpu_count > 1 && body->vcpu_count % 2 != 0))
		return err_set(call->err, -EINVAL,
			       "Machine config error: The number of vCPUs "
			       "must be greater than 0, less than %d and must "
			       "be 1 or an even number if SMT is enabled.",
			       CONFIG_VCPUS_MAX);
	if (!memory_is_valid(body))
		return err_set(call->err, -EINVAL,
			       "Machine config error: The memory size (MiB) "
			       "is either 0, or not a multiple of the "
			       "configured page size.");
	if (body->mem_size_mib < call->api->vm->config.balloon.amount_mib)
		return err_set(call->err, -EINVAL,
			       "Machine config error: The memory size (MiB) "
			       "is smaller than the previously set balloon "
			       "device target size.");
	if (body->dirty_ring && !body->track_dirty_pages)
		return err_set(call->err, -EINVAL,
			       "Machine config error: dirty_ring is a way of "
			       "track_dirty_pages, which is off.");
	/* One template at a time; None takes away the custom one, too. */
	if (body->cpu_template != CPU_TEMPLATE_UNSET)
		cpu_config_free(&call->api->vm->config.cpu);
	if (body->cpu_template == CPU_TEMPLATE_NONE)
		body->cpu_template = CPU_TEMPLATE_UNSET;
	body->present = true;
	call->api->vm->config.machine = *body;
	return 0;
}

static int machine_config_get(struct api_call *call)
{
	config_part_show(&config_part_machine, &call->api->vm->config,
			 &call->reply->body);
	return 0;
}

static const struct api_route machine_config_routes[] = {
	{
		.method = API_PUT,
		.path = "machine-config",
		.flags = API_PRE,
		.schema = &config_machine,
		.init = put_init,
		.apply = apply,
		.count = API_COUNT(put.machine_cfg_count),
		.deprecation = "PUT /machine-config: " CPU_TEMPLATE_OLD,
	},
	{
		.method = API_PATCH,
		.path = "machine-config",
		.flags = API_PRE,
		.schema = &config_machine_patch,
		.init = patch_init,
		.check = patch_check,
		.apply = apply,
		.count = API_COUNT(patch.machine_cfg_count),
		.deprecation = "PATCH /machine-config: " CPU_TEMPLATE_OLD,
	},
	{
		.method = API_GET,
		.path = "machine-config",
		.flags = API_BOTH,
		.apply = machine_config_get,
		.count = API_COUNT(get.machine_cfg_count),
	},
};

const struct api_resource api_machine_config = {
	.routes = machine_config_routes,
	.nr_routes = ARRAY_SIZE(machine_config_routes),
	.part = &config_part_machine,
	.load = &machine_config_routes[0],
};
