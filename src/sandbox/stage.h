/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h - how a process locks itself, step by step
 *
 * Theory of operation
 *
 * A guest that takes over this process shall find one that can open, reach and
 * start nothing. The steps, in the order in which main() takes them:
 *
 *   sandbox_early()   Descriptors that a launcher left open are closed, new
 *                     files are the user's own. In every mode.
 *                     After it: no descriptor is open that nobody named.
 *   sandbox_check()   What the host can do is looked up, once. In strict mode
 *                     a host that lacks something ends the start here.
 *   (all that a VM needs is opened, built, or restored)
 *   sandbox_lock()    The process cannot be traced, leaves no core, gains no
 *                     privilege by what it executes, and Landlock denies it
 *                     every path, port and stranger. Below ABI 8 that is the
 *                     calling thread and what it starts later: no other thread
 *                     but the pager runs, and that has locked itself. Where it
 *                     is asked for, paths, ports and strangers are gone besides
 *                     (isolate.h).
 *                     After it: nothing is opened by a path, by anything that
 *                     is opened all the same, or made executable.
 *   (threads are started)
 *   sandbox_thread()  The filter of the calling thread: calls that are not in
 *                     its rows of the table (calls.h) do not happen any more.
 *                     After it: no thread is started.
 *
 * The first guest instruction comes after the last of these. A process that is
 * to wait for its VM (--sandbox-first) takes sandbox_lock() before the step in
 * brackets: what that opens its gate opens for it.
 *
 * Modes. Strict does all of that or refuses to start, and says what the host
 * lacks. Best-effort does what the host can, and tells what it cannot. Off
 * locks nothing. Nothing falls from one to the other by itself. The mode is
 * that of the command line, else that of the host's file, else the default.
 */
#pragma once

#include "base/buf.h"
#include "sandbox/filter_file.h"
#include "sandbox/isolate.h"
#include "sandbox/landlock.h"

/* Host-wide, for schedulers that give only Firecracker's flags. */
#define SANDBOX_HOST_FILE "/etc/volt/sandbox"

/* Descriptors that the command line names; more are refused. */
#define SANDBOX_KEEP_MAX 64

/* Longest phrase of sandbox_gap(), with its end. */
#define SANDBOX_GAP_MAX 160

enum sandbox_mode {
	SANDBOX_STRICT,
	SANDBOX_BEST_EFFORT,
	SANDBOX_OFF,
};

/* Which filters are loaded. */
enum sandbox_filters {
	SANDBOX_FILTERS_OWN,
	SANDBOX_FILTERS_CUSTOM, /* --seccomp-filter */
	SANDBOX_FILTERS_NONE,   /* --no-seccomp */
};

/**
 * struct sandbox - what is asked for, what the host has, what was done
 * @min_abi:	the least of Landlock that strict takes
 * @abi:	of Landlock here, as far as it is known; 0: none
 * @has_seccomp: this kernel has filters
 * @has_gate:	a child is to die with this process: Landlock leaves signals to
 *		seccomp (landlock.h)
 * @isolate:	namespaces are asked for
 * @own_pids:	this is one of the first two of a PID namespace: volt's (2), or
 *		volt-jailer's (1)
 * @isolation:	what became of that; @locked
 * @first:	the process is locked before it is configured
 * @early:	its gate binds sockets and attaches taps until the guest runs,
 *		for what is configured, loaded or leased behind the lock
 * @locked:	sandbox_lock() has been passed
 * @has:	enum sandbox_has of the VM, before its threads have their
 *		filters
 * @custom:	the programs of SANDBOX_FILTERS_CUSTOM
 *
 * Written by the VMM thread before there are others.
 */
struct sandbox {
	enum sandbox_mode mode;
	enum sandbox_filters filters;
	unsigned int min_abi;
	unsigned int abi;
	bool has_seccomp;
	bool has_gate;
	bool isolate;
	bool own_pids;
	bool first;
	bool early;
	bool locked;
	unsigned int has;
	struct isolation isolation;
	struct filter_file custom;
};

/* Is the process locked? @s may be NULL: there is no sandbox. */
static inline bool sandbox_is_locked(const struct sandbox *s)
{
	return s && s->locked;
}

/* Will the process be alone in namespaces of its own? As above. */
static inline bool sandbox_isolates(const struct sandbox *s)
{
	return s && s->isolate && s->mode != SANDBOX_OFF;
}

/* Is it, in all of them? */
bool sandbox_is_isolated(const struct sandbox *s);

/* "strict", "best-effort", "off". */
const char *sandbox_mode_name(enum sandbox_mode mode);

/* "own", "custom" (--seccomp-filter) or "none": the filters that are loaded. */
const char *sandbox_filters_name(const struct sandbox *s);

/**
 * sandbox_read_host() - mode and least ABI of the host's file
 * @path:	SANDBOX_HOST_FILE; when it is not there, nothing changes
 *
 * The file has a line "mode strict|best-effort|off" or "min-abi N", or both;
 * what follows a '#' is a comment.
 *
 * Return: 0, or -errno with a sentence: what the host's administrator wrote and
 * nobody understands is no reason to do as if he had not.
 */
int sandbox_read_host(struct sandbox *s, const char *path,
		      struct err *err) __must_check;

/**
 * sandbox_early() - no descriptors that nobody asked for, no open file modes
 * @argc, @argv: a descriptor that an argument names as /dev/fd/N or
 *		/proc/self/fd/N stays open
 *
 * @own:	two that this process has opened, each may be -1
 *
 * Call it when 0 to 2 are open and nothing else has been opened.
 *
 * Return: 0 or -errno with a sentence.
 */
int sandbox_early(int argc, char **argv, const int own[2],
		  struct err *err) __must_check;

/* What the host has. Return: 0; -EOPNOTSUPP with a sentence in strict mode. */
int sandbox_check(struct sandbox *s, struct err *err) __must_check;

/**
 * sandbox_lock() - lock the process
 * @s:		NULL, here and below: there is no sandbox, as in unit tests
 *
 * What best-effort does without is in the log. With @s->isolate the process has
 * one thread.
 *
 * Return: 0, or -errno with a sentence; the process can only end then.
 */
int sandbox_lock(struct sandbox *s, struct err *err) __must_check;

/* Lock a thread that runs before the process is locked. Return: 0 or -errno. */
int sandbox_lock_thread(const struct sandbox *s) __must_check;

/* The gate, before its first client: no privilege by what it would execute,
 * Landlock, and its filter; with @s->early those of the early gate. Return: 0
 * or -errno. */
int sandbox_gate(const struct sandbox *s) __must_check;

/* The early gate: the guest is about to run, and nothing is bound or made any
 * more. Return: 0 or -errno. */
int sandbox_gate_runs(const struct sandbox *s) __must_check;

/**
 * sandbox_gate_paths() - the gate names nothing more but below some directories
 * @rules:	@nr of them
 *
 * Behind sandbox_gate(), where Landlock is. Return: 0 or -errno.
 */
int sandbox_gate_paths(const struct sandbox *s,
		       const struct landlock_rule *rules,
		       size_t nr) __must_check;

/* The filter of the calling thread. Return: 0 or -errno. */
int sandbox_thread(const struct sandbox *s,
		   enum sandbox_thread thread) __must_check;

/**
 * sandbox_gap() - the @i-th thing that this sandbox does not do
 *
 * Return: its length, 0 behind the last one.
 */
size_t sandbox_gap(const struct sandbox *s, unsigned int i,
		   char text[static SANDBOX_GAP_MAX]);

void sandbox_free(struct sandbox *s);
