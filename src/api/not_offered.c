// SPDX-License-Identifier: Apache-2.0
/*
 * not_offered.c - resources of Firecracker's API that this build does not offer
 *
 * Their paths, ids and states follow the same rules as all others, their keys
 * are in GET /vm/config, and what can be answered truthfully about a VM without
 * such a device is. Only what would create one says that it cannot. A resource
 * leaves this file for a file of its own.
 */
#include "api/resource.h"

#include <errno.h>

static int not_offered(struct api_call *call)
{
	return err_set(call->err, -EOPNOTSUPP,
		       "The requested operation is not supported: this build "
		       "of Volt does not offer /%.*s yet.",
		       (int)strcspn(call->route->path, "{"), call->route->path);
}

/* Before the start: a device; after it: hot-plug, which needs PCI. */
static int hot_plug(struct api_call *call)
{
	if (!api_started(call->api))
		return not_offered(call);
	return err_set(call->err, -EOPNOTSUPP, "PCI is not enabled");
}

static void show_empty(struct api *api, struct buf *out)
{
	(void)api;
	buf_add_str(out, "[]");
}

/* clang-format off */
#define ROUTE(method_, path_, flags_, apply_, ...) \
	{ .method = API_##method_, .path = (path_), .flags = (flags_), \
	  .apply = (apply_), __VA_ARGS__ }
#define COUNTED(member) .count = API_COUNT(member)

static const struct api_route pmem[] = {
	ROUTE(PUT, "pmem/{id}", API_BOTH | API_LIST, hot_plug,
	      COUNTED(put.pmem_count)),
	ROUTE(PATCH, "pmem/{id}", API_POST, not_offered,
	      COUNTED(patch.pmem_count)),
	ROUTE(DELETE, "pmem/{id}", API_POST, hot_plug),
};

#define RESOURCE(name_, routes_, ...) \
	const struct api_resource name_ = { \
		.routes = (routes_), .nr_routes = ARRAY_SIZE(routes_), \
		__VA_ARGS__ }
#define KEY(key_, show_, routes_) \
	.key = (key_), .show = (show_), .load = &(routes_)[0]

RESOURCE(api_pmem, pmem, KEY("pmem", show_empty, pmem));
/* clang-format on */
