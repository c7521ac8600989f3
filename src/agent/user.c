// SPDX-License-Identifier: Apache-2.0
/*
 * user.c - who a command is to be, by the files of the guest (user.h)
 */
#include "agent/user.h"

#include "base/fd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define USER_NAME_MAX 128
#define USER_LINE_MAX (64u << 10)
#define USER_FIELDS   7

/* All but -1, which system calls take for "none". */
#define USER_ID_MAX (UINT32_MAX - 1)

/* Return: 0; -ENOENT: a name; -EINVAL: a number that is no id. */
static int user_number(const char *text, uint32_t *id)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -ENOENT;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end)
		return -ENOENT;
	if (errno != 0 || n > USER_ID_MAX)
		return -EINVAL;
	*id = (uint32_t)n;
	return 0;
}

/* "a:b:c" into its fields, those that are missing empty. */
static void user_split(char *line, char *fields[USER_FIELDS])
{
	line[strcspn(line, "\n")] = '\0';
	for (unsigned int i = 0; i < USER_FIELDS; i++) {
		char *end = line + strcspn(line, ":");

		fields[i] = line;
		line = *end ? end + 1 : end;
		*end = '\0';
	}
}

/* Is @name one of "a,b,c"? */
static bool user_in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && memcmp(list, name, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

/**
 * struct user_search - what a line is held against
 * @name:	of the user or group; "": none, only the number counts
 * @member:	of a group: whose groups are collected
 */
struct user_search {
	const char *name;
	uint32_t id;
	const char *member;
	struct user *user;
	char *found_name;
	bool found;
};

static void user_take_passwd(struct user_search *s, char *const *fields)
{
	uint32_t uid, gid;

	if (s->found || user_number(fields[2], &uid) < 0 ||
	    user_number(fields[3], &gid) < 0)
		return;
	if (s->name[0] ? strcmp(fields[0], s->name) != 0 : uid != s->id)
		return;
	s->found = true;
	s->user->uid = uid;
	s->user->gid = gid;
	if (fields[5][0] == '/')
		(void)snprintf(s->user->home, sizeof(s->user->home), "%s",
			       fields[5]);
	(void)snprintf(s->found_name, USER_NAME_MAX, "%s", fields[0]);
}

static void user_take_group(struct user_search *s, char *const *fields)
{
	struct user *user = s->user;
	uint32_t gid;

	if (user_number(fields[2], &gid) < 0)
		return;
	if (s->member) {
		if (gid != user->gid && user->nr_groups < USER_GROUPS_MAX &&
		    user_in_list(fields[3], s->member))
			user->groups[user->nr_groups++] = gid;
	} else if (!s->found && strcmp(fields[0], s->name) == 0) {
		s->found = true;
		user->gid = gid;
	}
}

static int user_each_line(const char *path, struct user_search *s,
			  void (*take)(struct user_search *s,
				       char *const *fields))
{
	char *fields[USER_FIELDS];
	cleanup_free char *line = malloc(USER_LINE_MAX);
	FILE *file;

	if (!line)
		return -ENOMEM;
	file = fopen(path, "re");
	if (!file)
		return 0; /* as if it were empty */
	while (fgets(line, USER_LINE_MAX, file)) {
		user_split(line, fields);
		take(s, fields);
	}
	(void)fclose(file);
	return 0;
}

static int user_set_group(struct user *user, const char *name,
			  const char *group)
{
	struct user_search s = {.name = name, .user = user};
	int r = user_number(name, &user->gid);

	if (r != -ENOENT)
		return r;
	r = user_each_line(group, &s, user_take_group);
	return r < 0 ? r : s.found ? 0 : -ENOENT;
}

int user_find(struct user *user, const char *text, const char *passwd,
	      const char *group)
{
	char name[USER_NAME_MAX], found_name[USER_NAME_MAX] = "";
	const char *with_group = strchr(text, ':');
	size_t len = with_group ? (size_t)(with_group++ - text) : strlen(text);
	struct user_search s = {.user = user, .found_name = found_name};
	int r;

	*user = (struct user){.home = "/"};
	if (len >= sizeof(name))
		return -ENOENT;
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, text);
	r = name[0] ? user_number(name, &s.id) : 0;
	if (r == -EINVAL)
		return r;
	s.name = r == -ENOENT ? name : "";
	user->uid = s.id;
	r = user_each_line(passwd, &s, user_take_passwd);
	if (r < 0)
		return r;
	if (s.name[0] && !s.found)
		return -ENOENT;
	if (with_group)
		return user_set_group(user, with_group, group);
	s.member = found_name;
	user->groups[user->nr_groups++] = user->gid;
	return found_name[0] ? user_each_line(group, &s, user_take_group) : 0;
}
