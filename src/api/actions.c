// SPDX-License-Identifier: Apache-2.0
/*
 * actions.c - PUT /actions: start, flush the metrics, Ctrl-Alt-Del
 */
#include "api/resource.h"

#include "base/log.h"

#include <errno.h>

#define METRICS_PERIOD_NS 60000000000ull

enum action {
	ACTION_FLUSH_METRICS,
	ACTION_INSTANCE_START,
	ACTION_SEND_CTRL_ALT_DEL,
};

struct action_body {
	unsigned int action_type; /* enum action */
};

static const struct schema_name action_names[] = {
	{"FlushMetrics", ACTION_FLUSH_METRICS},
	{"InstanceStart", ACTION_INSTANCE_START},
	{"SendCtrlAltDel", ACTION_SEND_CTRL_ALT_DEL},
};

static const struct schema_enum actions = SCHEMA_NAMES(action_names);

static const struct schema_field actions_fields[] = {
	{
		.name = "action_type",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct action_body, action_type),
		.names = &actions,
	},
};

static const struct schema_object actions_schema = {
	.name = "ActionBody",
	.fields = actions_fields,
	.nr = ARRAY_SIZE(actions_fields),
	.size = sizeof(struct action_body),
};

/* One line at once, then one a minute. */
void api_metrics_start(struct api *api)
{
	if (api->metrics->out.kind == SINK_NONE)
		return;
	metrics_write(api->metrics);
	timer_set(&api->flush, METRICS_PERIOD_NS, METRICS_PERIOD_NS);
}

int api_vm_start(struct api *api, struct err *err)
{
	int r;

	if (!api->vm->config.boot_source.present)
		return err_set(err, -EINVAL,
			       "Start microvm error: Cannot start microvm "
			       "without kernel configuration.");
	r = vm_start(api->vm, err);
	if (r < 0) {
		err_prefix_api(err, "Start microvm error: ");
		return r;
	}
	api_metrics_start(api);
	return 0;
}

static int actions_put(struct api_call *call)
{
	const struct action_body *body = call->body;
	struct api *api = call->api;
	bool start = body->action_type == ACTION_INSTANCE_START;
	int r;

	r = api_check_state(api, start ? API_PRE : API_POST, call->err);
	if (r < 0)
		return r;
	if (start)
		return api_vm_start(api, call->err);
	if (body->action_type == ACTION_FLUSH_METRICS) {
		api_counters_look(api);
		metrics_write(api->metrics);
		return 0;
	}
	r = vm_send_ctrl_alt_del(api->vm, call->err);
	if (r < 0)
		err_prefix_api(call->err, "Internal VMM error: ");
	return r;
}

static const struct api_route actions_routes[] = {
	{
		.method = API_PUT,
		.path = "actions",
		.flags = API_BOTH, /* each action has its own rule */
		.schema = &actions_schema,
		.apply = actions_put,
		.count = API_COUNT(put.actions_count),
	},
};

const struct api_resource api_actions = {
	.routes = actions_routes,
	.nr_routes = ARRAY_SIZE(actions_routes),
};
