// SPDX-License-Identifier: Apache-2.0
/*
 * agent.c - the lab's first process: runs commands for the host
 *
 * Theory of operation
 *
 * The agent is /init of the emulated host. It speaks to labd, on the real
 * host, through two virtio-serial ports. One carries raw FUSE messages
 * (bridge.c): the emulated host's root is the real host's file tree, so a
 * command finds every program, library and file at the path it has outside.
 * The other carries frames (agent.h): commands to start, their input, output,
 * signals and exit codes (session.c).
 *
 * The main thread must not wait for a file of the host while labd waits for
 * the main thread. labd never waits: it buffers what a port does not take.
 * The FUSE bridge runs in threads of its own and touches no file of the host.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent.h"

#define MAX_FDS 1024

static int command_port = -1;

/**
 * agent_die() - end the lab: a message on its console, then power off.
 */
_Noreturn void agent_die(const char *what)
{
	dprintf(2, "agent: %s: %s\n", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

/**
 * agent_write_file() - write @text to a file of /proc or /sys, if it is there.
 */
void agent_write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return;
	fputs(text, file);
	fclose(file);
}

static void write_all(const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		ssize_t done = write(command_port, from, len);

		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done < 0)
			agent_die("writing to the command port");
		from += done;
		len -= (size_t)done;
	}
}

/**
 * agent_send() - send one frame to labd; waits until the port takes it.
 */
void agent_send(uint32_t session, uint32_t type, const void *data, size_t len)
{
	struct frame frame = {session, type, (uint32_t)len};

	write_all(&frame, sizeof(frame));
	write_all(data, len);
}

/* Takes what the port has and hands on each frame that is complete. */
static void take_frames(void)
{
	static char buf[FRAME_MAX + sizeof(struct frame) + 1];
	static size_t used;
	struct frame frame;
	size_t at = 0;
	ssize_t got;

	got = read(command_port, buf + used, sizeof(buf) - 1 - used);
	if (got < 0 && errno != EINTR && errno != EAGAIN)
		agent_die("reading the command port");
	if (got <= 0)
		return;
	used += (size_t)got;
	while (used - at >= sizeof(frame)) {
		memcpy(&frame, buf + at, sizeof(frame));
		if (frame.len > FRAME_MAX)
			agent_die("a frame is too long");
		if (used - at - sizeof(frame) < frame.len)
			break;
		at += sizeof(frame);
		session_frame(&frame, buf + at);
		at += frame.len;
	}
	memmove(buf, buf + at, used - at);
	used -= at;
}

static int open_child_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		agent_die("signalfd");
	return fd;
}

static void serve(int child_signals)
{
	static struct pollfd fds[MAX_FDS];
	struct signalfd_siginfo info;
	size_t count;

	for (;;) {
		fds[0] = (struct pollfd){.fd = command_port, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = child_signals, .events = POLLIN};
		count = session_poll_fill(fds + 2, MAX_FDS - 2);
		if (poll(fds, count + 2, -1) < 0 && errno != EINTR)
			agent_die("poll");
		session_poll_done(fds + 2, count);
		if (fds[1].revents) {
			while (read(child_signals, &info, sizeof(info)) > 0)
				;
			session_reap();
		}
		if (fds[0].revents)
			take_frames();
	}
}

int main(void)
{
	int child_signals;

	setup_first();
	child_signals = open_child_signals();
	setup_load_modules();
	command_port = setup_open_port("volt.command");
	bridge_start(bridge_mount("/host"), setup_open_port("volt.files"));
	setup_root();
	setup_machine();
	agent_send(0, FRAME_READY, NULL, 0);
	serve(child_signals);
}
