// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox.c - GET /volt/sandbox: how far this process is locked
 *
 * Volt's own: what Firecracker's paths answer has nothing new in it.
 */
#include "api/resource.h"
#include "sandbox/stage.h"

static int get_sandbox(struct api_call *call)
{
	static const struct sandbox none = {.mode = SANDBOX_OFF};
	const struct sandbox *s = call->api->vm->sandbox;
	struct buf *out = &call->reply->body;
	char gap[SANDBOX_GAP_MAX];

	if (!s)
		s = &none;
	buf_addf(out,
		 "{\"mode\":\"%s\",\"locked\":%s,\"landlock_abi\":%u,"
		 "\"seccomp\":\"%s\",\"isolated\":%s,"
		 "\"pid_namespace\":%s,\"gaps\":[",
		 sandbox_mode_name(s->mode), s->locked ? "true" : "false",
		 s->abi, sandbox_filters_name(s),
		 sandbox_is_isolated(s) ? "true" : "false",
		 s->own_pids ? "true" : "false");
	for (unsigned int i = 0; sandbox_gap(s, i, gap) > 0; i++) {
		buf_add_str(out, i ? "," : "");
		buf_add_json(out, gap, strlen(gap));
	}
	buf_add_str(out, "]}");
	return 0;
}

static const struct api_route sandbox_routes[] = {
	{
		.method = API_GET,
		.path = "volt/sandbox",
		.flags = API_BOTH,
		.apply = get_sandbox,
	},
};

const struct api_resource api_sandbox = {
	.routes = sandbox_routes,
	.nr_routes = ARRAY_SIZE(sandbox_routes),
};
