// SPDX-License-Identifier: Apache-2.0
/*
 * kconfig.c - a kernel's configuration: the text of its .config
 */
#include "kernel/kconfig.h"

#include <errno.h>
#include <stdio.h>

#define PREFIX "CONFIG_"

enum kconfig_value kconfig_get(const char *text, size_t len, const char *name)
{
	char key[80];
	int n = snprintf(key, sizeof(key), PREFIX "%s=", name);
	const char *end = text + len, *at = text;

	if (n < 0 || (size_t)n >= sizeof(key))
		return KCONFIG_NO;
	while ((at = memmem(at, (size_t)(end - at), key, (size_t)n))) {
		const char *value = at + n;

		if (at == text || at[-1] == '\n')
			return value == end || *value == 'n' ? KCONFIG_NO
			       : *value == 'm'               ? KCONFIG_MODULE
							     : KCONFIG_YES;
		at = value;
	}
	return KCONFIG_NO;
}

/* "6.1" of "6.1.0-56-cloud-amd64": its length. */
static size_t series_len(const char *version, size_t max)
{
	size_t n = 0;
	unsigned int dots = 0;

	while (n < max && ((version[n] >= '0' && version[n] <= '9') ||
			   (version[n] == '.' && ++dots < 2)))
		n++;
	return n;
}

/* The version in "# Linux/x86 6.1.192 Kernel Configuration". */
static const char *made_for(const char *text, size_t len, size_t *room)
{
	static const char mark[] = "# Linux/x86 ";
	const char *at =
		memmem(text, len < 4096 ? len : 4096, mark, sizeof(mark) - 1);

	if (!at)
		return NULL;
	at += sizeof(mark) - 1;
	*room = (size_t)(text + len - at);
	return at;
}

int kconfig_check(const char *text, size_t len, const char *release,
		  struct err *err)
{
	const char *version;
	size_t room, n;

	if (len > KCONFIG_BYTES_MAX || !memmem(text, len, "\n" PREFIX, 8) ||
	    memchr(text, '\0', len))
		return err_set(err, -EINVAL,
			       "is no configuration of a kernel: give the "
			       ".config of its build, or /boot/config-*");
	version = made_for(text, len, &room);
	if (!version || !release)
		return 0;
	n = series_len(version, room);
	if (n == series_len(release, strlen(release)) &&
	    memcmp(version, release, n) == 0)
		return 0;
	return err_set(err, -EINVAL,
		       "is for Linux %.*s, and the kernel is %.100s: give its "
		       "own configuration",
		       (int)n, version, release);
}
