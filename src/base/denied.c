// SPDX-License-Identifier: Apache-2.0
/*
 * denied.c - why a file may not be opened (denied.h)
 *
 * Root is refused, too: in a container without CAP_DAC_OVERRIDE, on NFS, on a
 * user's FUSE mount. "Permission denied" alone puzzles there most.
 */
#include "base/denied.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const char *denied_hint(const char *path, int rc, char out[DENIED_HINT_MAX])
{
	const char *root = geteuid() == 0 ? ", which is not almighty here (a "
					    "container, or a network's or "
					    "user's file system)"
					  : "";
	int saved = errno;
	struct stat st;

	out[0] = '\0';
	if (rc != -EACCES && rc != -EPERM)
		return out;
	if (stat(path, &st) < 0)
		(void)snprintf(out, DENIED_HINT_MAX,
			       "; a directory on the way to it is closed to "
			       "user %u%s",
			       geteuid(), root);
	else
		(void)snprintf(out, DENIED_HINT_MAX,
			       "; it is user %u's, mode %03o: try as that "
			       "user, or give user %u the right%s",
			       st.st_uid, st.st_mode & 07777u, geteuid(), root);
	errno = saved;
	return out;
}
