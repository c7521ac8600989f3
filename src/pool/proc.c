// SPDX-License-Identifier: Apache-2.0
/*
 * proc.c - processes (theory of operation: proc.h)
 */
#include "pool/proc.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROC_TEXT_MAX    1024
#define PROC_STACK_BYTES KIB(32) /* a record is written on it */

/* Debian 12's headers have none of it (linux/pidfd.h). */
struct proc_pidfd_info {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};
_Static_assert(sizeof(struct proc_pidfd_info) == 64, "version 0 of the kernel");
#define PROC_PIDFD_GET_INFO  _IOWR(0xFF, 11, struct proc_pidfd_info)
#define PROC_PIDFD_INFO_EXIT (1ull << 3)

/* ---- start ---- */

/**
 * struct proc_child - what parent and child know of each other
 * @what:	the child is at, for who reads of @error
 */
struct proc_child {
	const struct proc_new *p;
	pid_t parent;
	const char *what;
	int error;
};

/* In a copy of the daemon's memory only. */
static int proc_become(const struct proc_as *as)
{
	gid_t groups[64];
	size_t n = as->nr_groups < ARRAY_SIZE(groups) ? as->nr_groups
						      : ARRAY_SIZE(groups);

	if (as->same)
		return 0;
	for (size_t i = 0; i < n; i++)
		groups[i] = as->groups[i];
	if (setgroups(n, groups) < 0 ||
	    setresgid(as->gid, as->gid, as->gid) < 0 ||
	    setresuid(as->uid, as->uid, as->uid) < 0)
		return -errno;
	return 0;
}

static int proc_prepare(const struct proc_new *p)
{
	sigset_t none;

	sigemptyset(&none);
	if (setsid() < 0 || dup2(p->null, STDIN_FILENO) < 0 ||
	    dup2(p->null, STDOUT_FILENO) < 0 ||
	    dup2(p->log, STDERR_FILENO) < 0 ||
	    signal(SIGPIPE, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return -errno;
	return proc_become(&p->as);
}

static int proc_become_member(struct proc_child *c)
{
	const struct proc_new *p = c->p;

	c->what = "Cannot keep a record";
	c->error = p->before(p->ctx, getpid());
	/* One whose parent was killed is nobody's. */
	if (c->error < 0 || getppid() != c->parent)
		return c->error;
	c->what = "Cannot prepare a process";
	c->error = proc_prepare(p);
	if (c->error < 0)
		return c->error;
	c->what = "Cannot run its program";
	(void)execv(p->argv[0], p->argv);
	c->error = -errno;
	return c->error;
}

/* On a stack of its own. */
static int proc_child_runs(void *arg)
{
	struct proc_child *c = arg;

	if (proc_become_member(c) < 0)
		(void)dprintf(c->p->log, "%s: %s\n", c->what,
			      err_name(c->error));
	return 1;
}

int proc_start(struct proc_new *p, struct err *err)
{
	static _Alignas(16) char stack[PROC_STACK_BYTES];
	int shared = p->as.same ? CLONE_VM | CLONE_VFORK : 0;
	struct proc_child child = {
		.p = p,
		.parent = getpid(),
		.what = "Cannot start a process",
	};
	int pidfd = -1;

	p->pid = clone(proc_child_runs, stack + sizeof(stack),
		       shared | CLONE_PIDFD | SIGCHLD, &child, &pidfd);
	if (p->pid < 0)
		child.error = -errno;
	if (child.error == 0)
		return pidfd;
	if (p->pid > 0)
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	fd_close(&pidfd);
	return err_set(err, child.error, "%s: %s", child.what,
		       err_name(child.error));
}

/* ---- look ---- */

/* Return: @text, NUL-terminated, or NULL. */
static char *proc_read(pid_t pid, const char *file, char *text)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, PROC_TEXT_MAX - 1);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

uint64_t proc_start_time(pid_t pid)
{
	char text[PROC_TEXT_MAX];
	const char *at;

	if (!proc_read(pid, "stat", text))
		return 0;
	/* Behind the name, which may hold anything; field 22. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

uint64_t proc_cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
	    clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void proc_memory(pid_t pid, uint64_t *private_kib, uint64_t *shared_kib)
{
	char text[PROC_TEXT_MAX];
	uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
	uint64_t resident, shared;
	char *at;

	if (!proc_read(pid, "statm", text))
		return;
	/* The size comes first. */
	(void)strtoull(text, &at, 10);
	resident = strtoull(at, &at, 10);
	shared = strtoull(at, &at, 10);
	*private_kib += (resident > shared ? resident - shared : 0) * page_kib;
	*shared_kib += shared * page_kib;
}

pid_t proc_child(pid_t pid)
{
	char text[PROC_TEXT_MAX], file[64];

	(void)snprintf(file, sizeof(file), "task/%d/children", pid);
	return proc_read(pid, file, text) ? (pid_t)strtol(text, NULL, 10) : 0;
}

int proc_open(pid_t pid, uint64_t start)
{
	cleanup_fd int fd = -1;

	if (pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	/* While it is open the pid is nobody else's. */
	return proc_start_time(pid) == start ? fd_steal(&fd) : -ESRCH;
}

void proc_kill(int pidfd, int sig)
{
	(void)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

/* ---- its end ---- */

static enum proc_end proc_end_of_child(int pidfd, int *status)
{
	siginfo_t info = {0};
	int r;

	do
		r = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return PROC_UNKNOWN;
	if (info.si_pid == 0)
		return PROC_RUNS;
	*status = info.si_code == CLD_EXITED ? info.si_status << 8
					     : info.si_status;
	return PROC_ENDED;
}

enum proc_end proc_end_of(int pidfd, bool child, int *status)
{
	struct proc_pidfd_info info = {.mask = PROC_PIDFD_INFO_EXIT};
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (child)
		return proc_end_of_child(pidfd, status);
	if (poll(&p, 1, 0) <= 0)
		return PROC_RUNS;
	if (ioctl(pidfd, PROC_PIDFD_GET_INFO, &info) == 0 &&
	    info.mask & PROC_PIDFD_INFO_EXIT) {
		*status = info.exit_code;
		return PROC_ENDED;
	}
	/* POLLHUP: it is reaped. */
	return p.revents & POLLHUP ? PROC_UNKNOWN : PROC_LATER;
}
