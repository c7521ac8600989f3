// SPDX-License-Identifier: Apache-2.0
/*
 * keeper.c - who outlives a VM (keeper.h)
 */
#include "cli/keeper.h"

#include "cli/cli.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK 65536

/* Since Linux 5.3 and 5.9. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define FDS_MAX (5 + 2 * VM_CGROUP_MAX)

/* What the shell had open is not to stay open because of us. */
static void close_others(const struct keeper *k, int vm)
{
	int keep[FDS_MAX] = {STDERR_FILENO, vm, k->console, k->log.fd,
			     k->log.folder};
	unsigned int from = STDERR_FILENO;
	size_t nr = 5;

	for (unsigned int i = 0; i < k->cgroup.nr; i++) {
		keep[nr++] = k->cgroup.group[i].parent;
		keep[nr++] = k->cgroup.group[i].fd;
	}
	for (;;) {
		int next = -1;

		for (size_t i = 0; i < nr; i++)
			if (keep[i] >= (int)from &&
			    (next < 0 || keep[i] < next))
				next = keep[i];
		if (next != (int)from)
			(void)syscall(SYS_close_range, from,
				      next < 0 ? ~0u : (unsigned int)next - 1,
				      0);
		if (next < 0)
			return;
		from = (unsigned int)next + 1;
	}
}

static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,
			      SIGQUIT, SIGPIPE, SIGXFSZ};

/* Hold back what the keeper ignores. @before: the mask until now. */
static void keeper_hold_signals(sigset_t *before)
{
	sigset_t held;

	(void)sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)sigaddset(&held, ignored[i]);
	(void)sigprocmask(SIG_BLOCK, &held, before);
}

/* A session of its own: neither a terminal nor its group reaches it. It has
 * its name when that is done. */
static void set_apart(const sigset_t *before)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, before, NULL);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
	}
	(void)prctl(PR_SET_NAME, "volt-keeper");
}

/* Return: false at the end of the console. */
static bool keeper_copy(struct keeper *k, bool *said)
{
	static char chunk[CHUNK];
	ssize_t n = read(k->console, chunk, sizeof(chunk));
	int r;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	r = console_log_write(&k->log, chunk, (size_t)n);
	if (r < 0 && !*said)
		(void)cli_complain(0, NULL,
				   "console output is lost: cannot write %s: "
				   "%s",
				   k->log.name, err_name(r));
	*said = *said || r < 0;
	return true;
}

/* Until the VM's process has ended; the pipe has no other end then. */
static void wait_and_copy(struct keeper *k, int vm)
{
	struct pollfd p[] = {
		{.fd = vm, .events = POLLIN},
		{.fd = k->console, .events = POLLIN},
	};
	bool said = false;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[1].revents && !keeper_copy(k, &said))
			p[1].fd = -1;
		else if (p[0].revents && !p[1].revents)
			return; /* who else holds the pipe says nothing */
		if (p[0].revents && p[1].fd < 0)
			return;
	}
}

static void be_the_keeper(struct keeper *k, int vm, const sigset_t *before)
{
	set_apart(before);
	close_others(k, vm);
	wait_and_copy(k, vm);
	if (k->temporary)
		console_log_remove(&k->log);
	console_log_close(&k->log);
	vm_cgroup_remove(&k->cgroup);
	_exit(0);
}

pid_t keeper_start(struct keeper *keeper, struct err *err)
{
	cleanup_fd int vm = (int)syscall(SYS_pidfd_open, getpid(), 0);
	sigset_t before;
	pid_t pid;
	int r;

	/* One that came between fork() and set_apart() would end it. */
	keeper_hold_signals(&before);
	pid = vm < 0 ? -1 : fork();
	r = -errno;
	if (pid == 0)
		be_the_keeper(keeper, vm, &before);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return err_set(err, r,
			       "Cannot start the process that stays: %s",
			       err_name(-r));
	return pid;
}
