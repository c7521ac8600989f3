// SPDX-License-Identifier: Apache-2.0
/*
 * logger.c - PUT /logger and the --log-path family: where the log goes
 */
#include "api/resource.h"

#include "base/fd.h"
#include "base/log.h"
#include "host/stream.h"

#include <errno.h>

struct logger_body {
	char *log_path;
	enum log_level level;
	bool has_level;
	bool show_level;
	bool show_log_origin;
	char *module;
};

static int parse_level(const char *text, void *value, struct err *err)
{
	if (!log_level_parse(text, value))
		return err_set(err, -EINVAL, "Invalid LevelFilter");
	return 0;
}

static const struct schema_parser level_parser = {.parse = parse_level};

static const struct schema_field logger_fields[] = {
	{
		.name = "log_path",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_NULL,
		SCHEMA_AT(struct logger_body, log_path),
	},
	{
		.name = "level",
		.type = SCHEMA_PARSED,
		.flags = SCHEMA_NULL | SCHEMA_HAS | SCHEMA_HIDDEN,
		SCHEMA_AT(struct logger_body, level),
		.has = offsetof(struct logger_body, has_level),
		.parser = &level_parser,
	},
	{
		.name = "show_level",
		.type = SCHEMA_BOOL,
		.flags = SCHEMA_NULL,
		SCHEMA_AT(struct logger_body, show_level),
	},
	{
		.name = "show_log_origin",
		.type = SCHEMA_BOOL,
		.flags = SCHEMA_NULL,
		SCHEMA_AT(struct logger_body, show_log_origin),
	},
	{
		.name = "module",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_NULL,
		SCHEMA_AT(struct logger_body, module),
	},
};

static const struct schema_object logger_schema = {
	.name = "LoggerConfig",
	.fields = logger_fields,
	.nr = ARRAY_SIZE(logger_fields),
	.size = sizeof(struct logger_body),
};

/* What is not in the body stays as it is. */
static void logger_init(struct api_call *call)
{
	struct logger_body *body = call->body;

	body->show_level = log_settings.show_level;
	body->show_log_origin = log_settings.show_origin;
}

static int open_target(struct api *api, const char *path, struct err *err)
{
	struct sink to;
	int r = stream_open(api->vm->config.opener, PATH_LOG, path, &to, err);

	if (r < 0)
		return r;
	log_move(&to);
	/* A file is meant to be read: more than the terminal's warnings. */
	if (!api->level_set)
		log_settings.level = LOG_INFO;
	return 0;
}

static int set(struct api *api, struct logger_body *body, struct err *err)
{
	if (body->log_path) {
		int r = open_target(api, body->log_path, err);

		if (r < 0)
			return r;
	}
	if (body->has_level) {
		log_settings.level = body->level;
		api->level_set = true;
	}
	log_settings.show_level = body->show_level;
	log_settings.show_origin = body->show_log_origin;
	if (body->module) {
		free(api->log_module);
		api->log_module = ptr_steal(body->module);
		log_settings.module = api->log_module;
	}
	return 0;
}

int api_logger_setup(struct api *api, const char *path, const char *level,
		     const char *module, bool show_level, bool show_origin,
		     struct err *err)
{
	struct logger_body body = {
		.show_level = show_level || log_settings.show_level,
		.show_log_origin = show_origin || log_settings.show_origin,
		.has_level = level != NULL,
	};
	int r = -ENOMEM;

	if (level && !log_level_parse(level, &body.level))
		return err_set(err, -EINVAL,
			       "Invalid value for logger level: %s. Possible "
			       "values: [Error, Warning, Info, Debug, Trace, "
			       "Off]",
			       level);
	body.log_path = path ? strdup(path) : NULL;
	body.module = module ? strdup(module) : NULL;
	if ((!path || body.log_path) && (!module || body.module)) {
		r = set(api, &body, err);
		if (r < 0)
			(void)err_prefix_api(err,
					     "Could not initialize logger: ");
	}
	schema_free(&logger_schema, &body);
	return r;
}

static int logger_put(struct api_call *call)
{
	int r = set(call->api, call->body, call->err);

	if (r < 0)
		err_prefix(call->err, "Logger error: ");
	return r;
}

/* Firecracker never tells where the log goes. */
static void logger_show(struct api *api, struct buf *out)
{
	(void)api;
	buf_add_str(out, "null");
}

static const struct api_route logger_routes[] = {
	{
		.method = API_PUT,
		.path = "logger",
		.flags = API_PRE,
		.schema = &logger_schema,
		.init = logger_init,
		.apply = logger_put,
		.count = API_COUNT(put.logger_count),
	},
};

const struct api_resource api_logger = {
	.routes = logger_routes,
	.nr_routes = ARRAY_SIZE(logger_routes),
	.key = "logger",
	.show = logger_show,
	.load = &logger_routes[0],
};
