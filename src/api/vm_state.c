// SPDX-License-Identifier: Apache-2.0
/*
 * vm_state.c - PATCH /vm: pause and resume
 */
#include "api/resource.h"

struct vm_patch {
	unsigned int state; /* enum vm_state */
};

static const struct schema_name state_names[] = {
	{"Paused", VM_PAUSED},
	{"Resumed", VM_RUNNING},
};

static const struct schema_enum states = SCHEMA_NAMES(state_names);

static const struct schema_field fields[] = {
	{
		.name = "state",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct vm_patch, state),
		.names = &states,
	},
};

static const struct schema_object schema = {
	.name = "Vm",
	.fields = fields,
	.nr = ARRAY_SIZE(fields),
	.size = sizeof(struct vm_patch),
};

static int patch(struct api_call *call)
{
	const struct vm_patch *body = call->body;
	struct api_counters *counters = &call->api->counters;
	bool pause = body->state == VM_PAUSED;
	uint64_t start = now_ns();
	uint64_t us;
	int r;

	r = pause ? vm_pause(call->api->vm, call->err)
		  : vm_resume(call->api->vm, call->err);
	if (r < 0) {
		err_prefix(call->err, "Internal VMM error: ");
		return r;
	}
	us = (now_ns() - start) / 1000;
	if (pause) {
		metric_store(&counters->latencies.pause_vm, us);
		metric_store(&counters->latencies.vmm_pause_vm, us);
	} else {
		metric_store(&counters->latencies.resume_vm, us);
		metric_store(&counters->latencies.vmm_resume_vm, us);
	}
	return 0;
}

static const struct api_route routes[] = {
	{
		.method = API_PATCH,
		.path = "vm",
		.flags = API_POST,
		.schema = &schema,
		.apply = patch,
	},
};

const struct api_resource api_vm_state = {
	.routes = routes,
	.nr_routes = ARRAY_SIZE(routes),
};
