/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.h - processes: start one as its owner, look at it, hear how it ended
 *
 * Theory of operation
 *
 * A member shall outlive this daemon and never be lost by it. So it has no
 * parent-death signal and a session of its own, and it runs nothing before its
 * record is written, which it does itself. When the daemon is killed
 * meanwhile, the child ends.
 *
 * Between clone and exec a child of the daemon's own user shares all memory
 * with it, and it stands still (CLONE_VM, CLONE_VFORK): nothing is copied for
 * a process that is about to become another one, neither then nor by the
 * faults of the daemon afterwards. One of another user has a copy, and the
 * daemon goes on: that user may stop the child as soon as it is his.
 *
 * A pid is believed only together with the time at which its process started,
 * or behind a pidfd.
 *
 * A child's exit status comes from waitid(). A daemon that was started again is
 * not its members' parent: for those the kernel keeps the status with the pidfd
 * (PIDFD_GET_INFO, Linux 6.15), from when the parent has reaped them.
 *
 * proc(5), pidfd_open(2), clone(2).
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/**
 * struct proc_as - as whom a process runs
 * @same:	as this one; the others are not looked at
 */
struct proc_as {
	bool same;
	uid_t uid;
	gid_t gid;
	const uint32_t *groups;
	size_t nr_groups;
};

/**
 * struct proc_new - a process to start
 * @argv:	argv[0] is the program's path
 * @null:	its standard input and output; @log: its standard error
 * @as:		whose it is
 * @before:	called in the child, in this process's memory or a copy: keep a
 *		record of @pid. Return: 0; -errno: it runs nothing
 * @pid:	out
 */
struct proc_new {
	char *const *argv;
	int null;
	int log;
	struct proc_as as;
	int (*before)(void *ctx, pid_t pid);
	void *ctx;
	pid_t pid;
};

/**
 * proc_start() - start it
 *
 * What fails in the child is a line of @p->log. It is this call's error, too,
 * where the child shares our memory.
 *
 * One thread only. Return: its pidfd, or -errno with a sentence; then there is
 * no process.
 */
int proc_start(struct proc_new *p, struct err *err) __must_check;

/* In ticks since boot; 0 when there is no such process. */
uint64_t proc_start_time(pid_t pid);

/* CPU time that its threads have taken, in ns; 0: cannot be told. */
uint64_t proc_cpu_ns(pid_t pid);

/* Private and shared memory of one process, added to the sums. */
void proc_memory(pid_t pid, uint64_t *private_kib, uint64_t *shared_kib);

/* The only child of @pid, a VM's other half. Return: 0: there is none. */
pid_t proc_child(pid_t pid);

/* A pidfd of @pid if it started at @start. Return: a descriptor; -ESRCH, or
 * -errno. */
int proc_open(pid_t pid, uint64_t start) __must_check;

void proc_kill(int pidfd, int sig);

enum proc_end {
	PROC_RUNS,
	PROC_ENDED,   /* @status says how, as of waitpid() */
	PROC_UNKNOWN, /* it has ended, and nobody can tell how */
	PROC_LATER,   /* it has ended; its parent has yet to reap it */
};

/* How it ended; reaps it when it is a @child. */
enum proc_end proc_end_of(int pidfd, bool child, int *status);
