/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bounds.h - what a VM that `volt` starts may take of the host
 *
 * Theory of operation
 *
 * `volt` becomes volt-vmm, so what bounds the VM is put on this process before:
 *
 *   memory, CPU time, processes   a cgroup of the VM's own (vm_cgroup.h)
 *   sizes of files                RLIMIT_FSIZE. A write that goes beyond is an
 *                                 error to whoever wrote; its signal ends
 *                                 nothing (vmm/signals.h)
 *   the console's log             standard output is a pipe, whose other end
 *                                 writes a file and replaces it (console_log.h)
 *
 * The log and the cgroup need somebody who is there when the VM has gone: the
 * keeper (keeper.h), a child of this process from before it becomes volt-vmm.
 * It is in none of the VM's cgroups and under none of its limits, has a session
 * of its own, and of what this process had open only standard error. It ends
 * with the VM, however that ends. If it is killed, console output is discarded,
 * and an empty cgroup stays, which the next VM of that name takes.
 */
#pragma once

#include "cli/vm_cgroup.h"

#include "base/args.h"

/* 1 TiB, which no product of it overflows. */
#define BOUNDS_MIB_MAX  1048576u
#define BOUNDS_LOG_MIB  16
#define BOUNDS_CPU_MAX  100000
#define BOUNDS_PIDS_MAX 1000000

/* Of a page's options, those that volt-vmm does not get; its heading. */
#define BOUNDS_GROUP   1
#define BOUNDS_HEADING "What it may take of the host"

/**
 * struct bounds - the options; 0 and NULL: not given
 * @file_mib, @log_mib: MiB
 * @log:	file of the console
 * @log_temporary: which goes with the VM
 */
struct bounds {
	struct group_bounds group;
	uint64_t file_mib;
	uint64_t log_mib;
	const char *log;
	bool log_temporary;
};

#define BOUNDS_ARG_MEMORY(...)                                              \
	{                                                                   \
		.name = "max-memory",                                       \
		.kind = ARG_SIZE,                                           \
		.value = "SIZE",                                            \
		.help = "memory of the host, by a cgroup: the guest's own " \
			"and 16M or more for Volt; what goes beyond is "    \
			"ended by the kernel",                              \
		.group = BOUNDS_GROUP,                                      \
		__VA_ARGS__,                                                \
	}
#define BOUNDS_ARG_CPU(...)                                               \
	{                                                                 \
		.name = "max-cpu",                                        \
		.kind = ARG_NUMBER,                                       \
		.value = "PERCENT",                                       \
		.min = 1,                                                 \
		.max = BOUNDS_CPU_MAX,                                    \
		.help = "CPU time, by a cgroup: 100 is one CPU, 250 are " \
			"two and a half",                                 \
		.group = BOUNDS_GROUP,                                    \
		__VA_ARGS__,                                              \
	}
#define BOUNDS_ARG_PIDS(...)                                                \
	{                                                                   \
		.name = "max-pids",                                         \
		.kind = ARG_NUMBER,                                         \
		.value = "N",                                               \
		.min = 1,                                                   \
		.max = BOUNDS_PIDS_MAX,                                     \
		.help = "processes and threads, by a cgroup: Volt needs 2 " \
			"and one for each CPU, 2 more with --isolate, and " \
			"more with engine=async",                           \
		.group = BOUNDS_GROUP,                                      \
		__VA_ARGS__,                                                \
	}
#define BOUNDS_ARG_CGROUP(...)                                                \
	{                                                                     \
		.name = "cgroup",                                             \
		.kind = ARG_TEXT,                                             \
		.value = "PATH",                                              \
		.help = "make the VM's cgroup, volt-NAME, below this one, a " \
			"path as /proc/self/cgroup has them (default: below " \
			"that of this process); it is removed at the end",    \
		.group = BOUNDS_GROUP,                                        \
		__VA_ARGS__,                                                  \
	}
#define BOUNDS_ARG_FILE(...)                                                \
	{                                                                   \
		.name = "max-file",                                         \
		.kind = ARG_SIZE,                                           \
		.value = "SIZE",                                            \
		.help = "no file that it writes, disk or snapshot, may be " \
			"larger; the guest gets an I/O error there",        \
		.group = BOUNDS_GROUP,                                      \
		__VA_ARGS__,                                                \
	}
#define BOUNDS_ARG_LOG(...)                                                \
	{                                                                  \
		.name = "console-log",                                     \
		.kind = ARG_TEXT,                                          \
		.value = "FILE",                                           \
		.help = "write the console there instead of the terminal", \
		.group = BOUNDS_GROUP,                                     \
		__VA_ARGS__,                                               \
	}
#define BOUNDS_ARG_LOG_SIZE(...)                                             \
	{                                                                    \
		.name = "console-log-size",                                  \
		.kind = ARG_SIZE,                                            \
		.value = "SIZE",                                             \
		.help = "when FILE has that size it becomes FILE.1, and a "  \
			"new one begins: both together have twice the size " \
			"at most (default 16M)",                             \
		.needs = "console-log",                                      \
		.group = BOUNDS_GROUP,                                       \
		__VA_ARGS__,                                                 \
	}

/* The options together. Return: 0, or -EINVAL with a sentence. */
int bounds_check(const struct bounds *bounds, struct err *err) __must_check;

/**
 * bounds_apply() - put them on this process, which becomes the VM next
 * @name:	of the VM
 *
 * Return: 0, or -errno with a sentence: this process can only end then.
 */
int bounds_apply(const struct bounds *bounds, const char *name,
		 struct err *err) __must_check;
