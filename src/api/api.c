// SPDX-License-Identifier: Apache-2.0
/*
 * api.c - from a request to its answer (theory of operation: resource.h)
 */
#include "api/resource.h"

#include "base/fd.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>

#define TOKENS_MAX 4

/* How much of a body goes into the log. */
#define LOG_BODY_MAX 1500u

static const struct {
	const char *name; /* in requests and errors */
	const char *word; /* in the log */
} methods[] = {
	[API_GET] = {"GET", "Get"},
	[API_PUT] = {"PUT", "Put"},
	[API_PATCH] = {"PATCH", "Patch"},
	[API_DELETE] = {"DELETE", "Delete"},
};
static_assert(ARRAY_SIZE(methods) == API_NR_METHODS, "name every method");

/**
 * struct path - a path in tokens
 * @token:	NUL-terminated; the last one holds all that is left
 */
struct path {
	char *text;
	size_t nr;
	char *token[TOKENS_MAX];
};

static int path_split(struct path *path, const char *text, size_t len)
{
	char *p;

	memset(path, 0, sizeof(*path));
	while (len > 0 && *text == '/') {
		text++;
		len--;
	}
	if (len > 0 && text[len - 1] == '/')
		len--;
	path->text = strndup(text, len);
	if (!path->text)
		return -ENOMEM;
	p = *path->text ? path->text : NULL;
	while (p && path->nr < TOKENS_MAX) {
		path->token[path->nr++] = p;
		p = path->nr < TOKENS_MAX ? strchr(p, '/') : NULL;
		if (p)
			*p++ = '\0';
	}
	return 0;
}

static const char *path_token(const struct path *path, size_t i)
{
	return i < path->nr ? path->token[i] : NULL;
}

/**
 * struct match - a route that fits a path
 * @tokens:	how many of the path its pattern takes
 * @id:		what stands for {id}; "" when the path ends before it
 */
struct match {
	const struct api_route *route;
	size_t tokens;
	const char *id;
};

static bool route_fits(const struct api_route *route, const struct path *path,
		       struct match *match)
{
	const char *p = route->path;
	size_t i = 0;

	*match = (struct match){.route = route};
	while (*p) {
		size_t len = strcspn(p, "/");
		const char *token = path_token(path, i);

		if (strncmp(p, "{id}", len) == 0)
			match->id = token ? token : "";
		else if (!token || strlen(token) != len ||
			 memcmp(token, p, len) != 0)
			return false;
		i++;
		p += len;
		p += *p == '/';
	}
	/* The empty pattern is the root only. */
	match->tokens = i;
	return i > 0 || path->nr == 0;
}

/* The longest pattern wins. Return: false when none fits. */
static bool find_route(enum api_method method, const struct path *path,
		       struct match *best)
{
	bool found = false;

	for (size_t i = 0; i < API_NR_RESOURCES; i++) {
		const struct api_resource *res = api_resources[i];

		for (size_t k = 0; k < res->nr_routes; k++) {
			struct match match;

			if (res->routes[k].method != method ||
			    !route_fits(&res->routes[k], path, &match) ||
			    (found && match.tokens <= best->tokens))
				continue;
			*best = match;
			found = true;
		}
	}
	return found;
}

const char *api_os_error(int rc, char buf[static 96])
{
	int errnum = rc < 0 ? -rc : rc;

	(void)snprintf(buf, 96, "%s (os error %d)", err_name(errnum), errnum);
	return buf;
}

static int check_presence(enum api_method method, const struct api_route *route,
			  bool body, struct err *err)
{
	if (method == API_GET && body)
		return err_set(err, -EINVAL, "GET request cannot have a body.");
	if (method == API_DELETE && body)
		return err_set(err, -EINVAL, "Empty Delete request.");
	if ((method == API_PUT || method == API_PATCH) && !body &&
	    !(route && (route->flags & API_BODY_OPTIONAL)))
		return err_set(err, -EINVAL, "Empty %s request.",
			       methods[method].name);
	return 0;
}

static int api_check_id(const char *id, struct err *err)
{
	if (!*id)
		return err_set(err, -EINVAL, "The ID cannot be empty.");
	for (; *id; id++)
		if (!isalnum((unsigned char)*id) && *id != '_')
			return err_set(err, -EINVAL,
				       "API Resource IDs can only contain "
				       "alphanumeric characters and "
				       "underscores.");
	return 0;
}

int api_check_state(const struct api *api, unsigned int flags, struct err *err)
{
	bool started = api_started(api);

	if (flags & (started ? API_POST : API_PRE))
		return 0;
	return err_set(err, -EINVAL,
		       "The requested operation is not supported %s starting "
		       "the microVM.",
		       started ? "after" : "before");
}

/* Steps 2 to 5 of the theory: everything from the body on. */
static int run_route(struct api_call *call, const struct api_route *route)
{
	struct err err = {0};
	int r = 0;

	if (route->schema && call->text) {
		r = schema_decode_text(route->schema, call->text, call->len,
				       call->body, &call->seen, &err);
		if (r < 0)
			return err_set(call->err, r,
				       "An error occurred when deserializing "
				       "the json body of a request: %s.",
				       err.text);
	}
	call->reply->deprecated = call->seen.deprecated;
	if (route->check)
		r = route->check(call);
	if (call->reply->deprecated && route->deprecation)
		log_warn("%s", route->deprecation);
	if (r == 0)
		r = api_check_state(call->api, route->flags, call->err);
	if (r == 0)
		r = route->apply(call);
	return r;
}

static int call_route(struct api_call *call, const struct api_route *route)
{
	int r;

	call->route = route;
	if (route->schema) {
		call->body = calloc(1, route->schema->size);
		if (!call->body)
			return err_set(call->err, -ENOMEM, "Out of memory.");
	}
	if (route->init)
		route->init(call);
	r = run_route(call, route);
	if (route->schema)
		schema_free(route->schema, call->body);
	free(call->body);
	return r;
}

static void api_count(struct api *api, const struct api_route *route,
		      bool failed)
{
	metric_t *counter;

	if (route->count == 0)
		return;
	counter = (metric_t *)(void *)((char *)&api->counters + route->count);
	metric_inc(&counter[0]);
	if (failed && route->method != API_GET)
		metric_inc(&counter[1]);
}

/* Steps 1 to 5. */
static int handle(struct api_call *call, enum api_method method,
		  const struct path *path)
{
	struct match match = {0};
	bool found = find_route(method, path, &match);
	const char *first = path_token(path, 0);
	int r = check_presence(method, match.route, call->text, call->err);

	if (r < 0)
		return r;
	if (!found)
		return err_set(call->err, -ENOENT,
			       "Invalid request method and/or path: %s %s.",
			       methods[method].name, first ? first : "");
	call->id = match.id;
	call->rest = path_token(path, match.tokens);
	if (call->rest && (match.route->flags & API_EXACT))
		return err_set(call->err, -ENOENT,
			       "Unrecognized %s request path `%s`.",
			       methods[method].name, call->rest);
	if (call->id) {
		r = api_check_id(call->id, call->err);
		if (r < 0)
			return r;
	}
	r = call_route(call, match.route);
	api_count(call->api, match.route, r < 0);
	return r;
}

static void log_request(enum api_method method, const char *path,
			size_t path_len, const char *text, size_t len)
{
	cleanup_buf struct buf line = {0};
	size_t shown = len < LOG_BODY_MAX ? len : LOG_BODY_MAX;

	if (log_settings.level < LOG_INFO)
		return;
	buf_add_json(&line, path, path_len);
	/* What is in the metadata store is nobody else's business. */
	if (text && !(path_len >= 5 && memcmp(path, "/mmds", 5) == 0 &&
		      (path_len == 5 || path_len == 6))) {
		buf_add_str(&line, " with body ");
		buf_add_json(&line, text, shown);
	}
	if (!line.failed)
		log_info("The API server received a %s request on %.*s.",
			 methods[method].word, (int)line.len, line.data);
}

static void api_finish(struct api *api, struct api_reply *reply,
		       const struct err *err, int r)
{
	if (reply->deprecated)
		metric_inc(&api->counters.deprecated.deprecated_http_api_calls);
	if (r == 0) {
		reply->status = reply->body.len > 0 ? 200 : 204;
		log_info("The request was executed successfully. Status code: "
			 "%s.",
			 reply->status == 200 ? "200 OK" : "204 No Content");
		return;
	}
	if (reply->status == 0)
		reply->status = 400;
	log_error("Received Error. Status code: %s. Message: %s",
		  reply->status == 413 ? "413 Payload Too Large"
				       : "400 Bad Request",
		  err->text);
	buf_clear(&reply->body);
	buf_add_str(&reply->body, "{\"fault_message\":");
	buf_add_json(&reply->body, err->text, strlen(err->text));
	buf_add(&reply->body, "}", 1);
}

void api_handle(struct api *api, enum api_method method, const char *path,
		size_t path_len, const char *text, size_t len,
		struct api_reply *reply)
{
	struct err err = {0};
	struct api_call call = {
		.api = api,
		.text = text,
		.len = len,
		.reply = reply,
		.err = &err,
	};
	struct path tokens;
	int r;

	log_request(method, path, path_len, text, len);
	if (path_split(&tokens, path, path_len) < 0)
		r = err_set(&err, -ENOMEM, "Out of memory.");
	else
		r = handle(&call, method, &tokens);
	free(tokens.text);
	api_finish(api, reply, &err, r);
}

int api_load(struct api *api, const struct api_route *route, const char *text,
	     size_t len, struct err *err)
{
	struct api_reply reply = {0};
	struct api_call call = {
		.api = api,
		.text = text,
		.len = len,
		.reply = &reply,
		.err = err,
	};
	int r = call_route(&call, route);

	buf_free(&reply.body);
	return r;
}

/* ---- life ---- */

/* While the VM is paused its metrics stand still. */
static void on_flush(struct timer *timer)
{
	struct api *api = container_of(timer, struct api, flush);

	if (api->vm->state == VM_RUNNING)
		metrics_write(api->metrics);
}

struct api *api_new(struct vm *vm, struct metrics *metrics,
		    const struct api_settings *settings)
{
	struct api *api = calloc(1, sizeof(*api));

	if (!api)
		return NULL;
	api->vm = vm;
	api->metrics = metrics;
	api->settings = *settings;
	vm->mmds.limit = settings->mmds_size_limit;
	api->gate.src.fd = -1;
	timer_init(&api->flush, vm->loop, on_flush);
	if (metrics_init(metrics) < 0 || api_counters_declare(api) < 0) {
		metrics_fini(metrics);
		free(api);
		return NULL;
	}
	return api;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	timer_stop(&api->flush);
	metrics_write(api->metrics);
	metrics_fini(api->metrics);
	log_settings.module = NULL;
	free(api->log_module);
	free(api->leased_id);
	free(api);
}
