/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - text that grows
 *
 * For control paths: answers, metrics lines. An allocation that fails sets
 * @failed and makes every later call a no-op, so a writer checks once, at the
 * end.
 */
#pragma once

#include "base/bits.h"

/**
 * struct buf - zero-initialised, it is an empty text
 * @data:	NULL while empty; not NUL-terminated
 */
struct buf {
	char *data;
	size_t len;
	size_t capacity;
	bool failed;
};

/* Empty again, and its memory is given back. */
void buf_free(struct buf *buf);

#define cleanup_buf __attribute__((cleanup(buf_free)))

/* Empty, but keeps what is allocated. */
void buf_clear(struct buf *buf);

/* Room for @size bytes in all. Return: false when memory is short. */
bool buf_reserve(struct buf *buf, size_t size);

/* Append @len bytes; a string without its NUL; what printf() would print. */
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_str(struct buf *buf, const char *text);
void buf_addf(struct buf *buf, const char *fmt, ...) __printf_like(2, 3);

/**
 * buf_add_json() - a JSON string: quoted and escaped
 * @text:	may be NULL when @len is 0
 *
 * What is not UTF-8 in @text becomes U+FFFD, so the result always is.
 */
void buf_add_json(struct buf *buf, const char *text, size_t len);

/**
 * utf8_next() - length of the well-formed UTF-8 sequence at the start of @text
 *
 * Return: 1 to 4, or 0 when there is none.
 */
size_t utf8_next(const char *text, size_t len);
