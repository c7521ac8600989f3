// SPDX-License-Identifier: Apache-2.0
/*
 * clean.c - text of others on its way to a terminal or a log (clean.h)
 */
#include "base/clean.h"

#include <stdio.h>
#include <string.h>

/* The longest that one byte becomes: \xNN. */
#define ESCAPE_MAX 4u

static uint32_t code_of(const char *p, size_t len)
{
	static const uint8_t first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = (uint8_t)p[0] & first[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | ((uint8_t)p[i] & 0x3f);
	return code;
}

/* Does it print, and nothing else? */
static bool is_plain(uint32_t code)
{
	return code >= 0x20 && code != 0x7f && !(code >= 0x80 && code < 0xa0) &&
	       /* marks and embeddings of direction, line ends, isolates */
	       !(code >= 0x200e && code <= 0x200f) &&
	       !(code >= 0x2028 && code <= 0x202e) &&
	       !(code >= 0x2066 && code <= 0x2069) && code != 0xfeff;
}

static size_t escape(char to[static ESCAPE_MAX + 1], uint8_t byte)
{
	if (byte == '\n' || byte == '\t' || byte == '\r') {
		to[0] = '\\';
		to[1] = byte == '\n' ? 'n' : byte == '\t' ? 't' : 'r';
		return 2;
	}
	return (size_t)snprintf(to, ESCAPE_MAX + 1, "\\x%02x", byte);
}

/* One character, or byte that is none. Return: bytes of @text it took. */
static size_t clean_one(const char *text, size_t len, char *to, size_t *n)
{
	size_t taken = utf8_next(text, len);

	if (taken > 0 && is_plain(code_of(text, taken))) {
		memcpy(to, text, taken);
		*n = taken;
		return taken;
	}
	taken = taken > 0 ? taken : 1;
	*n = 0;
	for (size_t i = 0; i < taken; i++)
		*n += escape(to + *n, (uint8_t)text[i]);
	return taken;
}

#define ONE_MAX (4 * ESCAPE_MAX + 1)

size_t clean_text(char *to, size_t size, const char *text, size_t len)
{
	char one[ONE_MAX];
	size_t n, at = 0;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < len;) {
		i += clean_one(text + i, len - i, one, &n);
		if (at + n >= size)
			break;
		memcpy(to + at, one, n);
		at += n;
	}
	to[at] = '\0';
	return at;
}

void buf_add_clean(struct buf *buf, const char *text, size_t len)
{
	char one[ONE_MAX];
	size_t n;

	for (size_t i = 0; i < len;) {
		i += clean_one(text + i, len - i, one, &n);
		buf_add(buf, one, n);
	}
}
