// SPDX-License-Identifier: Apache-2.0
/*
 * config_file.c - --config-file: a whole microVM in one JSON object
 *
 * The file is read twice. First its top level: each key is found among the
 * resources and the place of its value is noted; keys that nobody knows are
 * ignored, as Firecracker does. Then the values go through the resources' PUT
 * handlers, in the order of the resources, not of the file.
 */
#include "api/config_file.h"
#include "api/resource.h"
#include "api/text_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_required(const struct api_resource *res)
{
	return res->part && res->part->required;
}

static size_t find_key(const struct buf *key)
{
	for (size_t i = 0; i < API_NR_RESOURCES; i++) {
		const char *name = api_key(api_resources[i]);

		if (name && api_resources[i]->load &&
		    strlen(name) == key->len &&
		    memcmp(name, key->data, key->len) == 0)
			return i;
	}
	return API_NR_RESOURCES;
}

int config_file_scan(const char *text, size_t len,
		     struct config_section *sections, struct err *err)
{
	struct json scanner;
	struct json *json = &scanner;
	cleanup_buf struct buf key = {0};
	bool first = true;
	int r;

	json_init(json, text, len, err);
	if (json_peek(json) != JSON_AT_OBJECT)
		return json_fail(json, "invalid type, expected struct "
				       "VmmConfig");
	r = json_enter(json);
	while (r == 0 && (r = json_next_key(json, &first, &key)) > 0) {
		size_t i = find_key(&key);
		size_t start;

		r = json_colon(json);
		if (r < 0)
			return r;
		(void)json_peek(json);
		start = json->pos;
		if (i < API_NR_RESOURCES && sections[i].len > 0)
			return json_fail(json, "duplicate field `%s`",
					 api_key(api_resources[i]));
		r = json_skip(json);
		if (r == 0 && i < API_NR_RESOURCES)
			sections[i] = (struct config_section){
				json->text + start, json->pos - start};
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < API_NR_RESOURCES; i++)
		if (is_required(api_resources[i]) && sections[i].len == 0)
			return json_fail(json, "missing field `%s`",
					 api_key(api_resources[i]));
	return json_end(json);
}

static int load_list(struct api *api, const struct api_route *route,
		     const struct config_section *section, struct err *err)
{
	bool first = true;
	struct json json;
	size_t start;
	int r;

	json_init(&json, section->text, section->len, err);
	if (json_peek(&json) != JSON_AT_ARRAY)
		return json_fail(&json, "invalid type, expected a sequence");
	r = json_enter(&json);
	while (r == 0 && (r = json_next_item(&json, &first)) > 0) {
		(void)json_peek(&json);
		start = json.pos;
		r = json_skip(&json);
		if (r == 0)
			r = api_load(api, route, json.text + start,
				     json.pos - start, err);
	}
	return r;
}

/* A null is as good as nothing. */
static bool config_file_is_there(const struct api_resource *res,
				 const struct config_section *section)
{
	if (is_required(res) || (res->load && res->load->flags & API_LIST))
		return section->len > 0;
	return section->len > 0 &&
	       (section->len != 4 || memcmp(section->text, "null", 4) != 0);
}

/* A CPU template may be in a file of its own, which the value names. */
static int load_named(struct api *api, const struct api_route *route,
		      const struct config_section *section, struct err *err)
{
	cleanup_buf struct buf path = {0}, text = {0};
	struct json json;
	int r;

	json_init(&json, section->text, section->len, err);
	r = json_read_string(&json, &path);
	if (r == 0)
		r = text_file_read(api->vm->config.opener, PATH_CONFIG,
				   path.data, &text, err);
	return r < 0 ? r : api_load(api, route, text.data, text.len, err);
}

static int load_section(struct api *api, const struct api_resource *res,
			const struct config_section *section, struct err *err)
{
	if (!config_file_is_there(res, section))
		return 0;
	if (res->load->flags & API_LIST)
		return load_list(api, res->load, section, err);
	if (res == &api_cpu_config && section->text[0] == '"')
		return load_named(api, res->load, section, err);
	return api_load(api, res->load, section->text, section->len, err);
}

/* Who speaks for the socket device is there before anything is opened. */
static int meet_vsock(struct vm *vm, const struct config_section *sections,
		      struct err *err)
{
	size_t i = 0;

	while (api_resources[i] != &api_vsock)
		i++;
	return vm->meet_vsock && config_file_is_there(&api_vsock, &sections[i])
		       ? vm->meet_vsock(vm, err)
		       : 0;
}

int config_file_load(const char *path, struct api *api, struct err *err)
{
	struct config_section sections[CONFIG_SECTIONS_MAX] = {0};
	cleanup_buf struct buf text = {0};
	int r;

	static_assert(API_NR_RESOURCES <= CONFIG_SECTIONS_MAX, "each one");
	r = text_file_read(api->vm->config.opener, PATH_CONFIG, path, &text,
			   err);
	if (r == 0)
		r = config_file_scan(text.data, text.len, sections, err);
	if (r == 0)
		r = meet_vsock(api->vm, sections, err);
	for (size_t i = 0; r == 0 && i < API_NR_RESOURCES; i++)
		r = load_section(api, api_resources[i], &sections[i], err);
	if (r < 0)
		err_prefix_api(err, "Failed to build MicroVM from Json: "
				    "Configuration for VMM from one single "
				    "json failed: ");
	return r;
}
