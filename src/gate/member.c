// SPDX-License-Identifier: Apache-2.0
/*
 * member.c - a few members of a JSON text (member.h)
 */
#include "gate/member.h"

#include <errno.h>

int member_find(struct json *json, const char *key)
{
	cleanup_buf struct buf name = {0};
	bool first = true;
	int r;

	if (json_peek(json) != JSON_AT_OBJECT)
		return 0;
	r = json_enter(json);
	while (r == 0) {
		r = json_next_key(json, &first, &name);
		if (name.failed)
			return -ENOMEM;
		if (r <= 0)
			return r;
		r = json_colon(json);
		if (r == 0 && name.len == strlen(key) &&
		    memcmp(name.data, key, name.len) == 0)
			return 1;
		if (r == 0)
			r = json_skip(json);
	}
	return r;
}

int member_item(struct json *json, unsigned int nr)
{
	bool first = true;
	int r;

	if (json_peek(json) != JSON_AT_ARRAY)
		return 0;
	r = json_enter(json);
	for (unsigned int i = 0; r == 0; i++) {
		r = json_next_item(json, &first);
		if (r <= 0 || i == nr)
			return r;
		r = json_skip(json);
	}
	return r;
}

int member_text(struct json *json, struct buf *text)
{
	int r;

	if (json_peek(json) != JSON_AT_STRING)
		return -ENOENT;
	buf_clear(text);
	r = json_read_string(json, text);
	buf_add(text, "", 1);
	if (text->failed)
		return -ENOMEM;
	if (r < 0 || memchr(text->data, '\0', text->len - 1))
		return -ENOENT;
	text->len--;
	return 0;
}

int member_text_of(const struct json *json, const char *key, struct buf *text)
{
	struct json at = *json;
	int r = member_find(&at, key);

	if (r == 1)
		return member_text(&at, text);
	return r == -ENOMEM ? r : -ENOENT;
}
