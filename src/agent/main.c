// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - volt-agent: the first process of a guest that runs an image
 *
 * Theory of operation
 *
 * It makes the root (boot.h), then listens on the guest's vsock. Each
 * connection gets a process of its own (session.h), so that what ends one
 * session ends no other, and never this process. It takes every orphan, and
 * restarts the machine, which ends the VM, when a session asks for that by
 * SIGTERM, or the host by Ctrl-Alt-Del: all processes get SIGTERM first, and
 * what a session's command came to by it is told.
 *
 * Only the host may connect: a program of the guest that tries is refused by
 * the address it comes from.
 *
 * What goes wrong before anybody can ask is said on the console, and restarts
 * the machine: nobody waits for a guest that has no root.
 */
#include "agent/boot.h"
#include "agent/hooks.h"
#include "agent/machine.h"
#include "agent/session.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* After it, for the C library of the build has no such header. */
#include <linux/vm_sockets.h>

#define MAIN_BACKLOG 16

static int main_hooks(bool resume, struct err *err)
{
	return hooks_run(resume ? HOOKS_RESUME : HOOKS_QUIESCE, HOOKS_MS, err);
}

static const struct agent_place main_place = {
	.passwd = "/etc/passwd",
	.group = "/etc/group",
	.vmstat = "/proc/vmstat",
	.setup = machine_setup,
	.freeze = machine_freeze,
	.hooks = main_hooks,
	.shut_down = machine_ask_end,
};

static void main_stop(const char *text) __attribute__((noreturn));

static void main_stop(const char *text)
{
	(void)fprintf(stderr, "volt-agent: %s\n", text);
	machine_end();
}

static int main_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT); /* Ctrl-Alt-Del */
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int main_listen(void)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_port = AGENT_PORT,
		.svm_cid = VMADDR_CID_ANY,
	};
	int sock =
		socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock >= 0 && (bind(sock, (const struct sockaddr *)&address,
			       sizeof(address)) < 0 ||
			  listen(sock, MAIN_BACKLOG) < 0))
		fd_close(&sock);
	return sock;
}

/* The child's part of a connection. */
static void main_serve(int sock, int listener, int signals)
	__attribute__((noreturn));

static void main_serve(int sock, int listener, int signals)
{
	(void)close(listener);
	(void)close(signals);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)agent_serve(sock, &main_place);
	_exit(0);
}

static void main_accept(int listener, int signals)
{
	struct sockaddr_vm peer = {0};
	socklen_t len = sizeof(peer);
	int sock =
		accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	pid_t pid = -1;

	if (sock < 0)
		return;
	if (peer.svm_cid == VMADDR_CID_HOST)
		pid = fork();
	if (pid == 0)
		main_serve(sock, listener, signals);
	(void)close(sock);
}

static void main_take_signals(int signals)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			machine_end();
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	struct err err;
	int signals, listener;

	if (getpid() != 1) {
		(void)fprintf(stderr,
			      "volt-agent: it is the first process of a guest, "
			      "and nothing else\n");
		return 1;
	}
	if (boot_mount(&err) < 0)
		main_stop(err.text);
	boot_settle();
	signals = main_signals();
	/* Else the kernel restarts at once: commands get no SIGTERM, file
	 * systems no sync. */
	(void)reboot(RB_DISABLE_CAD);
	listener = main_listen();
	if (signals < 0 || listener < 0)
		main_stop("this kernel has no vsock");
	for (;;) {
		struct pollfd p[] = {{.fd = listener, .events = POLLIN},
				     {.fd = signals, .events = POLLIN}};

		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[1].revents)
			main_take_signals(signals);
		if (p[0].revents)
			main_accept(listener, signals);
	}
}
