// SPDX-License-Identifier: Apache-2.0
/*
 * ask.c - --snapshot: one request to another volt-vmm (ask.h)
 */
#include "vmm/ask.h"

#include "base/buf.h"
#include "base/fd.h"
#include "host/unix.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The VMM has another working directory, perhaps. */
static void add_absolute(struct buf *path, const char *dir)
{
	cleanup_free char *cwd = NULL;

	if (*dir != '/') {
		cwd = getcwd(NULL, 0);
		buf_add_str(path, cwd ? cwd : ".");
		buf_add(path, "/", 1);
	}
	buf_add_str(path, dir);
	buf_add(path, "/", 1);
}

/* Up to the end of the answer's head and what came with it. */
static int exchange(int fd, const struct buf *request, char *answer,
		    size_t size)
{
	size_t len = 0;
	int r = fd_write_full(fd, request->data, request->len);

	while (r == 0 && len + 1 < size) {
		ssize_t n = read(fd, answer + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		answer[len] = '\0';
		if (strstr(answer, "\r\n\r\n"))
			break;
	}
	answer[len] = '\0';
	return r < 0 ? r : (len > 0 ? 0 : -ECONNRESET);
}

int ask_for_snapshot(const char *socket_path, const char *dir, struct err *err)
{
	cleanup_buf struct buf request = {0}, body = {0}, path = {0};
	char answer[2048];
	const char *text;
	int r;
	cleanup_fd int fd = unix_connect(socket_path, UNIX_WAIT);

	if (fd < 0)
		return err_set(err, fd, "Cannot reach a VMM at %s: %s",
			       socket_path, err_name(fd));
	add_absolute(&path, dir);
	buf_add_str(&body, "{\"snapshot_path\":");
	buf_add_json(&body, path.data, path.len);
	buf_add(&body, "}", 1);
	buf_addf(&request,
		 "PUT /snapshot/create HTTP/1.1\r\nHost: localhost\r\n"
		 "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		 "\r\n",
		 body.len);
	buf_add(&request, body.data, body.len);
	if (path.failed || body.failed || request.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	r = exchange(fd, &request, answer, sizeof(answer));
	if (r < 0)
		return err_set(err, r, "No answer from the VMM at %s: %s",
			       socket_path, err_name(r));
	if (strncmp(answer, "HTTP/1.1 204", 12) == 0)
		return 0;
	text = strstr(answer, "\r\n\r\n");
	return err_set(err, -EIO, "The VMM at %s answered: %s", socket_path,
		       text ? text + 4 : answer);
}
