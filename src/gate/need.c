// SPDX-License-Identifier: Apache-2.0
/*
 * need.c - what the request in progress names (theory of operation: need.h)
 */
#include "gate/need.h"

#include "gate/http.h"
#include "gate/member.h"

#include <errno.h>

#define DRIVE_PATH "path_on_host"
#define STATE_PATH "snapshot_path"
#define SNAPSHOT   "snapshot"
#define BOOT       "boot-source"
#define NETS       "network-interfaces"

/**
 * struct need - where a request has the path for a role
 * @second:	NULL: whatever it is
 * @key:	of the string, or of the object that it is in and of the string;
 *		none: the role's path is fixed
 */
static const struct need {
	enum need_time time;
	enum path_role role;
	enum api_method method;
	const char *first;
	const char *second;
	const char *key[2];
} need_list[] = {
	{NEED_RUNNING, PATH_DISK, API_PATCH, "drives", NULL, {DRIVE_PATH}},
	{NEED_RUNNING, PATH_DISK_RO, API_PATCH, "drives", NULL, {DRIVE_PATH}},
	{NEED_RUNNING, PATH_FOLDER, API_PUT, SNAPSHOT, "create", {STATE_PATH}},

	{NEED_EARLY, PATH_LOG, API_PUT, "logger", NULL, {"log_path"}},
	{NEED_EARLY, PATH_METRICS, API_PUT, "metrics", NULL, {"metrics_path"}},
	{NEED_EARLY, PATH_SERIAL, API_PUT, "serial", NULL, {"serial_out_path"}},
	{NEED_EARLY, PATH_KERNEL, API_PUT, BOOT, NULL, {"kernel_image_path"}},
	{NEED_EARLY, PATH_INITRD, API_PUT, BOOT, NULL, {"initrd_path"}},
	{NEED_EARLY, PATH_DISK, API_PUT, "drives", NULL, {DRIVE_PATH}},
	{NEED_EARLY, PATH_DISK_RO, API_PUT, "drives", NULL, {DRIVE_PATH}},
	{NEED_EARLY, PATH_PMEM, API_PUT, "pmem", NULL, {DRIVE_PATH}},
	{NEED_EARLY, PATH_PMEM_RO, API_PUT, "pmem", NULL, {DRIVE_PATH}},
	{NEED_EARLY, PATH_TAP, API_PUT, NETS, NULL, {"host_dev_name"}},
	{NEED_EARLY, PATH_FRAMES, API_PUT, NETS, NULL, {"host_dev_name"}},
	{NEED_EARLY, PATH_VHOST_NET, API_PUT, NETS, NULL, {NULL}},
	{NEED_EARLY, PATH_VSOCK, API_PUT, "vsock", NULL, {"uds_path"}},
	{NEED_EARLY, PATH_KVM, API_PUT, "actions", NULL, {NULL}},
	{NEED_EARLY, PATH_HUGE_POLICY, API_PUT, "actions", NULL, {NULL}},

	/* And what the snapshot names: load.h. */
	{NEED_EARLY, PATH_FOLDER, API_PUT, SNAPSHOT, "load", {STATE_PATH}},
	{NEED_EARLY,
	 PATH_UFFD_HANDLER,
	 API_PUT,
	 SNAPSHOT,
	 "load",
	 {"mem_backend", "backend_path"}},
	{NEED_EARLY, PATH_USERFAULTFD, API_PUT, SNAPSHOT, "load", {NULL}},
	{NEED_EARLY, PATH_VHOST_NET, API_PUT, SNAPSHOT, "load", {NULL}},
	{NEED_EARLY, PATH_KVM, API_PUT, SNAPSHOT, "load", {NULL}},
};

bool need_crosses(enum path_role role)
{
	for (size_t i = 0; i < ARRAY_SIZE(need_list); i++)
		if (need_list[i].role == role)
			return true;
	/* Of a load only (load.h). */
	return role == PATH_STATE || role == PATH_MEMORY ||
	       role == PATH_OVERLAY;
}

/* One token of a path, as the API splits it. */
static void take_token(const char **path, size_t *len, const char **token,
		       size_t *token_len)
{
	const char *slash = *len > 0 ? memchr(*path, '/', *len) : NULL;

	*token = *path;
	*token_len = slash ? (size_t)(slash - *path) : *len;
	*path += *token_len;
	*len -= *token_len;
	if (slash) {
		++*path;
		--*len;
	}
}

int need_read(struct need_request *request, const char *raw, size_t len)
{
	struct http_scan scan = {0};
	const char *path;
	size_t path_len;

	if (http_scan(&scan, raw, len, UINT64_MAX) != HTTP_COMPLETE)
		return -EPROTO;
	path = scan.request.path;
	path_len = scan.request.path_len;
	while (path_len > 0 && *path == '/') {
		path++;
		path_len--;
	}
	*request = (struct need_request){
		.method = scan.request.method,
		.body = raw + scan.request.head_len,
		.body_len = scan.request.body_len,
	};
	take_token(&path, &path_len, &request->first, &request->first_len);
	take_token(&path, &path_len, &request->second, &request->second_len);
	return 0;
}

static bool need_equals(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

bool need_is(const struct need_request *request, enum api_method method,
	     const char *first, const char *second)
{
	return request->method == method &&
	       need_equals(request->first, request->first_len, first) &&
	       (!second ||
		need_equals(request->second, request->second_len, second));
}

void need_body(const struct need_request *request, struct json *json,
	       struct err *err)
{
	json_init(json, request->body, request->body_len, err);
}

int need_text(const struct need_request *request, const char *key,
	      const char *inner, struct buf *text)
{
	struct err err = {0};
	struct json json;
	int r;

	need_body(request, &json, &err);
	buf_clear(text);
	if (!inner)
		return member_text_of(&json, key, text);
	r = member_find(&json, key);
	if (r == 1)
		return member_text_of(&json, inner, text);
	return r == -ENOMEM ? r : -ENOENT;
}

int need_path(const struct need_request *request, enum need_time time,
	      enum path_role role, struct buf *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(need_list); i++) {
		const struct need *need = &need_list[i];
		int r;

		if (need->role != role || need->time != time ||
		    !need_is(request, need->method, need->first, need->second))
			continue;
		if (!need->key[0]) {
			buf_free(path);
			return 0;
		}
		r = need_text(request, need->key[0], need->key[1], path);
		return r == -ENOENT ? -EACCES : r;
	}
	return -EACCES;
}
