// SPDX-License-Identifier: Apache-2.0
/*
 * buf.c - text that grows
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 256u

void buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

bool buf_reserve(struct buf *buf, size_t size)
{
	size_t capacity = buf->capacity ? buf->capacity : BUF_FIRST;
	char *data;

	assert(buf->len <= buf->capacity);
	if (buf->failed)
		return false;
	if (size <= buf->capacity)
		return true;
	while (capacity < size) {
		if (__builtin_mul_overflow(capacity, 2, &capacity)) {
			buf->failed = true;
			return false;
		}
	}
	/* Not realloc(), which moves large blocks by a call of its own. */
	data = malloc(capacity);
	if (!data) {
		buf->failed = true;
		return false;
	}
	if (buf->len > 0)
		memcpy(data, buf->data, buf->len);
	free(buf->data);
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
	size_t size;

	if (__builtin_add_overflow(buf->len, len, &size)) {
		buf->failed = true;
		return;
	}
	if (len == 0 || !buf_reserve(buf, size))
		return;
	memcpy(buf->data + buf->len, data, len);
	buf->len = size;
}

void buf_add_str(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void buf_addf(struct buf *buf, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	/* vsnprintf() writes a NUL as well, which is not part of the text. */
	if (n >= 0 && buf_reserve(buf, buf->len + (size_t)n + 1)) {
		(void)vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt,
				again);
		buf->len += (size_t)n;
	}
	va_end(again);
}

size_t utf8_next(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t need;
	uint32_t c, min;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if ((p[0] & 0xe0) == 0xc0) {
		need = 2;
		c = p[0] & 0x1fu;
		min = 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		need = 3;
		c = p[0] & 0x0fu;
		min = 0x800;
	} else if ((p[0] & 0xf8) == 0xf0) {
		need = 4;
		c = p[0] & 0x07u;
		min = 0x10000;
	} else {
		return 0;
	}
	if (len < need)
		return 0;
	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return need;
}

static void add_escape(struct buf *buf, char c)
{
	static const char from[] = "\"\\\b\f\n\r\t";
	static const char to[] = "\"\\bfnrt";
	const char *p = c ? strchr(from, c) : NULL;

	if (p)
		buf_addf(buf, "\\%c", to[p - from]);
	else
		buf_addf(buf, "\\u%04x", (unsigned int)c);
}

void buf_add_json(struct buf *buf, const char *text, size_t len)
{
	size_t plain = 0; /* start of what needs no escape */
	size_t i = 0;

	if (!text)
		text = ""; /* an empty struct buf */
	buf_add(buf, "\"", 1);
	while (i < len) {
		unsigned char c = (unsigned char)text[i];
		size_t n = utf8_next(text + i, len - i);

		if (n > 0 && c >= 0x20 && c != '"' && c != '\\') {
			i += n;
			continue;
		}
		buf_add(buf, text + plain, i - plain);
		if (n == 0)
			buf_add_str(buf, "\xef\xbf\xbd");
		else
			add_escape(buf, text[i]);
		plain = ++i;
	}
	buf_add(buf, text + plain, i - plain);
	buf_add(buf, "\"", 1);
}
