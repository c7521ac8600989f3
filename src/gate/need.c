// SPDX-License-Identifier: Apache-2.0
/*
 * need.c - what the request in progress names (theory of operation: need.h)
 */
#include "gate/need.h"

#include "base/json.h"
#include "gate/http.h"

#include <errno.h>

/**
 * struct need - where a request has the path for a role
 * @second:	NULL: whatever it is
 * @inner:	NULL: @key itself is the string
 */
static const struct need {
	enum path_role role;
	enum api_method method;
	const char *first;
	const char *second;
	const char *key;
	const char *inner;
} needs[] = {
	{PATH_DISK, API_PATCH, "drives", NULL, "path_on_host", NULL},
	{PATH_DISK_RO, API_PATCH, "drives", NULL, "path_on_host", NULL},
	{PATH_FOLDER, API_PUT, "snapshot", "create", "snapshot_path", NULL},
};

bool need_crosses(enum path_role role)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (needs[i].role == role)
			return true;
	return false;
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

static bool equals(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

bool need_is(const struct need_request *request, enum api_method method,
	     const char *first, const char *second)
{
	return request->method == method &&
	       equals(request->first, request->first_len, first) &&
	       (!second ||
		equals(request->second, request->second_len, second));
}

/* Go to the value of @key. Return: 1 there; 0 no such key; -EINVAL no JSON. */
static int find_key(struct json *json, const char *key, struct buf *scratch)
{
	bool first = true;
	int r;

	if (json_peek(json) != JSON_AT_OBJECT)
		return 0;
	r = json_enter(json);
	while (r == 0) {
		r = json_next_key(json, &first, scratch);
		if (r <= 0)
			return r;
		r = json_colon(json);
		if (r == 0 && equals(scratch->data, scratch->len, key))
			return 1;
		if (r == 0)
			r = json_skip(json);
	}
	return r;
}

int need_text(const struct need_request *request, const char *key,
	      const char *inner, struct buf *text)
{
	struct err err = {0};
	struct json json;
	int r;

	json_init(&json, request->body, request->body_len, &err);
	buf_clear(text);
	r = find_key(&json, key, text);
	if (r == 1 && inner)
		r = find_key(&json, inner, text);
	if (r == 1 && json_peek(&json) != JSON_AT_STRING)
		r = 0;
	if (r == 1) {
		buf_clear(text);
		r = json_read_string(&json, text);
		buf_add(text, "", 1);
		r = r == 0;
	}
	if (text->failed)
		return -ENOMEM;
	if (r != 1 || memchr(text->data, '\0', text->len - 1))
		return -ENOENT;
	text->len--;
	return 0;
}

int need_path(const struct need_request *request, enum path_role role,
	      struct buf *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		const struct need *need = &needs[i];
		int r;

		if (need->role != role ||
		    !need_is(request, need->method, need->first, need->second))
			continue;
		r = need_text(request, need->key, need->inner, path);
		return r == -ENOENT ? -EACCES : r;
	}
	return -EACCES;
}
