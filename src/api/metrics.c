// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.c - PUT /metrics and --metrics-path: where the metrics go
 */
#include "api/resource.h"

#include "host/stream.h"

#include <errno.h>

struct metrics_body {
	char *metrics_path;
	bool emit_id;
	struct schema_list properties;
};

static const struct schema_field metrics_fields[] = {
	{
		.name = "metrics_path",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct metrics_body, metrics_path),
	},
	{
		.name = "emit_id",
		.type = SCHEMA_BOOL,
		SCHEMA_AT(struct metrics_body, emit_id),
	},
	{
		.name = "properties",
		.type = SCHEMA_MAP,
		.flags = SCHEMA_NULL,
		SCHEMA_AT(struct metrics_body, properties),
	},
};

static const struct schema_object metrics_schema = {
	.name = "MetricsConfig",
	.fields = metrics_fields,
	.nr = ARRAY_SIZE(metrics_fields),
	.size = sizeof(struct metrics_body),
	.open = true,
};

static int open_metrics(struct api *api, const char *path, const char *extra,
			struct err *err)
{
	struct sink to = SINK_CLOSED;
	int r;

	if (metrics_is_open(api->metrics))
		return err_set(err, -EEXIST,
			       "Cannot initialize the metrics system due to "
			       "bad user input: Reinitialization of metrics "
			       "not allowed.");
	r = stream_open(api->vm->config.opener, PATH_METRICS, path, &to, err);
	if (r < 0)
		return r;
	r = metrics_open(api->metrics, &to, extra);
	sink_close(&to);
	return r < 0 ? path_say(PATH_METRICS, path, r, "", err) : 0;
}

int api_metrics_setup(struct api *api, const char *path, struct err *err)
{
	int r = open_metrics(api, path, NULL, err);

	if (r < 0)
		(void)err_prefix_api(err, "Could not initialize metrics: ");
	return r;
}

/* The members that every line repeats, each with a comma before. */
static void add_extra(const struct api *api, const struct metrics_body *body,
		      struct buf *out)
{
	const struct schema_pair *pair = body->properties.items;

	if (body->emit_id) {
		buf_add_str(out, ",\"id\":");
		buf_add_json(out, api->settings.id, strlen(api->settings.id));
	}
	if (body->properties.nr > 0)
		buf_add_str(out, ",\"properties\":{");
	for (size_t i = 0; i < body->properties.nr; i++) {
		buf_add_str(out, i > 0 ? "," : "");
		buf_add_json(out, pair[i].key, strlen(pair[i].key));
		buf_add(out, ":", 1);
		buf_add_json(out, pair[i].value, strlen(pair[i].value));
	}
	if (body->properties.nr > 0)
		buf_add(out, "}", 1);
	buf_add(out, "", 1);
}

static int metrics_put(struct api_call *call)
{
	const struct metrics_body *body = call->body;
	struct buf extra = {0};
	int r;

	add_extra(call->api, body, &extra);
	if (extra.failed)
		r = err_set(call->err, -ENOMEM, "Out of memory.");
	else
		r = open_metrics(call->api, body->metrics_path, extra.data,
				 call->err);
	if (r < 0)
		err_prefix(call->err, "Metrics error: ");
	buf_free(&extra);
	return r;
}

/* Firecracker never tells where the metrics go. */
static void metrics_show(struct api *api, struct buf *out)
{
	(void)api;
	buf_add_str(out, "null");
}

static const struct api_route metrics_routes[] = {
	{
		.method = API_PUT,
		.path = "metrics",
		.flags = API_PRE,
		.schema = &metrics_schema,
		.apply = metrics_put,
		.count = API_COUNT(put.metrics_count),
	},
};

const struct api_resource api_metrics = {
	.routes = metrics_routes,
	.nr_routes = ARRAY_SIZE(metrics_routes),
	.key = "metrics",
	.show = metrics_show,
	.load = &metrics_routes[0],
};
