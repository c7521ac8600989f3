// SPDX-License-Identifier: Apache-2.0
/*
 * err.c - one full sentence for the person who reads it
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int rc, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return rc;
	err->rc = rc;
	err->plain[0] = '\0';
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return rc;
}

/* Put what @fmt says in front of the text at @text. */
static __printf_like(3, 0) void prefix(char *text, size_t size, const char *fmt,
				       va_list ap)
{
	char old[ERR_TEXT_MAX];
	size_t n = strnlen(text, sizeof(old) - 1);

	memcpy(old, text, n);
	old[n] = '\0';
	(void)vsnprintf(text, size, fmt, ap);
	n = strnlen(text, size);
	(void)snprintf(text + n, size - n, "%s", old);
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	va_list ap, again;

	if (!err)
		return 0;
	va_start(ap, fmt);
	va_copy(again, ap);
	prefix(err->text, sizeof(err->text), fmt, ap);
	if (err->plain[0])
		prefix(err->plain, sizeof(err->plain), fmt, again);
	va_end(again);
	va_end(ap);
	return err->rc;
}

int err_prefix_api(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return 0;
	if (!err->plain[0])
		(void)snprintf(err->plain, sizeof(err->plain), "%.*s",
			       ERR_PLAIN_MAX - 1, err->text);
	va_start(ap, fmt);
	prefix(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return err->rc;
}

int err_plain(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return 0;
	va_start(ap, fmt);
	(void)vsnprintf(err->plain, sizeof(err->plain), fmt, ap);
	va_end(ap);
	return err->rc;
}

int err_only_plain(struct err *err)
{
	if (!err)
		return 0;
	if (err->plain[0])
		(void)snprintf(err->text, sizeof(err->text), "%s", err->plain);
	err->plain[0] = '\0';
	return err->rc;
}

const char *err_for_person(const struct err *err)
{
	return err->plain[0] ? err->plain : err->text;
}
