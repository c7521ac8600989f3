// SPDX-License-Identifier: Apache-2.0
/*
 * balloon.c - /balloon: the memory balloon, its statistics, free page hinting
 */
#include "dev/balloon.h"
#include "api/resource.h"
#include "vm/live.h"

#include <errno.h>

/* ---- bodies ---- */

struct start_body {
	bool acknowledge_on_stop;
};

static const struct schema_field start_fields[] = {
	{
		.name = "acknowledge_on_stop",
		.type = SCHEMA_BOOL,
		SCHEMA_AT(struct start_body, acknowledge_on_stop),
	},
};

static const struct schema_object start_schema = {
	.name = "StartHintingCmd",
	.fields = start_fields,
	.nr = ARRAY_SIZE(start_fields),
	.size = sizeof(struct start_body),
	.open = true,
};

/* ---- errors ---- */

/* Return: the device of the running VM, or NULL with Firecracker's sentence. */
static struct balloon *balloon_device(struct api_call *call, const char *area)
{
	struct balloon *balloon = live_balloon(call->api->vm);

	if (!balloon)
		err_set(call->err, -ENODEV,
			"%s: Failed perform action on device: Device not found",
			area);
	return balloon;
}

static struct balloon *device_to_update(struct api_call *call)
{
	return balloon_device(call, "Balloon update error");
}

static int balloon_refuse(struct api_call *call, const char *why)
{
	return err_set(call->err, -EINVAL, "Balloon update error: Balloon: %s",
		       why);
}

static int not_active(struct api_call *call, int r)
{
	return r < 0 ? balloon_refuse(call, "Device not activated yet.") : 0;
}

/* ---- the balloon ---- */

static int balloon_put(struct api_call *call)
{
	const struct balloon_config *body = call->body;
	struct vm_config *config = &call->api->vm->config;

	if (body->amount_mib > config->machine.mem_size_mib)
		return err_set(call->err, -EINVAL,
			       "Balloon config error: Amount of pages "
			       "requested is too large.");
	config->balloon = *body;
	config->balloon.present = true;
	return 0;
}

static void balloon_show(struct api *api, struct buf *out)
{
	struct balloon *balloon = live_balloon(api->vm);
	struct balloon_config config = api->vm->config.balloon;
	struct balloon_config_space space;
	struct balloon_hinting hinting;
	struct balloon_stats stats;

	if (balloon) {
		balloon_read(balloon, &space, &stats, &hinting);
		config.amount_mib = space.num_pages / BALLOON_PAGES_MIB;
	}
	if (config.present)
		schema_encode(&config_balloon, &config, out);
	else
		buf_add_str(out, "null");
}

static int balloon_get(struct api_call *call)
{
	if (api_started(call->api)) {
		if (!balloon_device(call, "Internal VMM error"))
			return call->err->rc;
	} else if (!call->api->vm->config.balloon.present) {
		return err_set(call->err, -ENODEV,
			       "Balloon config error: No balloon device "
			       "found.");
	}
	balloon_show(call->api, &call->reply->body);
	return 0;
}

static int balloon_patch(struct api_call *call)
{
	const struct balloon_config *body = call->body;

	if (!device_to_update(call))
		return call->err->rc;
	if (body->amount_mib > UINT32_MAX / BALLOON_PAGES_MIB)
		return balloon_refuse(
			call, "Amount of pages requested is too large.");
	return not_active(
		call, live_balloon_set_target(call->api->vm, body->amount_mib));
}

/* ---- statistics ---- */

/* By tag, as Firecracker names and orders them. */
static const char *const stat_names[BALLOON_STATS] = {
	"swap_in",          "swap_out",    "major_faults",
	"minor_faults",     "free_memory", "total_memory",
	"available_memory", "disk_caches", "hugetlb_allocations",
	"hugetlb_failures", "oom_kill",    "alloc_stall",
	"async_scan",       "direct_scan", "async_reclaim",
	"direct_reclaim",
};

static int get_stats(struct api_call *call)
{
	struct balloon *balloon = balloon_device(call, "Internal VMM error");
	struct buf *out = &call->reply->body;
	struct balloon_config_space space;
	struct balloon_hinting hinting;
	struct balloon_stats stats;

	if (!balloon)
		return call->err->rc;
	if (call->api->vm->config.balloon.stats_polling_interval_s == 0)
		return err_set(call->err, -EINVAL,
			       "Internal VMM error: Balloon: Statistics for "
			       "the balloon device are not enabled");
	balloon_read(balloon, &space, &stats, &hinting);
	buf_addf(out,
		 "{\"target_pages\":%u,\"actual_pages\":%u,\"target_mib\":%u,"
		 "\"actual_mib\":%u",
		 space.num_pages, space.actual,
		 space.num_pages / BALLOON_PAGES_MIB,
		 space.actual / BALLOON_PAGES_MIB);
	for (unsigned int i = 0; i < BALLOON_STATS; i++)
		if (stats.seen & 1u << i)
			buf_addf(out, ",\"%s\":%llu", stat_names[i],
				 (unsigned long long)stats.value[i]);
	buf_add(out, "}", 1);
	return 0;
}

static int patch_stats(struct api_call *call)
{
	const struct balloon_config *body = call->body;
	struct vm *vm = call->api->vm;
	uint16_t now = vm->config.balloon.stats_polling_interval_s;
	uint16_t seconds = body->stats_polling_interval_s;

	if (!device_to_update(call))
		return call->err->rc;
	if (now == seconds)
		return 0;
	if (now == 0 || seconds == 0)
		return balloon_refuse(call,
				      "Statistics cannot be enabled/disabled "
				      "after activation.");
	live_balloon_set_interval(vm, seconds);
	return 0;
}

/* ---- free page hinting ---- */

static struct balloon *device_that_hints(struct api_call *call)
{
	struct balloon *balloon = device_to_update(call);

	if (balloon && !call->api->vm->config.balloon.free_page_hinting) {
		balloon_refuse(call,
			       "Attempting to use hinting when not enabled");
		return NULL;
	}
	return balloon;
}

static int get_hinting(struct api_call *call)
{
	struct balloon *balloon = device_that_hints(call);
	struct buf *out = &call->reply->body;
	struct balloon_config_space space;
	struct balloon_hinting hinting;
	struct balloon_stats stats;

	if (!balloon)
		return call->err->rc;
	balloon_read(balloon, &space, &stats, &hinting);
	buf_addf(out, "{\"host_cmd\":%u,\"guest_cmd\":", space.hint_cmd);
	if (hinting.has_guest_cmd)
		buf_addf(out, "%u}", hinting.guest_cmd);
	else
		buf_add_str(out, "null}");
	return 0;
}

static void start_init(struct api_call *call)
{
	((struct start_body *)call->body)->acknowledge_on_stop = true;
}

static int start_hinting(struct api_call *call)
{
	const struct start_body *body = call->body;
	struct balloon *balloon = device_that_hints(call);

	if (!balloon)
		return call->err->rc;
	return not_active(call, balloon_start_hinting(
					balloon, body->acknowledge_on_stop));
}

static int stop_hinting(struct api_call *call)
{
	struct balloon *balloon = device_that_hints(call);

	if (!balloon)
		return call->err->rc;
	return not_active(call, balloon_stop_hinting(balloon));
}

/* clang-format off */
#define ROUTE(method_, path_, flags_, apply_, ...) \
	{ .method = API_##method_, .path = (path_), .flags = (flags_), \
	  .apply = (apply_), __VA_ARGS__ }

static const struct api_route balloon_routes[] = {
	ROUTE(PUT, "balloon", API_PRE, balloon_put, .schema = &config_balloon),
	ROUTE(GET, "balloon", API_BOTH | API_EXACT, balloon_get),
	ROUTE(GET, "balloon/statistics", API_POST, get_stats),
	ROUTE(GET, "balloon/hinting/status", API_POST, get_hinting),
	ROUTE(PATCH, "balloon", API_POST | API_EXACT, balloon_patch,
	      .schema = &config_balloon_patch),
	ROUTE(PATCH, "balloon/statistics", API_POST, patch_stats,
	      .schema = &config_balloon_stats_patch),
	ROUTE(PATCH, "balloon/hinting/start", API_POST | API_BODY_OPTIONAL,
	      start_hinting, .schema = &start_schema, .init = start_init),
	ROUTE(PATCH, "balloon/hinting/stop", API_POST | API_BODY_OPTIONAL,
	      stop_hinting),
};
/* clang-format on */

const struct api_resource api_balloon = {
	.routes = balloon_routes,
	.nr_routes = ARRAY_SIZE(balloon_routes),
	.part = &config_part_balloon,
	.show = balloon_show,
	.load = &balloon_routes[0],
};
