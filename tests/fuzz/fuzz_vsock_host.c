// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_vsock_host.c - what a client of the host sends to the socket device
 *
 * Byte 0 says in what pieces the rest arrives. Whatever it is, the guest gets a
 * REQUEST exactly when the line is one, and then nothing is missing or added.
 */
#include "../unit/vsock_kit.h"

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Does a line begin the stream, within its limit? */
static bool expect(const uint8_t *data, size_t size, uint32_t *port,
		   size_t *line)
{
	const uint8_t *end = memchr(data, '\n', size);

	*line = end ? (size_t)(end + 1 - data) : size;
	return end && *line <= VSOCK_LINE_MAX &&
	       vsock_parse_connect((const char *)data, *line, port);
}

static void check_stream(struct vk *vk, const uint8_t *data, size_t size)
{
	struct vk_packet h;
	size_t seen = 0;

	while (vk_recv(vk, &h)) {
		if (h.op != VSOCK_OP_RW)
			continue;
		kit_must(h.len <= size - seen);
		kit_must(memcmp(h.data, data + seen, h.len) == 0);
		seen += h.len;
	}
	kit_must(seen == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vk_packet h;
	uint32_t port = 0;
	size_t line, piece;
	struct vk vk;
	bool good;
	int fd;

	if (size < 2 || size > 4096)
		return 0;
	log_settings.level = LOG_OFF;
	piece = data[0] ? data[0] : size;
	data++;
	size--;
	good = expect(data, size, &port, &line);
	vk_open_running(&vk);
	fd = vk_client(&vk);
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		(void)!send(fd, data + at, n, MSG_NOSIGNAL);
		vk_pump(&vk);
	}
	if (vk_recv(&vk, &h)) {
		kit_must(good && h.op == VSOCK_OP_REQUEST);
		kit_must(h.dst_port == port);
		vk_send(&vk, VSOCK_OP_RESPONSE, port, h.src_port);
		check_stream(&vk, data + line, size - line);
	} else {
		kit_must(!good);
	}
	(void)close(fd);
	vk_close(&vk);
	return 0;
}
