// SPDX-License-Identifier: Apache-2.0
/*
 * pmem.c - /pmem/{id}: files that are memory of the guest
 */
#include "config/pmem.h"
#include "api/resource.h"
#include "vm/live.h"

#include <errno.h>

#define CONFIG_ERROR "Pmem config error: "

static void api_pmem_init(struct api_call *call)
{
	config_part_pmems.init(call->body);
}

/* In the config file there is no path that could differ. */
static int pmem_check(struct api_call *call)
{
	const struct pmem_config *body = call->body;

	if (call->id && strcmp(call->id, body->id) != 0)
		return err_set(call->err, -EINVAL,
			       "The id from the path does not match the id "
			       "from the body!");
	return 0;
}

/* Hot-plug needs PCI. */
static int pmem_hot_plug(struct api_call *call)
{
	return err_set(call->err, -EOPNOTSUPP, "PCI is not enabled");
}

static int pmem_put(struct api_call *call)
{
	struct pmem_config *body = call->body;
	int r;

	if (api_started(call->api))
		return pmem_hot_plug(call);
	/* Buckets without a limit are none. */
	rate_limiter_config_update(&body->rate_limiter, &body->rate_limiter);
	body->limits = body->rate_limiter;
	r = pmems_set(&call->api->vm->config, body, call->err);
	return r < 0 ? err_prefix_api(call->err, CONFIG_ERROR) : 0;
}

static int pmem_patch(struct api_call *call)
{
	const struct pmem_config *body = call->body;
	struct pmem_config *pmem = pmems_find(&call->api->vm->config, body->id);

	if (!pmem)
		return err_set(call->err, -ENODEV,
			       CONFIG_ERROR
			       "Unable to patch the pmem device: Failed "
			       "perform action on device: Device not found "
			       "Please verify the request arguments.");
	live_pmem_set_limits(call->api->vm, pmem, &body->rate_limiter);
	return 0;
}

static const struct api_route pmem_routes[] = {
	{
		.method = API_PUT,
		.path = "pmem/{id}",
		.flags = API_BOTH | API_LIST,
		.schema = &config_pmem,
		.init = api_pmem_init,
		.check = pmem_check,
		.apply = pmem_put,
		.count = API_COUNT(put.pmem_count),
	},
	{
		.method = API_PATCH,
		.path = "pmem/{id}",
		.flags = API_POST,
		.schema = &config_pmem_patch,
		.init = api_pmem_init,
		.check = pmem_check,
		.apply = pmem_patch,
		.count = API_COUNT(patch.pmem_count),
	},
	{
		.method = API_DELETE,
		.path = "pmem/{id}",
		.flags = API_POST,
		.apply = pmem_hot_plug,
	},
};

const struct api_resource api_pmem = {
	.routes = pmem_routes,
	.nr_routes = ARRAY_SIZE(pmem_routes),
	.part = &config_part_pmems,
	.load = &pmem_routes[0],
};
