// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup_mount.c - where the hierarchies of cgroups are (cgroup_mount.h)
 */
#include "host/cgroup_mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A blank, tab, line feed or backslash of a mount point is \ooo there. */
static int unescape(const char *text, size_t len, char **out)
{
	char *path = malloc(len + 1);
	size_t n = 0;

	if (!path)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		unsigned int c = (unsigned char)text[i];

		if (c == '\\' && len - i > 3 &&
		    strspn(text + i + 1, "01234567") >= 3) {
			c = (unsigned int)(text[i + 1] - '0') << 6 |
			    (unsigned int)(text[i + 2] - '0') << 3 |
			    (unsigned int)(text[i + 3] - '0');
			i += 3;
		}
		path[n++] = (char)c;
	}
	path[n] = '\0';
	*out = path;
	return 0;
}

/* Is @name among the words of @list, of @len bytes, split by @sep? */
static bool cgroup_mount_has_word(const char *list, size_t len, char sep,
				  const char *name, size_t name_len)
{
	while (len > 0) {
		const char *end = memchr(list, sep, len);
		size_t n = end ? (size_t)(end - list) : len;

		if (n == name_len && memcmp(list, name, n) == 0)
			return true;
		n += end != NULL;
		list += n;
		len -= n;
	}
	return false;
}

bool cgroup_lists(const char *list, const char *name, size_t len)
{
	return cgroup_mount_has_word(list, strcspn(list, "\n"), ' ', name, len);
}

struct field {
	const char *at;
	size_t len;
};

/* The first four fields of a line: source, mount point, type, options. */
static bool split(const char *line, struct field field[static 4])
{
	for (size_t i = 0; i < 4; i++) {
		field[i] = (struct field){line, strcspn(line, " \n")};
		line += field[i].len;
		if (field[i].len == 0 || (i < 3 && *line++ != ' '))
			return false;
	}
	return true;
}

int cgroup_find_mount(const char *mounts, unsigned int version,
		      const char *controller, size_t len, char **out, bool *any)
{
	const char *type = version == 1 ? "cgroup" : "cgroup2";

	*any = false;
	for (size_t n; *mounts; mounts += n + (mounts[n] == '\n')) {
		struct field field[4];

		n = strcspn(mounts, "\n");
		if (!split(mounts, field) || field[2].len != strlen(type) ||
		    memcmp(field[2].at, type, strlen(type)) != 0)
			continue;
		*any = true;
		if (version == 2 ||
		    cgroup_mount_has_word(field[3].at, field[3].len, ',',
					  controller, len))
			return unescape(field[1].at, field[1].len, out);
	}
	return -ENOENT;
}
