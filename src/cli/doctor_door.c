// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_door.c - who may open a device file (struct door)
 */
#include "cli/doctor.h"

#include "base/fd.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define GROUPS_MAX 512

/* "kvm:x:106:alice": cut to its name. Return: its number, or -1. */
static int64_t split_line(char *line)
{
	char *name_end = strchr(line, ':');
	char *id = name_end ? strchr(name_end + 1, ':') : NULL;
	unsigned long gid;
	char *end;

	if (!id)
		return -1;
	gid = strtoul(id + 1, &end, 10);
	if (end == id + 1 || *end != ':')
		return -1;
	*name_end = '\0';
	return (int64_t)gid;
}

/* Not getgrgid(): a static program cannot load the resolver's plug-ins. */
static void look_up_groups(struct door *door)
{
	FILE *f = fopen("/etc/group", "re");
	char line[2048];
	bool named = false;

	(void)snprintf(door->group, sizeof(door->group), "%u", door->gid);
	while (f && fgets(line, sizeof(line), f)) {
		int64_t gid = split_line(line);

		if (gid < 0)
			continue;
		door->kvm_group |= strcmp(line, "kvm") == 0;
		if (gid == door->gid && !named)
			(void)snprintf(door->group, sizeof(door->group),
				       "%.63s", line);
		named |= gid == door->gid;
	}
	if (f)
		(void)fclose(f);
}

static bool is_member(gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, groups);

	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return getegid() == gid;
}

void doctor_find_door(const char *path, struct door *door)
{
	struct stat st;

	*door = (struct door){0};
	if (stat(path, &st) < 0)
		return;
	door->found = true;
	door->uid = st.st_uid;
	door->gid = st.st_gid;
	door->mode = st.st_mode & 0777;
	/* One that only says what the mode says is not stored. */
	door->has_acl = getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
	door->in_group = is_member(st.st_gid);
	door->is_owner = geteuid() == st.st_uid;
	look_up_groups(door);
}
