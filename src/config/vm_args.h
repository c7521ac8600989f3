/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_args.h - options that volt-vmm and a command of `volt` both take
 *
 * `volt run` and `volt restore` become volt-vmm: what these options are called,
 * take and do stands here, once. The last argument has the rest: the offset in
 * the program's own struct, what it forbids.
 */
#pragma once

#include "base/args.h"
#include "config/limits.h"
#include "config/words.h"

/* The name of volt-vmm's other half in a list of processes (gate/gate.h). */
#define VM_GATE_NAME "fc_api"

#define VM_ARG_KERNEL(...)                                        \
	{                                                         \
		.name = "kernel",                                 \
		.kind = ARG_TEXT,                                 \
		.value = "FILE",                                  \
		.help = "kernel to boot: ELF vmlinux or bzImage", \
		__VA_ARGS__,                                      \
	}
#define VM_ARG_INITRD(...)                  \
	{                                   \
		.name = "initrd",           \
		.kind = ARG_TEXT,           \
		.value = "FILE",            \
		.help = "initial RAM disk", \
		__VA_ARGS__,                \
	}
#define VM_ARG_CMDLINE(DEFAULT, ...)                   \
	{                                              \
		.name = "cmdline",                     \
		.kind = ARG_TEXT,                      \
		.value = "TEXT",                       \
		.help = "kernel command line" DEFAULT, \
		__VA_ARGS__,                           \
	}
#define VM_ARG_CPUS(...)                                     \
	{                                                    \
		.name = "cpus",                              \
		.kind = ARG_NUMBER,                          \
		.value = "N",                                \
		.min = 1,                                    \
		.max = CONFIG_VCPUS_MAX,                     \
		.help = "number of CPUs, 1 to " CONFIG_TEXT( \
			CONFIG_VCPUS_MAX) " (default 1)",    \
		__VA_ARGS__,                                 \
	}
#define VM_ARG_MEMORY(DEFAULT, ...)                                       \
	{                                                                 \
		.name = "memory",                                         \
		.kind = ARG_SIZE,                                         \
		.value = "SIZE",                                          \
		.help = "guest memory in MiB, or with a unit: 512M, 2G; " \
			"16 or more (default " DEFAULT ")",               \
		__VA_ARGS__,                                              \
	}
#define VM_ARG_HOTPLUG(...)                                             \
	{                                                               \
		.name = "hotplug-memory",                               \
		.kind = ARG_SIZE,                                       \
		.value = "SIZE",                                        \
		.help = "so much more memory may be plugged while the " \
			"guest runs, by PATCH /hotplug/memory of the "  \
			"API: a multiple of 128M",                      \
		__VA_ARGS__,                                            \
	}
#define VM_ARG_DISK(MORE, ...)                                             \
	{                                                                  \
		.name = "disk",                                            \
		.kind = ARG_LIST,                                          \
		.value = CONFIG_DISK_WORDS(CONFIG_WORD_USAGE),             \
		.help = "raw image or block device; without --initrd the " \
			"first one is the root file system; may be given " \
			"several times" MORE,                              \
		__VA_ARGS__,                                               \
	}
#define VM_ARG_PMEM(MORE, ...)                                               \
	{                                                                    \
		.name = "pmem",                                              \
		.kind = ARG_LIST,                                            \
		.value = CONFIG_PMEM_WORDS(CONFIG_WORD_USAGE),               \
		.help = "a file as memory of the guest, which its kernel "   \
			"sees as /dev/pmem0 (virtio-pmem); root: it is the " \
			"root file system; may be given several times" MORE, \
		__VA_ARGS__,                                                 \
	}
#define VM_ARG_NET(MORE, ...)                                                 \
	{                                                                     \
		.name = "net",                                                \
		.kind = ARG_LIST,                                             \
		.value = CONFIG_NET_WORDS(CONFIG_WORD_USAGE),                 \
		.help = "network interface on a tap that `volt net add` "     \
			"made; vhost: the host kernel moves the frames; may " \
			"be given several times" MORE,                        \
		__VA_ARGS__,                                                  \
	}
#define VM_ARG_VSOCK(MORE, ...)                                        \
	{                                                              \
		.name = "vsock",                                       \
		.kind = ARG_TEXT,                                      \
		.value = CONFIG_VSOCK_WORDS(CONFIG_WORD_USAGE),        \
		.help = "sockets between guest and host; cid is 3 or " \
			"more (default 3)" MORE,                       \
		__VA_ARGS__,                                           \
	}
/* A year, so that no sum of nanoseconds overflows. */
#define VM_TIMEOUT_MAX 31536000

#define VM_ARG_TIMEOUT(...)                                                  \
	{                                                                    \
		.name = "timeout",                                           \
		.kind = ARG_NUMBER,                                          \
		.value = "SECONDS",                                          \
		.min = 1,                                                    \
		.max = VM_TIMEOUT_MAX,                                       \
		.help = "end the VM after that time, whatever it does; the " \
			"exit code is 166 then",                             \
		__VA_ARGS__,                                                 \
	}
#define VM_ARG_OVERLAY(...)                                                  \
	{                                                                    \
		.name = "overlay",                                           \
		.kind = ARG_TEXT,                                            \
		.value = "DIR",                                              \
		.help = "the guest writes to copies of its drives: files "   \
			"without a name in DIR, which end with the VM; the " \
			"drives themselves stay as they are",                \
		__VA_ARGS__,                                                 \
	}
#define VM_ARG_PAUSED(...)                                     \
	{                                                      \
		.name = "paused",                              \
		.kind = ARG_FLAG,                              \
		.help = "the restored VM waits for PATCH /vm", \
		__VA_ARGS__,                                   \
	}
#define VM_ARG_SNAPSHOT_MEMORY(...)                                       \
	{                                                                 \
		.name = "snapshot-memory",                                \
		.kind = ARG_TEXT,                                         \
		.value = "FILE",                                          \
		.help = "the memory of a snapshot that the API made in "  \
			"two files; --restore then names the state file", \
		__VA_ARGS__,                                              \
	}
#define VM_ARG_CLOCK(...)                                                \
	{                                                                \
		.name = "clock",                                         \
		.kind = ARG_CHOICE,                                      \
		.value = "snapshot|realtime",                            \
		ARG_CHOICES("snapshot", "realtime"),                     \
		.help = "the restored guest's clock goes on where it "   \
			"stood (default), or the time between is added", \
		__VA_ARGS__,                                             \
	}
/* @FILE: of the host's own mode. */
#define VM_ARG_SANDBOX(FILE, ...)                                                  \
	{                                                                          \
		.name = "sandbox",                                                 \
		.kind = ARG_CHOICE,                                                \
		.value = "strict|best-effort|off",                                 \
		ARG_CHOICES("strict", "best-effort", "off"),                       \
		.help = "lock the process before the guest runs: strict "          \
			"refuses to start where the host cannot, "                 \
			"best-effort does what it can and says what is "           \
			"missing, off locks nothing (default strict, unless " FILE \
			" says else)",                                             \
		__VA_ARGS__,                                                       \
	}
#define VM_ARG_SANDBOX_MIN_ABI(...)                               \
	{                                                         \
		.name = "sandbox-min-abi",                        \
		.kind = ARG_NUMBER,                               \
		.value = "N",                                     \
		.min = 1,                                         \
		.max = 99,                                        \
		.help = "the least ABI version of Landlock that " \
			"--sandbox strict takes (default 1)",     \
		__VA_ARGS__,                                      \
	}
#define VM_ARG_ISOLATE(...)                                                  \
	{                                                                    \
		.name = "isolate",                                           \
		.kind = ARG_FLAG,                                            \
		.help = "when the process locks itself it also moves into "  \
			"namespaces of its own, without root: no file, no "  \
			"network interface but lo, no IPC object is there, " \
			"and no capability. What is open already works on, " \
			"taps among it. Costs about a millisecond",          \
		__VA_ARGS__,                                                 \
	}
