/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_child.h - one deed in a child that has locked itself as a VM does
 *
 * The child takes the stages of sandbox/stage.h, on its first thread or on one
 * that it starts, and then does something. What became of it is its end.
 */
#pragma once

#include "sandbox/landlock.h"
#include "sandbox/stage.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a child ended; an errno is itself. */
enum fate {
	FATE_DONE = 0,      /* it was allowed */
	FATE_TRAPPED = 148, /* by SIGSYS, to a handler that could name it */
	FATE_KILLED = 1000, /* by SIGSYS */
	FATE_OTHER = 1001,
};

/**
 * struct child - who does what
 * @thread:	whose filter; SANDBOX_NR_THREADS: none, Landlock alone
 * @abi:	of Landlock; 0: none
 * @has_not:	of enum sandbox_has; the VM has the others
 * @isolate:	in namespaces of its own
 * @user:	who does it; 0: whoever runs the test
 * @deed:	returns 0 or an errno
 */
struct child {
	enum sandbox_thread thread;
	unsigned int abi;
	unsigned int has_not;
	bool isolate;
	uid_t user;
	int (*deed)(const void *what);
	const void *what;
};

/* In the child: there is no runner to tell. */
static inline void must(bool right)
{
	if (!right)
		_exit(98);
}

static inline void child_trapped(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	/* Not by a kill() of somebody's, and told by the right thread. */
	_exit(info->si_code == 1 ? FATE_TRAPPED : 99);
}

static inline void *child_main(void *arg)
{
	const struct child *c = arg;
	struct sandbox s = {
		.mode = SANDBOX_STRICT,
		.abi = c->abi,
		.has_seccomp = true,
		.isolate = c->isolate,
		.has = SANDBOX_HAS_ALL & ~c->has_not,
	};
	struct err err;

	if (c->user)
		must(setresgid(c->user, c->user, c->user) == 0 &&
		     setresuid(c->user, c->user, c->user) == 0);
	must(sandbox_lock(&s, &err) == 0);
	if (c->thread != SANDBOX_NR_THREADS)
		must(sandbox_thread(&s, c->thread) == 0);
	syscall(SYS_exit_group, c->deed(c->what));
	return NULL;
}

static inline void child_run(const struct child *c)
{
	struct sigaction action = {
		.sa_sigaction = child_trapped,
		.sa_flags = SA_SIGINFO,
	};
	union {
		const struct child *from;
		void *to;
	} cast = {.from = c};
	pthread_t thread;

	(void)sigaction(SIGSYS, &action, NULL);
	if (c->thread == SANDBOX_VCPU || c->thread == SANDBOX_PAGER) {
		must(pthread_create(&thread, NULL, child_main, cast.to) == 0);
		for (;;)
			(void)pause();
	}
	(void)child_main(cast.to);
}

static inline int child_fate(const struct child *c)
{
	pid_t pid = fork();
	int status;

	must(pid >= 0);
	if (pid == 0)
		child_run(c);
	must(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return WTERMSIG(status) == SIGSYS ? FATE_KILLED : FATE_OTHER;
}
