// SPDX-License-Identifier: Apache-2.0
/*
 * vm_state.c - PATCH /vm: pause and resume; GET /volt/vm: has it run, and since
 * when?
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

static const struct schema_field api_vm_state_fields[] = {
	{
		.name = "state",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct vm_patch, state),
		.names = &states,
	},
};

static const struct schema_object api_vm_state_schema = {
	.name = "Vm",
	.fields = api_vm_state_fields,
	.nr = ARRAY_SIZE(api_vm_state_fields),
	.size = sizeof(struct vm_patch),
};

static int vm_state_patch(struct api_call *call)
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

/* Volt's own. Who lets a restored guest run first has to tell it, and who
 * resumes one that was only paused has not; who finds one that waits may only
 * give it away once: Firecracker's state is the same of all. */
static int vm_waits_get(struct api_call *call)
{
	const struct vm *vm = call->api->vm;
	uint64_t began = atomic_load(&vm->timeline.ns[TIMELINE_FIRST_RUN]);

	buf_addf(&call->reply->body,
		 "{\"waits\":%s,\"leased\":%s,\"began_ns\":%llu}",
		 vm->waits ? "true" : "false", vm->leased ? "true" : "false",
		 (unsigned long long)began);
	return 0;
}

static const struct api_route vm_state_routes[] = {
	{
		.method = API_PATCH,
		.path = "vm",
		.flags = API_POST,
		.schema = &api_vm_state_schema,
		.apply = vm_state_patch,
	},
	{
		.method = API_GET,
		.path = "volt/vm",
		.flags = API_BOTH,
		.apply = vm_waits_get,
	},
};

const struct api_resource api_vm_state = {
	.routes = vm_state_routes,
	.nr_routes = ARRAY_SIZE(vm_state_routes),
};
