// SPDX-License-Identifier: Apache-2.0
/*
 * below.c - names below a directory that is open already (below.h)
 */
#include "host/below.h"

#include <errno.h>
#include <fcntl.h>

int below_open(int dir, const char *name, enum below_role role)
{
	static const int flags[BELOW_NR] = {
		[BELOW_STATE] = O_RDONLY | O_NONBLOCK,
		[BELOW_STATE_ITSELF] = O_RDONLY | O_NONBLOCK | O_NOFOLLOW,
		[BELOW_NAMELESS] = O_RDWR | O_TMPFILE,
		[BELOW_NEW] = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
		[BELOW_LOCK] = O_RDWR | O_NONBLOCK | O_NOFOLLOW,
		[BELOW_PROC] = O_RDONLY | O_NONBLOCK | O_NOFOLLOW,
	};
	int fd = openat(dir, name, flags[role] | O_CLOEXEC | O_NOCTTY, 0600);

	return fd < 0 ? -errno : fd;
}
