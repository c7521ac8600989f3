// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup_parse.c - what a user says of cgroups
 */
#include "jailer/cgroup.h"

#include <errno.h>
#include <stdio.h>

static bool is_dots(const char *part, size_t len)
{
	return (len == 1 && part[0] == '.') ||
	       (len == 2 && part[0] == '.' && part[1] == '.');
}

int cgroup_parse(const char *text, struct cgroup_setting *out, struct err *err)
{
	const char *sign = strchr(text, '=');
	size_t len = sign ? (size_t)(sign - text) : 0;
	size_t controller = strcspn(text, ".");

	if (!sign || !sign[1])
		return err_set(err, -EINVAL, "Invalid format for cgroups: %s",
			       text);
	/* "CONTROLLER.REST": so it is neither "." nor a path. */
	if (controller == 0 || controller + 1 >= len ||
	    memchr(text, '/', len) || len > NAME_MAX)
		return err_set(err, -EINVAL, "Cgroup invalid file: %.*s",
			       (int)(len < NAME_MAX ? len : NAME_MAX), text);
	*out = (struct cgroup_setting){
		.file = text,
		.value = sign + 1,
		.file_len = len,
		.controller_len = controller,
	};
	return 0;
}

int cgroup_parse_version(const char *text, unsigned int *version,
			 struct err *err)
{
	uint64_t n;

	if (!args_number(text, 1, 2, &n))
		return err_set(err, -EINVAL,
			       "%s is an invalid cgroup version specifier",
			       text);
	*version = (unsigned int)n;
	return 0;
}

int cgroup_check_parent(const char *path, struct err *err)
{
	bool good = *path != '/' && strlen(path) < PATH_MAX;

	for (size_t len; good && *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		good = !is_dots(path, len) && len <= NAME_MAX;
	}
	if (good)
		return 0;
	return err_set(err, -EINVAL,
		       "Parent cgroup path is invalid. Path should not be "
		       "absolute or contain '..' or '.'");
}
