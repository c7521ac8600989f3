/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix_address.h - the address of a Unix socket in the file system
 */
#pragma once

#include <sys/un.h>

/* The longest path, without its final zero. */
#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/**
 * unix_address() - of @path
 *
 * An empty path would be an abstract socket, which has no owner and no mode:
 * everybody in the network namespace reaches it.
 *
 * Return: 0; -EINVAL for an empty path, -ENAMETOOLONG for one of more than
 * UNIX_PATH_MAX bytes: *@addr stays as it is then.
 */
int unix_address(struct sockaddr_un *addr, const char *path)
	__attribute__((warn_unused_result));
