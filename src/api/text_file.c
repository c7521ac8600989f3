// SPDX-License-Identifier: Apache-2.0
/*
 * text_file.c - JSON files that the command line names (text_file.h)
 */
#include "api/text_file.h"

#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

#define READ_STEP 65536u

int text_file_read(const struct path_opener *opener, enum path_role role,
		   const char *path, struct buf *text, struct err *err)
{
	cleanup_fd int fd = path_open(opener, role, path, err);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		if (text->len > TEXT_FILE_MAX)
			return path_say(role, path, -EFBIG, "", err);
		if (!buf_reserve(text, text->len + READ_STEP))
			return err_set(err, -ENOMEM, "Out of memory");
		n = read(fd, text->data + text->len, READ_STEP);
		if (n > 0)
			text->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? path_say(role, path, -errno, "", err) : 0;
}
