/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user.h - who a command is to be, by the files of the guest
 *
 * passwd(5) and group(5) of an image are anybody's: lines that are none are
 * passed over, what is too much is cut.
 */
#pragma once

#include "base/bits.h"

#include <sys/types.h>

#define USER_GROUPS_MAX 64
#define USER_HOME_MAX   256

/**
 * struct user - @groups: as initgroups(3) makes them, @gid among them
 */
struct user {
	uid_t uid;
	gid_t gid;
	unsigned int nr_groups;
	gid_t groups[USER_GROUPS_MAX];
	char home[USER_HOME_MAX];
};

/**
 * user_find() - "NAME|UID[:GROUP|GID]"; "" is root
 * @passwd, @group:	paths of the two files, which need not be there
 *
 * A number need not stand in a file: its group is 0 then, its home /. With a
 * group given there are no others.
 *
 * Return: 0; -ENOENT for a name that no file has; -EINVAL for a number that is
 * none; -ENOMEM.
 */
int user_find(struct user *user, const char *text, const char *passwd,
	      const char *group) __must_check;
