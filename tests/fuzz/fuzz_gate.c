// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_gate.c - both ends of the wire, each with the other end hostile
 *
 * Input: the first byte says which end is tried (even: the gate, odd: the guest
 * process), and for the gate which request is in progress. Then messages, each
 * behind its length (2 bytes); the highest bit of that sends a descriptor with
 * it. The head's @kind is taken modulo what there is, so that most get further
 * than the first check.
 *
 * Checked: no descriptor stays open, and what the gate opens is what the client
 * named: the one file in the folder, or one that it has just made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/folder.h"

#include "base/fd.h"
#include "gate/gate_priv.h"
#include "host/unix.h"

#define fuzz_check(cond)         \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#define DISK  "disk"
#define STEPS 16

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const requests[] = {
	"PATCH /drives/a HTTP/1.1\r\nContent-Length: 23\r\n\r\n"
	"{\"path_on_host\":\"disk\"}",
	"PUT /snapshot/create HTTP/1.1\r\nContent-Length: 21\r\n\r\n"
	"{\"snapshot_path\":\"s/\"}",
	"PUT /snapshot/create HTTP/1.1\r\nContent-Length: 44\r\n\r\n"
	"{\"snapshot_path\":\"s/\",\"snapshot_type\":\"Diff\"}",
	"GET /version HTTP/1.1\r\n\r\n",
	"PUT /volt/lease HTTP/1.1\r\nContent-Length: 92\r\n\r\n"
	"{\"drives\":[{\"drive_id\":\"a\",\"overlay\":\".\","
	"\"path_on_host\":\"disk\"}],\"vsock\":{\"uds_path\":\"own\"}}",
};

static void leave_folder(void)
{
	char path[64];

	if (getcwd(path, sizeof(path)))
		(void)folder_remove(path);
}

/* All files are in a folder of our own. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* In memory, where syncing costs nothing, if there is such a place. */
	char shm[] = "/dev/shm/volt-fuzz-gate-XXXXXX";
	char tmp[] = "/tmp/volt-fuzz-gate-XXXXXX";
	const char *dir = mkdtemp(shm);
	int fd;

	(void)argc;
	(void)argv;
	if (!dir)
		dir = mkdtemp(tmp);
	fuzz_check(dir && chdir(dir) == 0 && atexit(leave_folder) == 0);
	fd = open(DISK, O_CREAT | O_RDWR, 0600);
	fuzz_check(fd >= 0 && ftruncate(fd, 4096) == 0 && close(fd) == 0);
	return 0;
}

static int next_fd(void)
{
	int fd = dup(0);

	(void)close(fd);
	return fd;
}

static bool is_ours(const struct stat *st)
{
	struct stat disk;

	/* A listener of a lease, which has no device. */
	if (S_ISSOCK(st->st_mode))
		return true;
	return stat(DISK, &disk) == 0 && st->st_dev == disk.st_dev &&
	       (st->st_ino == disk.st_ino || S_ISREG(st->st_mode) ||
		S_ISDIR(st->st_mode));
}

/* What came for the hostile end. */
static void drain(int sock, enum wire_side from)
{
	static struct wire_in in;
	struct stat st;

	while (wire_recv(sock, from, &in) == 0) {
		for (unsigned int i = 0; i < in.nr_fds; i++)
			fuzz_check(fstat(in.fd[i], &st) == 0 && is_ours(&st));
		wire_in_drop(&in);
	}
}

/* One message out of the input. Return: false behind the last. */
static bool send_next(int sock, const uint8_t **data, size_t *size)
{
	static char text[sizeof(struct wire_message) + WIRE_PIECE + 1];
	const int fd = 0;
	uint32_t kind;
	size_t len;
	bool with_fd;

	if (*size < 2)
		return false;
	len = (size_t)((*data)[0] | (*data)[1] << 8);
	with_fd = len & 0x8000;
	len &= 0x7fff;
	*data += 2;
	*size -= 2;
	if (len > *size)
		len = *size;
	if (len > sizeof(text))
		len = sizeof(text);
	memcpy(text, *data, len);
	*data += len;
	*size -= len;
	if (len >= sizeof(kind)) {
		memcpy(&kind, text, sizeof(kind));
		kind %= WIRE_NR_KINDS + 1;
		memcpy(text, &kind, sizeof(kind));
	}
	if (len > 0)
		(void)!unix_send_fds(sock, text, len, &fd, with_fd,
				     MSG_DONTWAIT);
	return true;
}

/* ---- the gate, behind a guest process that does what it likes ---- */

static void try_gate(unsigned int which, const uint8_t *data, size_t size)
{
	static struct gate gate;
	struct gate_door door = GATE_DOOR_NONE;
	const struct gate_params params = {
		.door = &door,
		.payload_max = 1000,
		.answer_max = 4 * WIRE_PIECE,
	};
	const char *request = requests[which % ARRAY_SIZE(requests)];
	int ends[2], client;
	struct err err;

	memset(&gate, 0, sizeof(gate));
	gate.params = &params;
	fuzz_check(gate_door_open(&door, "api", &err) == 0);
	fuzz_check(wire_pair(ends) == 0 && gate_begin(&gate, ends[0]) == 0);
	client = unix_connect("api", UNIX_WAIT);
	fuzz_check(client >= 0 &&
		   send(client, request, strlen(request), 0) > 0);
	for (int i = 0; i < STEPS; i++)
		fuzz_check(loop_step(&gate.loop, 0) == 0);
	while (!gate.loop.quit && send_next(ends[1], &data, &size)) {
		fuzz_check(loop_step(&gate.loop, 0) == 0);
		drain(ends[1], WIRE_GATE);
	}
	gate_end(&gate);
	gate_door_close(&door);
	fd_close(&ends[1]);
	fd_close(&client);
}

/* ---- the guest process, behind a gate that does what it likes ---- */

static void on_request(void *ctx, const char *raw, size_t len)
{
	struct buf body = {0};

	buf_add(&body, raw, len);
	gate_link_answer(ctx, 200, false, &body);
}

static void on_dialed(void *ctx, uint32_t port, int rc, int fd)
{
	(void)ctx;
	(void)port;
	fuzz_check((rc == 0) == (fd >= 0));
	fd_close(&fd);
}

static void on_note(void *ctx, uint32_t note, int rc, const char *text)
{
	(void)ctx;
	(void)note;
	fuzz_check(rc <= 0 && strlen(text) <= ERR_TEXT_MAX);
}

static void on_gone(void *ctx)
{
	const struct gate_link *link = ctx;

	fuzz_check(link->gone);
}

static void try_link(const uint8_t *data, size_t size)
{
	static const struct gate_link_ops ops = {
		.request = on_request,
		.dialed = on_dialed,
		.note = on_note,
		.gone = on_gone,
	};
	static struct gate_link link;
	struct loop loop;
	int ends[2];

	memset(&link, 0, sizeof(link));
	fuzz_check(loop_init(&loop) == 0 && wire_pair(ends) == 0);
	fuzz_check(gate_link_open(&link, &loop, ends[0], 4ull * WIRE_PIECE,
				  &ops, &link) == 0);
	while (!link.gone && send_next(ends[1], &data, &size)) {
		fuzz_check(loop_step(&loop, 0) == 0);
		drain(ends[1], WIRE_GUEST);
	}
	fd_close(&ends[1]);
	gate_link_close(&link);
	loop_fini(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int first = next_fd();

	if (size < 1)
		return 0;
	if (data[0] & 1)
		try_link(data + 1, size - 1);
	else
		try_gate(data[0] >> 1, data + 1, size - 1);
	fuzz_check(next_fd() == first);
	return 0;
}
