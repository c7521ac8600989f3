// SPDX-License-Identifier: Apache-2.0
/*
 * vm_cgroup_parse.c - what the kernel says of a process's cgroups (vm_cgroup.h)
 */
#include "cli/vm_cgroup.h"

#include <string.h>

/* Is @word among the words of @list, of @len bytes, split by commas? */
static bool vm_cgroup_parse_has_word(const char *list, size_t len,
				     const char *word)
{
	while (len > 0) {
		const char *end = memchr(list, ',', len);
		size_t n = end ? (size_t)(end - list) : len;

		if (n == strlen(word) && memcmp(list, word, n) == 0)
			return true;
		n += end != NULL;
		list += n;
		len -= n;
	}
	return false;
}

/* A line is NUMBER:CONTROLLERS:PATH; that of version 2 has no controllers. */
size_t vm_cgroup_own(const char *text, const char *controller,
		     const char **path)
{
	for (size_t n; *text; text += n + (text[n] == '\n')) {
		const char *list, *at;

		n = strcspn(text, "\n");
		list = memchr(text, ':', n);
		if (!list)
			continue;
		list++;
		at = memchr(list, ':', n - (size_t)(list - text));
		if (!at)
			continue;
		if (controller ? !vm_cgroup_parse_has_word(
					 list, (size_t)(at - list), controller)
			       : at != list || strncmp(text, "0:", 2) != 0)
			continue;
		*path = at + 1;
		return n - (size_t)(at + 1 - text);
	}
	*path = "";
	return 0;
}
