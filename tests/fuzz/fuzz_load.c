// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_load.c - any file as the state of a snapshot, and any body of the
 * request to load it: what the gate finds in them to open
 *
 * Input: the length of the body (2 bytes), the body, the state. Every role is
 * asked for; what comes is a text, and of the state or the request.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "gate/load.h"

#define fuzz_check(cond)         \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct load *load, const struct need_request *request,
		enum path_role role, unsigned int index)
{
	struct buf path = {0};
	int r = load_path(load, request, role, index, &path);

	fuzz_check(r <= 0);
	if (r == 0) {
		fuzz_check(strlen(path.data) == path.len);
		fuzz_check(role == PATH_STATE || role == PATH_MEMORY ||
			   role == PATH_DISK || role == PATH_DISK_RO ||
			   role == PATH_PMEM || role == PATH_PMEM_RO ||
			   role == PATH_TAP || role == PATH_FRAMES ||
			   role == PATH_VSOCK || role == PATH_OVERLAY ||
			   role == PATH_SERIAL);
	}
	buf_free(&path);
}

static void ask_all(struct load *load, const struct need_request *request)
{
	for (enum path_role role = 0; role < PATH_NR; role++)
		for (unsigned int index = 0; index < 3; index++)
			ask(load, request, role, index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct need_request request = {
		.method = API_PUT,
		.first = "snapshot",
		.first_len = strlen("snapshot"),
		.second = "load",
		.second_len = strlen("load"),
	};
	struct load load = LOAD_NONE;
	char *body;
	size_t len;
	int fd;

	if (size < 2)
		return 0;
	len = (size_t)(data[0] | data[1] << 8);
	data += 2;
	size -= 2;
	if (len > size)
		len = size;
	/* An exact copy, so that a byte too far is found. */
	body = malloc(len ? len : 1);
	fuzz_check(body);
	memcpy(body, data, len);
	request.body = body;
	request.body_len = len;
	fd = memfd_create("state", MFD_CLOEXEC);
	fuzz_check(fd >= 0);
	fuzz_check(write(fd, data + len, size - len) == (ssize_t)(size - len));
	ask_all(&load, &request);
	fuzz_check(load_take_state(&load, fd) == 0);
	ask_all(&load, &request);
	load_end(&load);
	fuzz_check(load.state_fd == -1 && !load.text);
	fd_close(&fd);
	free(body);
	return 0;
}
