/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.h - processes: start one as its owner, look at it, hear how it ended
 *
 * Theory of operation
 *
 * A member shall outlive this daemon and never be lost by it. So it has no
 * parent-death signal and a session of its own, and it runs nothing before its
 * record is written: between clone and exec it waits for a byte of a pipe. A
 * daemon that is killed before closes the pipe, and the child is gone.
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
 * struct proc_new - a process that waits for its go
 * @go:		the pipe's end to write
 */
struct proc_new {
	pid_t pid;
	int pidfd;
	int go;
};

/**
 * proc_start() - make a process that waits
 * @argv:	argv[0] is the program's path
 * @out:	its standard output; @log: its standard error; 0 is /dev/null
 *
 * Return: 0 or -errno with a sentence.
 */
int proc_start(struct proc_new *p, char *const *argv, const struct proc_as *as,
	       int null, int log, struct err *err) __must_check;

/* Let it run its program. */
void proc_go(struct proc_new *p);

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
