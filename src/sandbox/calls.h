/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.h - the one table of system calls that a locked Volt may make
 *
 * Theory of operation
 *
 * A row of sandbox_calls[] (calls.c) allows one call on some threads, with a
 * reason, and only with arguments that pass its tests. Rows of the same call
 * are alternatives. sandbox_killed[] names the calls that nobody makes by
 * accident: opening, reaching, starting something. brk() alone does nothing:
 * each C library tries it first, and takes the memory by mmap() then.
 *
 * What becomes of a call:
 *
 *   - a row matches: SECCOMP_RET_ALLOW.
 *   - brk: SECCOMP_RET_ERRNO, with 0: the break is where it was.
 *   - of a killed family, of x32, of i386: SECCOMP_RET_KILL_PROCESS.
 *   - any other: SECCOMP_RET_TRAP with the thread's number as data: the handler
 *     of SIGSYS names call and thread.
 *
 * A sanitizer's build lets everything through that is not of a killed family:
 * its run-time makes what calls it likes, and its report is worth more there.
 *
 * compile.c makes a BPF program of the rows of a thread; the build runs it
 * (make_filters.c) and only its result is in volt-vmm. The documents' table
 * and the tests read the rows themselves.
 *
 * A row may be for what not every VM has (enum sandbox_has): the others'
 * filters are loaded without it. The build lists such instructions, and those
 * that get the loader's own ids.
 *
 * A test looks at the low 32 bits of an argument. That is exact: each argument
 * that a row tests is an int to the kernel, or a set of flags below bit 32.
 */
#pragma once

#include "base/bits.h"

#include <linux/filter.h>

enum sandbox_thread {
	SANDBOX_VMM,
	SANDBOX_VCPU,
	SANDBOX_PAGER, /* watches the handler of userfaultfd */
	SANDBOX_GATE,
	SANDBOX_GATE_EARLY, /* of a VM that waits, until the guest runs */
	SANDBOX_NR_THREADS,
};

/* The filters differ by what the C library does by itself. */
enum sandbox_build {
	SANDBOX_MUSL,
	SANDBOX_GLIBC,
	SANDBOX_SANITIZED, /* reports and symbols; compiled out of releases */
	SANDBOX_NR_BUILDS,
};

#define SANDBOX_ON(x) (1u << (x)) /* of both enums */

/* What a VM may have; bits. */
enum sandbox_has {
	SANDBOX_HAS_TAP = 1 << 0,
	SANDBOX_HAS_VHOST = 1 << 1,
	SANDBOX_HAS_TTY = 1 << 2,    /* a terminal is its console */
	SANDBOX_HAS_RING = 1 << 3,   /* dirty pages are in rings */
	SANDBOX_HAS_MEMORY = 1 << 4, /* memory is plugged while it runs */
};

#define SANDBOX_HAS_ALL                                          \
	(SANDBOX_HAS_TAP | SANDBOX_HAS_VHOST | SANDBOX_HAS_TTY | \
	 SANDBOX_HAS_RING | SANDBOX_HAS_MEMORY)

#define SANDBOX_TESTS_MAX  3
#define SANDBOX_FILTER_MAX 400

/* Values that are put in when a filter is loaded; no test has them else. */
#define SANDBOX_OWN_PID 0x70696421u
#define SANDBOX_OWN_TID 0x74696421u

enum sandbox_op {
	SANDBOX_NO_TEST, /* the row has no more tests */
	SANDBOX_IS,      /* the argument is the value */
	SANDBOX_NONE_OF, /* no bit of the value is set in it */
};

struct sandbox_test {
	uint8_t op;
	uint8_t arg;
	uint32_t value;
};

/**
 * struct sandbox_call - one row
 * @threads:	SANDBOX_ON(enum sandbox_thread) of those that may
 * @builds:	SANDBOX_ON(enum sandbox_build) of those that need it
 * @name:	of the call
 * @test:	all must pass
 * @shown:	the tests, as the source writes them; "" for none
 * @why:	the reason
 * @has:	enum sandbox_has of the VMs that need it; 0: all. Such a row
 *		compares one argument with a value that no other row has
 */
struct sandbox_call {
	unsigned int threads;
	unsigned int builds;
	unsigned int nr;
	const char *name;
	struct sandbox_test test[SANDBOX_TESTS_MAX];
	const char *shown;
	const char *why;
	unsigned int has;
};

/**
 * struct sandbox_kill - a call that kills
 * @threads:	those that may not, as above
 */
struct sandbox_kill {
	unsigned int threads;
	unsigned int nr;
	const char *name;
	const char *family;
};

extern const struct sandbox_call sandbox_calls[];
extern const size_t sandbox_nr_calls;
extern const struct sandbox_kill sandbox_killed[];
extern const size_t sandbox_nr_killed;

/* "vmm", "vcpu", "pager", "gate", "early". */
const char *sandbox_thread_name(enum sandbox_thread thread);

/* How many different calls @threads may make together in @build. */
unsigned int sandbox_count_calls(unsigned int threads,
				 enum sandbox_build build);

/**
 * sandbox_compile() - the BPF program of @thread in @build
 *
 * Return: its length, or -E2BIG.
 */
int sandbox_compile(enum sandbox_thread thread, enum sandbox_build build,
		    struct sock_filter out[static SANDBOX_FILTER_MAX])
	__must_check;

/**
 * sandbox_compile_late() - from SANDBOX_GATE_EARLY to SANDBOX_GATE
 *
 * A program for a thread that has the first filter. Both together do what both
 * filters would, but this one knows only the few calls in which they differ:
 * it is loaded while a guest waits, and loading takes as long as a filter is.
 *
 * Return: its length, or -E2BIG.
 */
int sandbox_compile_late(enum sandbox_build build,
			 struct sock_filter out[static SANDBOX_FILTER_MAX])
	__must_check;
