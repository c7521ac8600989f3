// SPDX-License-Identifier: Apache-2.0
/*
 * mmds.c - /mmds and /mmds/config: the metadata service
 *
 * The document may be set before the service is configured. Once the guest runs
 * there is one only if it was.
 */
#include "api/resource.h"
#include "api/text_file.h"

#include "base/json.h"

#include <errno.h>

#define MMDS_V1_OLD "PUT /mmds/config: V1 is deprecated. Use V2 instead."

static int mmds_bad_body(struct api_call *call, const struct err *why)
{
	return err_set(call->err, -EINVAL,
		       "An error occurred when deserializing the json body of "
		       "a request: %s.",
		       why->text);
}

static int mmds_is_there(struct api_call *call)
{
	const struct vm *vm = call->api->vm;

	if (!api_started(call->api) || vm->config.mmds.present)
		return 0;
	return err_set(call->err, -EINVAL,
		       "MMDS error: The MMDS data store is not initialized.");
}

/* Nobody reads a document of a VM that has no service; but what is no JSON is
 * told first. */
static int mmds_refused(struct api_call *call, int why)
{
	struct err err = {0};
	struct json json;
	int r;

	json_init(&json, call->text, call->len, &err);
	r = json_skip(&json);
	if (r == 0)
		r = json_end(&json);
	return r < 0 ? mmds_bad_body(call, &err) : why;
}

/* A body is read once: by @set, which says when it is no JSON. */
static int mmds_change(struct api_call *call,
		       int (*set)(struct mmds *mmds, const char *text,
				  size_t len, struct err *err))
{
	struct err err = {0};
	int r = mmds_is_there(call);

	if (r < 0)
		return mmds_refused(call, r);
	r = set(&call->api->vm->mmds, call->text, call->len, &err);
	if (r == -EINVAL)
		return mmds_bad_body(call, &err);
	if (r == -E2BIG)
		call->reply->status = 413;
	return r < 0 ? err_set(call->err, r, "%s: %s",
			       r == -E2BIG ? "MMDS limit exceeded error"
					   : "MMDS error",
			       err.text)
		     : 0;
}

static int mmds_api_put(struct api_call *call)
{
	return mmds_change(call, mmds_put);
}

static int mmds_api_patch(struct api_call *call)
{
	return mmds_change(call, mmds_patch);
}

static int mmds_api_get(struct api_call *call)
{
	int r = mmds_is_there(call);

	if (r == 0)
		mmds_get(&call->api->vm->mmds, &call->reply->body);
	return r;
}

static void mmds_body_init(struct api_call *call)
{
	mmds_config_init(call->body);
}

/* No field is deprecated, but a version is. */
static int mmds_check_version(struct api_call *call)
{
	const struct mmds_config *body = call->body;

	call->reply->deprecated = body->version == CONFIG_MMDS_V1;
	return 0;
}

static int mmds_put_config(struct api_call *call)
{
	struct vm_config *config = &call->api->vm->config;
	struct mmds_config *body = call->body;
	int r = mmds_config_check(config, body, call->err);

	if (r < 0)
		return err_prefix(call->err, "MMMDS config error: ");
	mmds_config_free(&config->mmds);
	config->mmds = *body;
	config->mmds.present = true;
	mmds_config_init(body); /* taken over */
	return 0;
}

int api_mmds_setup(struct api *api, const char *path, struct err *err)
{
	cleanup_buf struct buf text = {0};
	struct vm *vm = api->vm;
	int r = text_file_read(vm->config.opener, PATH_METADATA, path, &text,
			       err);

	if (r < 0)
		return r;
	r = mmds_put(&vm->mmds, text.data, text.len, err);
	return r < 0 ? err_prefix(err, "Populating MMDS from file failed: ")
		     : 0;
}

static const struct api_route mmds_routes[] = {
	{
		.method = API_PUT,
		.path = "mmds",
		.flags = API_BOTH | API_EXACT,
		.apply = mmds_api_put,
		.count = API_COUNT(put.mmds_count),
	},
	{
		.method = API_PUT,
		.path = "mmds/config",
		.flags = API_PRE,
		.schema = &config_mmds,
		.init = mmds_body_init,
		.check = mmds_check_version,
		.apply = mmds_put_config,
		.count = API_COUNT(put.mmds_count),
		.deprecation = MMDS_V1_OLD,
	},
	{
		.method = API_PATCH,
		.path = "mmds",
		.flags = API_BOTH,
		.apply = mmds_api_patch,
		.count = API_COUNT(patch.mmds_count),
	},
	{
		.method = API_GET,
		.path = "mmds",
		.flags = API_BOTH,
		.apply = mmds_api_get,
		.count = API_COUNT(get.mmds_count),
	},
};

const struct api_resource api_mmds = {
	.routes = mmds_routes,
	.nr_routes = ARRAY_SIZE(mmds_routes),
	.part = &config_part_mmds,
	.load = &mmds_routes[1],
};
