// SPDX-License-Identifier: Apache-2.0
/*
 * unix_address.c - the address of a Unix socket in the file system
 */
#include "base/unix_address.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int unix_address(struct sockaddr_un *addr, const char *path)
{
	size_t len = strnlen(path, UNIX_PATH_MAX + 1);

	if (len == 0)
		return -EINVAL;
	if (len > UNIX_PATH_MAX)
		return -ENAMETOOLONG;
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(addr->sun_path, path, len);
	return 0;
}
