/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.h - from the jailer's process to the program in the jail
 *
 * Theory of operation
 *
 * Without --daemonize and --new-pid-ns the process becomes the program: its
 * number, its parent, its exit code. Else other processes come between:
 *
 *   started by the client ---fork, setsid, fork---> daemon       (--daemonize)
 *   one of those ----- fork in a PID namespace ---> process 1    (--new-pid-ns)
 *
 * The process that was started then waits until the program runs, so that its
 * exit code tells whether it does: all others hold the write end of a pipe,
 * which execve() closes, and who fails first writes his sentence into it. The
 * pid file is there and the jail is given away before the program starts.
 *
 * Limits come last, for the jailer itself must be able to work under none.
 */
#pragma once

#include "jailer/plan.h"
#include "jailer/root.h"

/**
 * struct start_clock - readings at the start of the jailer, microseconds
 * @monotonic_us:	CLOCK_MONOTONIC
 */
struct start_clock {
	uint64_t monotonic_us;
};

/**
 * start_program() - run the program in the jail that was entered
 * @null:	/dev/null; -1 unless @plan->daemonize
 * @proc:	/proc, O_PATH
 *
 * Return: in the process that was started: 0 when the program runs in another
 * process, or -errno with a sentence. All others do not return.
 */
int start_program(const struct plan *plan, struct root *root,
		  const struct start_clock *clock, int null, int proc,
		  struct err *err) __must_check;
