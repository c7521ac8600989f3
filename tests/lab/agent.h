/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - the lab's first process: what its files share
 */
#ifndef LAB_AGENT_H
#define LAB_AGENT_H

#include <stddef.h>
#include <stdint.h>

/* Where the host's file tree stays reachable below our own mounts. */
#define AGENT_HOST_TREE "/run/volt-host"
#define AGENT_CGROUP    "/sys/fs/cgroup/lab"

/* A frame on the command port: header, then len bytes. Little endian. */
struct frame {
	uint32_t session;
	uint32_t type;
	uint32_t len;
};

/*
 * Types of frames. To the agent: START, INPUT, ACK, SIGNAL, RESIZE, END, TICK.
 * From it: READY, OUTPUT, ERRORS, ACK, FAILED, EXIT. wire.py holds the same
 * list.
 */
enum frame_type {
	FRAME_START = 1,  /* strings: see session.c */
	FRAME_INPUT = 2,  /* bytes for standard input; none: its end */
	FRAME_ACK = 3,    /* u32: so many bytes have been taken */
	FRAME_SIGNAL = 4, /* u32: signal number */
	FRAME_RESIZE = 5, /* u32 rows, u32 columns */
	FRAME_END = 6,    /* the client is gone: kill what is left */
	FRAME_READY = 7,
	FRAME_OUTPUT = 8,
	FRAME_ERRORS = 9,
	FRAME_FAILED = 10, /* text: the command was not started */
	FRAME_EXIT = 11,   /* u32: exit code, or 128 + signal */
	FRAME_TICK = 12,   /* nothing: its interrupt is what counts (labd.py) */
};

#define FRAME_MAX (1U << 20)

/* agent.c */
_Noreturn void agent_die(const char *what);
void agent_write_file(const char *path, const char *text);
void agent_send(uint32_t session, uint32_t type, const void *data, size_t len);

/* setup.c */
int setup_open_port(const char *name);
void setup_load_modules(void);
void setup_first(void);
void setup_machine(void);
void setup_root(void);

/* bridge.c */
int bridge_mount(const char *where);
void bridge_start(int fuse_fd, int port);

/* session.c */
struct pollfd;
void session_frame(const struct frame *frame, char *data);
size_t session_poll_fill(struct pollfd *fds, size_t room);
void session_poll_done(const struct pollfd *fds, size_t count);
void session_reap(void);

#endif /* LAB_AGENT_H */
