// SPDX-License-Identifier: Apache-2.0
/*
 * cmdline.c - the kernel command line
 */
#include "boot/cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int cmdline_set(struct cmdline *cmdline, const char *text)
{
	size_t len = strnlen(text, sizeof(cmdline->text));

	if (len >= sizeof(cmdline->text))
		return -E2BIG;
	memcpy(cmdline->text, text, len);
	cmdline->text[len] = '\0';
	cmdline->len = len;
	return 0;
}

/* Where the kernel's part ends: at a word "--", without the space before it. */
static size_t kernel_part(const struct cmdline *cmdline)
{
	const char *text = cmdline->text;
	const char *p = text;

	while ((p = strstr(p, "--"))) {
		bool starts = p == text || p[-1] == ' ';

		if (starts && (p[2] == ' ' || p[2] == '\0'))
			return (size_t)(p - text) - (p != text);
		p++;
	}
	return cmdline->len;
}

int cmdline_append(struct cmdline *cmdline, const char *word)
{
	size_t at = kernel_part(cmdline);
	size_t word_len = strlen(word);
	bool space_before = at > 0;
	bool space_after = at == 0 && cmdline->len > 0;
	size_t add = word_len + space_before + space_after;
	char *p = cmdline->text + at;

	if (add >= sizeof(cmdline->text) - cmdline->len)
		return -E2BIG;
	memmove(p + add, p, cmdline->len - at + 1);
	if (space_before)
		*p++ = ' ';
	memcpy(p, word, word_len);
	if (space_after)
		p[word_len] = ' ';
	cmdline->len += add;
	return 0;
}

bool cmdline_has(const struct cmdline *cmdline, const char *name)
{
	const char *end = cmdline->text + kernel_part(cmdline);
	size_t len = strlen(name);
	bool quoted = false, starts = true;

	for (const char *p = cmdline->text; p < end; p++) {
		if (*p == '"') { /* it may stand before a word: still a start */
			quoted = !quoted;
			continue;
		}
		if (starts && strncmp(p, name, len) == 0)
			return true;
		starts = !quoted && (*p == ' ' || (*p >= '\t' && *p <= '\r'));
	}
	return false;
}

int cmdline_append_devices(struct cmdline *cmdline,
			   const struct boot_platform *plat)
{
	for (unsigned int i = 0; i < plat->nr_virtio; i++) {
		const struct boot_virtio *v = &plat->virtio[i];
		char word[80];
		int r;

		(void)snprintf(word, sizeof(word),
			       "virtio_mmio.device=%uK@0x%llx:%u", v->len >> 10,
			       (unsigned long long)v->base, v->gsi);
		r = cmdline_append(cmdline, word);
		if (r < 0)
			return r;
	}
	return 0;
}
