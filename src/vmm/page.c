// SPDX-License-Identifier: Apache-2.0
/*
 * page.c - the options of volt-vmm and what is said about them
 */
#include "vmm/page.h"

#include "config/vm_args.h"
#include "vmm/options.h"

enum group {
	GROUP_PEOPLE,
	GROUP_COMPATIBLE,
};

static const char *const groups[] = {
	"Options for people",
	"Firecracker's options",
	NULL,
};

#define NO_EFFECT   "accepted for Firecracker's clients, and without effect: "

#define AT(member)  .offset = offsetof(struct options, member)
#define HAS(member) .has = offsetof(struct options, member)
#define OLD(member) \
	.group = GROUP_COMPATIBLE, .offset = offsetof(struct options, member)

/* clang-format off */
static const struct arg vmm_page_args[] = {
	VM_ARG_KERNEL(AT(kernel)),
	VM_ARG_INITRD(AT(initrd)),
	VM_ARG_CMDLINE("", AT(cmdline)),
	VM_ARG_CPUS(AT(cpus), .forbids = "restore"),
	VM_ARG_MEMORY("128", AT(memory_mib), .forbids = "restore"),
	VM_ARG_HOTPLUG(AT(hotplug_mib), .forbids = "restore"),
	VM_ARG_DISK("; with --restore ID=PATH: another file for a drive of the "
		    "snapshot",
		    AT(disks)),
	VM_ARG_PMEM("", AT(pmems), .forbids = "restore"),
	VM_ARG_NET("; with --restore ID=TAP: another tap", AT(nets)),
	VM_ARG_VSOCK("; with --restore SOCKET: another path", AT(vsock)),
	{"irqchip", "split|full",
	 "full adds the PIC and PIT for guests that need them",
	 .kind = ARG_CHOICE, ARG_CHOICES(CONFIG_IRQCHIPS(CONFIG_NAME)), AT(irqchip),
	 .forbids = "restore"},
	{"entry", "auto|pvh|linux64",
	 "protocol by which an ELF kernel is entered",
	 .kind = ARG_CHOICE, ARG_CHOICES(CONFIG_ENTRIES(CONFIG_NAME)), AT(entry),
	 .forbids = "restore"},
	{"nested", NULL,
	 "offer the guest VMX or SVM, where the host's KVM does, for guests of "
	 "its own; such a VM cannot be saved",
	 .kind = ARG_FLAG, AT(nested), .forbids = "restore"},
	{"restore", "DIR", "go on from the snapshot in a directory",
	 .kind = ARG_TEXT, AT(restore)},
	VM_ARG_SNAPSHOT_MEMORY(AT(snapshot_memory), .needs = "restore"),
	VM_ARG_OVERLAY(AT(overlay), .needs = "restore"),
	{"uffd", "SOCKET",
	 "a process that listens on SOCKET serves the memory by userfaultfd, "
	 "as volt-pager does; with --restore",
	 .kind = ARG_TEXT, .needs = "restore", AT(uffd)},
	{"hot-limit", "MIB",
	 "of the working set beside raw memory at most so much is read ahead, "
	 "as the VM starts; 0: nothing (default: 64)",
	 .kind = ARG_NUMBER, .max = 1u << 20, AT(hot_limit_mib),
	 HAS(has_hot_limit), .needs = "restore"},
	VM_ARG_PAUSED(AT(paused), .needs = "restore"),
	VM_ARG_CLOCK(AT(clock), .needs = "restore"),
	VM_ARG_TIMEOUT(AT(timeout_s)),
	{"snapshot", "DIR",
	 "ask the VMM at --api-sock for a snapshot, and exit",
	 .kind = ARG_TEXT, AT(snapshot)},
	{"track-dirty-pages", NULL,
	 "note which memory the guest writes: diff snapshots hold what changed "
	 "since the last one",
	 .kind = ARG_FLAG, AT(track_dirty_pages)},
	{"dirty-ring", NULL,
	 "KVM's dirty rings tell what the guest writes, not its log",
	 .kind = ARG_FLAG, AT(dirty_ring), .needs = "track-dirty-pages"},
	{"lock-drives", NULL,
	 "refuse a drive whose file another VM or program uses, where the log "
	 "warns else",
	 .kind = ARG_FLAG, AT(lock_drives)},
	VM_ARG_SANDBOX(SANDBOX_HOST_FILE, AT(sandbox), HAS(has_sandbox)),
	VM_ARG_SANDBOX_MIN_ABI(AT(sandbox_min_abi)),
	{"sandbox-first", NULL,
	 "lock the process before the API configures it: from then on its "
	 "other half opens what a request names that configures, starts or "
	 "loads. For processes that wait for their VM",
	 .kind = ARG_FLAG, AT(sandbox_first), .forbids = "seccomp-filter"},
	{"allow", "DIR[:ro]",
	 "open nothing but below this directory of what the API names once "
	 "the guest runs: the file of a drive, the place of a snapshot; with "
	 ":ro only to read. Symbolic links are not followed there; may be "
	 "given several times",
	 .kind = ARG_LIST, AT(allow), .forbids = "seccomp-filter"},
	VM_ARG_ISOLATE(AT(isolate)),
	{"core-sched", NULL,
	 "run nothing else on the other threads of a core while this VM runs "
	 "there; for hosts with SMT, and kernels with core scheduling",
	 .kind = ARG_FLAG, AT(core_sched)},
	{"timing", NULL,
	 "print a timeline of the start to stderr at the end",
	 .kind = ARG_FLAG, AT(timing)},

	{"api-sock", "PATH",
	 "Unix socket of the API (default " OPTIONS_API_SOCK_DEFAULT "; with "
	 "--kernel or --restore: no API)",
	 .kind = ARG_TEXT, OLD(api_sock)},
	{"id", "ID",
	 "name of the microVM: 1 to 64 letters, digits and '-'",
	 .kind = ARG_TEXT, OLD(id)},
	{"config-file", "FILE", "configure from a JSON file, then start",
	 .kind = ARG_TEXT, OLD(config_file)},
	{"no-api", NULL,
	 "no API socket; needs --config-file, --kernel or --restore",
	 .kind = ARG_FLAG, OLD(no_api)},
	{"metadata", "FILE",
	 "JSON file that the guest may read from the metadata service",
	 .kind = ARG_TEXT, OLD(metadata)},
	{"log-path", "PATH", "file or FIFO of the log (default: stderr)",
	 .kind = ARG_TEXT, OLD(log_path)},
	{"level", "LEVEL", "Off, Error, Warning, Info, Debug or Trace",
	 .kind = ARG_TEXT, OLD(level)},
	{"module", "PREFIX", "log only what comes from sources that begin so",
	 .kind = ARG_TEXT, OLD(module)},
	{"show-level", NULL, "put the level into log lines",
	 .kind = ARG_FLAG, OLD(show_level)},
	{"show-log-origin", NULL, "put source file and line into log lines",
	 .kind = ARG_FLAG, OLD(show_log_origin)},
	{"metrics-path", "PATH", "file or FIFO of the metrics",
	 .kind = ARG_TEXT, OLD(metrics_path)},
	{"boot-timer", NULL,
	 "log the time at which the guest says that it is up",
	 .kind = ARG_FLAG, OLD(boot_timer)},
	{"seccomp-filter", "FILE",
	 "load these seccomp filters, which Firecracker's compiler made, and "
	 "not Volt's",
	 .kind = ARG_TEXT, OLD(seccomp_filter), .forbids = "no-seccomp"},
	{"no-seccomp", NULL, "load no seccomp filters",
	 .kind = ARG_FLAG, OLD(no_seccomp), .forbids = "seccomp-filter"},
	{"http-api-max-payload-size", "BYTES",
	 "largest body of a request (default "
	 CONFIG_TEXT(CONFIG_PAYLOAD_DEFAULT) ")",
	 .kind = ARG_NUMBER, OLD(payload_max)},
	{"mmds-size-limit", "BYTES",
	 "largest document of the metadata service (default: "
	 "--http-api-max-payload-size)",
	 .kind = ARG_NUMBER, OLD(mmds_size_limit), HAS(has_mmds_size_limit)},
	{"enable-pci", NULL, NO_EFFECT "devices are on MMIO",
	 .kind = ARG_FLAG, OLD(enable_pci)},
	{"start-time-us", "US",
	 "from a jailer: start of the process, monotonic clock",
	 .kind = ARG_NUMBER, OLD(start_time_us), HAS(has_start_time_us)},
	{"start-time-cpu-us", "US",
	 "from a jailer: start of the process, its CPU clock",
	 .kind = ARG_NUMBER, OLD(start_time_cpu_us),
	 HAS(has_start_time_cpu_us)},
	{"parent-cpu-time-us", "US", "from a jailer: CPU time of the parent",
	 .kind = ARG_NUMBER, OLD(parent_cpu_time_us)},
	{"snapshot-version", NULL,
	 "print the version of the snapshot format",
	 .kind = ARG_FLAG, OLD(snapshot_version)},
	{"describe-snapshot", "FILE",
	 "check the CRC of a snapshot's state file, and print its format "
	 "version; exit code 1 when it is damaged or none",
	 .kind = ARG_TEXT, OLD(describe_snapshot)},
	{"version", NULL,
	 "print Firecracker's version that the API follows, and Volt's",
	 .kind = ARG_FLAG, OLD(version)},
};
/* clang-format on */

const struct args_page vmm_page = {
	.name = "volt-vmm",
	.summary = "one KVM microVM, with Firecracker's API",
	.usage = "--kernel FILE [OPTIONS]\n"
		 "--restore DIR [OPTIONS]\n"
		 "[--api-sock PATH] [OPTIONS]\n"
		 "--no-api --config-file FILE [OPTIONS]",
	.about = "One process, one microVM: from a kernel or a snapshot named "
		 "here, from a file, or by a client of Firecracker's API, for "
		 "which it waits at a Unix socket. `volt` starts it for "
		 "people.\n"
		 "\n"
		 "It ends when the guest powers off or reboots, on SIGTERM, "
		 "or by Ctrl-A x on the console. The end of its standard "
		 "input ends nothing.\n",
	.args = vmm_page_args,
	.nr_args = ARRAY_SIZE(vmm_page_args),
	.groups = groups,
	.exit = "0 the guest ended it; 1 it did not start; 148 and up: "
		"docs/exit-codes.md. Firecracker's where it has one.",
	.examples = "  volt-vmm --kernel vmlinux --initrd initrd.cpio \\\n"
		    "      --cmdline 'console=ttyS0 reboot=k' --memory 512M "
		    "--cpus 2\n"
		    "  volt-vmm --api-sock /tmp/vm.sock\n"
		    "  curl --unix-socket /tmp/vm.sock "
		    "http://localhost/machine-config\n"
		    "  volt-vmm --no-api --config-file vm.json\n",
	.rest = ARGS_REST_IGNORE,
};
