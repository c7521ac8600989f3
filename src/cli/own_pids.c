// SPDX-License-Identifier: Apache-2.0
/*
 * own_pids.c - a VM in a PID namespace of its own (own_pids.h)
 */
#include "cli/own_pids.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "volt-init"

/* From a key of the terminal, or from its end: that reaches the VM as well. */
#ifndef SI_KERNEL
#define SI_KERNEL 0x80
#endif

/* What somebody may send to `volt` and mean the VM. */
static const int passed_on[] = {SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
				SIGUSR1, SIGUSR2, SIGXCPU, SIGCONT};

/* ---- the namespace ---- */

static int own_pids_write(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* This user is who he was, and no one else is anybody. */
static int map_self(uid_t uid, gid_t gid)
{
	char line[32];
	int r = own_pids_write("/proc/self/setgroups", "deny");

	(void)snprintf(line, sizeof(line), "%u %u 1", uid, uid);
	if (r == 0)
		r = own_pids_write("/proc/self/uid_map", line);
	(void)snprintf(line, sizeof(line), "%u %u 1", gid, gid);
	return r == 0 ? own_pids_write("/proc/self/gid_map", line) : r;
}

/* In a child, as what is done half cannot be undone. Return: 0 or -errno. */
static int may_make(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	pid_t pid = fork();
	int status = 0, r;

	if (pid == 0) {
		r = unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0
			    ? -errno
			    : map_self(uid, gid);
		_exit(-r);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int make_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(CLONE_NEWPID) == 0)
		return 0;
	/* Root in a user namespace would lose what it may do to the host. */
	r = errno == EPERM && uid != 0 ? may_make() : -errno;
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		return -errno;
	return map_self(uid, gid);
}

/* ---- its first process ---- */

/* Nobody else has the other end of the pipe, which ends with `volt`. */
static _Noreturn void own_pids_be_first(int alive)
{
	sigset_t none;
	char byte;

	(void)prctl(PR_SET_NAME, NAME);
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGCHLD, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		(void)signal(passed_on[i], SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(alive, STDIN_FILENO) < 0)
		_exit(1);
	fd_close_from(STDIN_FILENO + 1);
	while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* Return: its number, or -errno; *@alive is the end to keep. */
static pid_t own_pids_start_first(int *alive)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		fd_close(&ends[1]);
		own_pids_be_first(ends[0]);
	}
	fd_close(&ends[0]);
	*alive = ends[1];
	return pid < 0 ? -errno : pid;
}

/* ---- the VM, and who waits for it ---- */

/* Inside a namespace all groups of outside are 0, the terminal's among them. */
static bool in_background(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group > 0 && group != getpgrp();
}

static void hold_signals(sigset_t *held, sigset_t *before)
{
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, no status would be left */
	(void)sigemptyset(held);
	(void)sigaddset(held, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		(void)sigaddset(held, passed_on[i]);
	(void)sigprocmask(SIG_BLOCK, held, before);
}

/* Return: the VM's status. */
static int wait_for(pid_t vm, const sigset_t *held)
{
	siginfo_t info;
	int status;

	for (;;) {
		int sig;
		pid_t pid = waitpid(vm, &status, WNOHANG);

		if (pid == vm || (pid < 0 && errno != EINTR))
			return pid == vm ? status : 0x100;
		sig = sigwaitinfo(held, &info);
		if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
			(void)kill(vm, sig);
	}
}

/* As the VM has ended. Return: the exit code. */
static int end_as(int status, const sigset_t *before)
{
	const struct rlimit no_core = {0};
	int sig;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	sig = WTERMSIG(status);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(sig, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, before, NULL);
	(void)raise(sig);
	return 128 + sig;
}

int own_pids_enter(int *code, struct err *err)
{
	bool background = in_background();
	cleanup_fd int alive = -1;
	sigset_t held, before;
	pid_t first, vm;
	int r = make_namespace();

	if (r < 0)
		return err_set(err, r, "this host gives no PID namespace: %s",
			       err_name(r));
	hold_signals(&held, &before);
	first = own_pids_start_first(&alive);
	vm = first < 0 ? -1 : fork();
	if (vm == 0) {
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		if (background)
			(void)setpgid(0, 0);
		return 1;
	}
	if (vm < 0) {
		r = first < 0 ? first : -errno;
		return err_set(err, r, "Cannot start a process: %s",
			       err_name(r));
	}
	r = wait_for(vm, &held);
	fd_close(&alive);
	(void)waitpid(first, NULL, 0);
	*code = end_as(r, &before);
	return 0;
}
