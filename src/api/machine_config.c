// SPDX-License-Identifier: Apache-2.0
/*
 * machine_config.c - /machine-config: CPUs and memory
 */
#include "api/resource.h"

#include <errno.h>

#define CPU_TEMPLATE_OLD "cpu_template field is deprecated."

static const struct schema_name template_names[] = {
	{"C3", CPU_TEMPLATE_C3},     {"T2", CPU_TEMPLATE_T2},
	{"T2S", CPU_TEMPLATE_T2S},   {"None", CPU_TEMPLATE_NONE},
	{"T2CL", CPU_TEMPLATE_T2CL}, {"T2A", CPU_TEMPLATE_T2A},
};

static const struct schema_enum templates = SCHEMA_NAMES(template_names);

static const struct schema_name huge_pages_names[] = {
	{"None", HUGE_PAGES_NONE},
	{"Transparent", HUGE_PAGES_TRANSPARENT},
	{"2M", HUGE_PAGES_2M},
};

static const struct schema_enum huge_pages = SCHEMA_NAMES(huge_pages_names);

/* PUT demands the sizes and takes no null; PATCH takes anything or null. */
#define FIELDS(size_flags, other_flags)                                        \
	{                                                                      \
		.name = "vcpu_count",                                          \
		.type = SCHEMA_UINT,                                           \
		.flags = (size_flags),                                         \
		SCHEMA_AT(struct machine_config, vcpu_count),                  \
		.range = &schema_u8,                                           \
	},                                                                     \
		{                                                              \
			.name = "mem_size_mib",                                \
			.type = SCHEMA_UINT,                                   \
			.flags = (size_flags),                                 \
			SCHEMA_AT(struct machine_config, mem_size_mib),        \
			.range = &schema_usize,                                \
		},                                                             \
		{                                                              \
			.name = "smt",                                         \
			.type = SCHEMA_BOOL,                                   \
			.flags = (other_flags),                                \
			SCHEMA_AT(struct machine_config, smt),                 \
		},                                                             \
		{                                                              \
			.name = "cpu_template",                                \
			.type = SCHEMA_ENUM,                                   \
			.flags =                                               \
				SCHEMA_NULL | SCHEMA_OMIT | SCHEMA_DEPRECATED, \
			SCHEMA_AT(struct machine_config, cpu_template),        \
			.names = &templates,                                   \
		},                                                             \
		{                                                              \
			.name = "track_dirty_pages",                           \
			.type = SCHEMA_BOOL,                                   \
			.flags = (other_flags),                                \
			SCHEMA_AT(struct machine_config, track_dirty_pages),   \
		},                                                             \
	{                                                                      \
		.name = "huge_pages", .type = SCHEMA_ENUM,                     \
		.flags = (other_flags),                                        \
		SCHEMA_AT(struct machine_config, huge_pages),                  \
		.names = &huge_pages,                                          \
	}

static const struct schema_field put_fields[] = {FIELDS(SCHEMA_REQUIRED, 0)};
static const struct schema_field patch_fields[] = {
	FIELDS(SCHEMA_NULL, SCHEMA_NULL)};

static const struct schema_object put_schema = {
	.name = "MachineConfig",
	.fields = put_fields,
	.nr = ARRAY_SIZE(put_fields),
	.size = sizeof(struct machine_config),
};

static const struct schema_object patch_schema = {
	.name = "MachineConfigUpdate",
	.fields = patch_fields,
	.nr = ARRAY_SIZE(patch_fields),
	.size = sizeof(struct machine_config),
};

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
	if (body->cpu_template == CPU_TEMPLATE_NONE)
		body->cpu_template = CPU_TEMPLATE_UNSET;
	body->present = true;
	call->api->vm->config.machine = *body;
	return 0;
}

static void show(struct api *api, struct buf *out)
{
	schema_encode(&put_schema, &api->vm->config.machine, out);
}

static int get(struct api_call *call)
{
	show(call->api, &call->reply->body);
	return 0;
}

static const struct api_route routes[] = {
	{
		.method = API_PUT,
		.path = "machine-config",
		.flags = API_PRE,
		.schema = &put_schema,
		.init = put_init,
		.apply = apply,
		.count = API_COUNT(put.machine_cfg_count),
		.deprecation = "PUT /machine-config: " CPU_TEMPLATE_OLD,
	},
	{
		.method = API_PATCH,
		.path = "machine-config",
		.flags = API_PRE,
		.schema = &patch_schema,
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
		.apply = get,
		.count = API_COUNT(get.machine_cfg_count),
	},
};

const struct api_resource api_machine_config = {
	.routes = routes,
	.nr_routes = ARRAY_SIZE(routes),
	.key = "machine-config",
	.show = show,
	.load = &routes[0],
};
