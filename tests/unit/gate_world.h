/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate_world.h - a real gate, and the guest process's end of its wire
 */
#pragma once

#include "folder.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/gate.h"
#include "gate/need.h"
#include "gate/save.h"
#include "host/unix.h"

#define PATIENCE_MS 30000
#define MEMORY      8192u

#define PATCH                                                    \
	"PATCH /drives/a HTTP/1.1\r\nContent-Length: 24\r\n\r\n" \
	"{\"path_on_host\":\"disk\"} "
#define CREATE                                                        \
	"PUT /snapshot/create HTTP/1.1\r\nContent-Length: 51\r\n\r\n" \
	"{\"snapshot_path\":\"dir/\",\"snapshot_type\":\"Full\"}    "
#define DIFF                                                          \
	"PUT /snapshot/create HTTP/1.1\r\nContent-Length: 51\r\n\r\n" \
	"{\"snapshot_path\":\"dir/\",\"snapshot_type\":\"Diff\"}    "

struct world {
	char dir[32];
	struct loop loop;
	struct gate_link link;
	int sock;
	int client;
	uint32_t serial;
	uint32_t calls;
	struct wire_in in;
};

static inline void on_request(void *ctx, const char *raw, size_t len)
{
	(void)ctx;
	(void)raw;
	(void)len;
}

static const struct gate_link_ops ops = {.request = on_request};

static inline int make_world(void **state, const struct sandbox *sandbox)
{
	struct gate_door door = GATE_DOOR_NONE;
	const struct gate_params params = {
		.sandbox = sandbox,
		.door = &door,
		.payload_max = 1000,
		.answer_max = 4 * WIRE_PIECE,
	};
	struct world *w = calloc(1, sizeof(*w));
	struct err err = {0};
	int fd;

	assert_non_null(w);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/volt-gate-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chdir(w->dir), 0); /* the gate keeps it */
	fd = open("disk", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 4096), 0);
	(void)close(fd);
	assert_int_equal(loop_init(&w->loop), 0);
	assert_int_equal(gate_door_open(&door, "api", &err), 0);
	assert_int_equal(gate_start(&w->link, &w->loop, &params, &ops, w, &err),
			 0);
	w->sock = w->link.src.fd;
	w->client = -1;
	*state = w;
	return 0;
}

static inline int setup(void **state)
{
	return make_world(state, NULL);
}

/* The names in the directory @path, each with a space behind. */
static inline void expect_names(const char *path, const char *names)
{
	struct buf found = {0};
	struct dirent **list;
	int n = scandir(path, &list, NULL, alphasort);

	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.')
			buf_addf(&found, "%s ", list[i]->d_name);
		free(list[i]);
	}
	free(list);
	buf_add(&found, "", 1);
	assert_string_equal(found.data, names);
	buf_free(&found);
}

static inline int teardown(void **state)
{
	struct world *w = *state;

	fd_close(&w->client);
	gate_link_close(&w->link);
	loop_fini(&w->loop);
	assert_int_equal(folder_remove(w->dir), 0);
	free(w);
	return 0;
}

static inline void await(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

static inline void tell(struct world *w, enum wire_kind kind, uint32_t serial,
			uint32_t value, const void *tail, size_t len)
{
	const struct wire_message m = {
		.kind = kind,
		.serial = serial,
		.value = value,
	};

	assert_int_equal(wire_send(w->sock, &m, tail, len, NULL, 0), 0);
}

/* The next message, which is a @kind. */
static inline void expect(struct world *w, enum wire_kind kind)
{
	int r;

	while ((r = wire_recv(w->sock, WIRE_GATE, &w->in)) == -EAGAIN)
		await(w->sock, POLLIN);
	assert_int_equal(r, 0);
	assert_int_equal(w->in.m.kind, kind);
}

/* The gate ends by itself, and tidily. */
static inline void expect_end(struct world *w)
{
	int r, status;

	while ((r = wire_recv(w->sock, WIRE_GATE, &w->in)) == -EAGAIN ||
	       r == 0) {
		wire_in_drop(&w->in);
		if (r == -EAGAIN)
			await(w->sock, POLLIN);
	}
	assert_int_equal(r, -EPIPE);
	assert_int_equal(waitpid(w->link.pid, &status, 0), w->link.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(access("api", F_OK), -1);
}

static inline void lock(struct world *w)
{
	const struct wire_vsock vsock = {0, 0};
	const struct save_base base = {.size = MEMORY, .tracked = 1};
	char text[sizeof(vsock) + 1];

	memcpy(text, &vsock, sizeof(vsock));
	text[sizeof(vsock)] = 'v';
	/* What was told before the first of them is forgotten. */
	tell(w, WIRE_HANDOVER, 0, WIRE_VSOCK, text, sizeof(text));
	tell(w, WIRE_HANDOVER, 0, WIRE_DRIVE, "c", 1);
	tell(w, WIRE_HANDOVER, 0, WIRE_SAVES, &base, sizeof(base));
	tell(w, WIRE_HANDOVER, 0, WIRE_VSOCK, text, sizeof(text));
	tell(w, WIRE_HANDOVER, 0, WIRE_DRIVE, "a", 1);
	tell(w, WIRE_HANDOVER, 0, WIRE_DRIVE_RO, "b", 1);
	tell(w, WIRE_LOCKED, ++w->calls, 0, NULL, 0);
	expect(w, WIRE_DONE);
	assert_int_equal(w->in.m.rc, 0);
	assert_int_equal(w->in.m.serial, w->calls);
}

/* A client sends a request; it is in progress. */
static inline void ask(struct world *w, const char *text)
{
	if (w->client < 0)
		w->client = unix_connect("api", UNIX_WAIT);
	assert_true(w->client >= 0);
	assert_int_equal(send(w->client, text, strlen(text), 0),
			 (ssize_t)strlen(text));
	expect(w, WIRE_REQUEST);
	assert_int_equal(w->in.len, strlen(text));
	assert_memory_equal(w->in.tail, text, w->in.len);
	w->serial = w->in.m.serial;
}

static inline void answer(struct world *w)
{
	char text[1024] = "";

	tell(w, WIRE_ANSWER, w->serial, 204, NULL, 0);
	await(w->client, POLLIN);
	assert_true(recv(w->client, text, sizeof(text) - 1, 0) > 0);
	assert_int_equal(strncmp(text, "HTTP/1.1 204", 12), 0);
}

/* Return: what the gate says to a NEED. */
static inline int need(struct world *w, uint32_t value)
{
	tell(w, WIRE_NEED, ++w->calls, value, NULL, 0);
	expect(w, WIRE_DESCRIPTOR);
	assert_int_equal(w->in.m.serial, w->calls);
	return w->in.m.rc;
}

static inline unsigned int fds_of(pid_t pid)
{
	unsigned int nr = 0;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	(void)closedir(dir);
	return nr;
}
