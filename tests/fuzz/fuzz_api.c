// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_api.c - any body for every resource, any path for the dispatcher
 *
 * The first byte chooses. A route with a schema: the rest is decoded as its
 * body. Anything beyond them: the rest is a request, "<path>\n<body>", through
 * the whole API; paths whose handlers would open files are left out.
 */
#include "api_fuzz.h"

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct schema_object *nth_schema(size_t n)
{
	for (size_t i = 0; i < API_NR_RESOURCES; i++) {
		const struct api_resource *res = api_resources[i];

		for (size_t k = 0; k < res->nr_routes; k++)
			if (res->routes[k].schema && n-- == 0)
				return res->routes[k].schema;
	}
	return NULL;
}

static bool opens_files(const char *path, size_t len)
{
	static const char *const words[] = {"boot-source", "drives", "logger",
					    "metrics", "actions"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (memmem(path, len, words[i], strlen(words[i])))
			return true;
	return false;
}

static void request(const char *text, size_t size, enum api_method method)
{
	static const struct api_settings settings = {.id = "fuzz",
						     .mmds_size_limit = 64};
	const char *newline = memchr(text, '\n', size);
	size_t path_len = newline ? (size_t)(newline - text) : size;
	char *body =
		newline ? fuzz_copy(newline + 1, size - path_len - 1) : NULL;
	struct api_reply reply = {0};
	struct metrics metrics;
	struct api *api;
	struct loop loop;
	struct vm vm = {0};

	log_settings.level = LOG_OFF;
	fuzz_check(loop_init(&loop) == 0 && vm_init(&vm, &loop) == 0);
	api = api_new(&vm, &metrics, &settings);
	fuzz_check(api);
	if (!opens_files(text, path_len)) {
		api_handle(api, method, text, path_len, body,
			   newline ? size - path_len - 1 : 0, &reply);
		fuzz_check(reply.status == 200 || reply.status == 204 ||
			   reply.status == 400 || reply.status == 413);
		fuzz_check((reply.body.len > 0) == (reply.status != 204));
	}
	buf_free(&reply.body);
	api_free(api);
	vm_fini(&vm);
	loop_fini(&loop);
	free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct schema_object *schema;
	char *text;

	if (size == 0)
		return 0;
	text = fuzz_copy(data + 1, size - 1);
	schema = nth_schema(data[0] >> 1);
	if (schema && data[0] & 1)
		fuzz_body(schema, text, size - 1);
	else
		request(text, size - 1, data[0] / 2 % API_NR_METHODS);
	free(text);
	return 0;
}
