// SPDX-License-Identifier: Apache-2.0
/*
 * calls.c - which thread may make which system call, and why (theory: calls.h)
 *
 * Two conventions keep the list short. Where two calls do the same, one is used
 * throughout: preadv2 for pread64, pwritev2 for pwritev and pwrite64, sendmsg
 * for sendto, fstat for newfstatat. And what can be made before the lock is.
 *
 * The guest process is the first three threads. The gate runs no guest and
 * opens what a client names; that of a process that waits for its VM may
 * besides, until the guest runs, make what a configuration, a snapshot or a
 * lease names, and load the gate's filter.
 */
#include "sandbox/calls.h"

#include <asm/ioctls.h>
#include <asm/unistd_64.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <linux/vhost.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Newer than the headers of Debian 12. */
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, 96)
#endif

#define V             SANDBOX_ON(SANDBOX_VMM)
#define C             SANDBOX_ON(SANDBOX_VCPU)
#define P             SANDBOX_ON(SANDBOX_PAGER)
#define E             SANDBOX_ON(SANDBOX_GATE_EARLY)
#define LATE          SANDBOX_ON(SANDBOX_GATE)
#define G             (LATE | E)

#define MUSL          SANDBOX_ON(SANDBOX_MUSL)
#define GLIBC         SANDBOX_ON(SANDBOX_GLIBC)
#define ANY           (MUSL | GLIBC | SANDBOX_ON(SANDBOX_SANITIZED))

#define IS(n, v)      {SANDBOX_IS, n, (uint32_t)(v)}
#define NONE_OF(n, v) {SANDBOX_NONE_OF, n, (uint32_t)(v)}
#define OWN_PID(n)    {SANDBOX_IS, n, SANDBOX_OWN_PID}
#define OWN_TID(n)    {SANDBOX_IS, n, SANDBOX_OWN_TID}

/* A call with any arguments; for one C library only; with tested arguments. */
#define ALLOW(threads, call, why) \
	{threads, ANY, __NR_##call, #call, {{0}}, "", why, 0}
#define ALLOW_FOR(threads, build, call, why) \
	{threads, build, __NR_##call, #call, {{0}}, "", why, 0}
#define ONLY(threads, call, why, ...) \
	{threads, ANY, __NR_##call, #call, {__VA_ARGS__}, #__VA_ARGS__, why, 0}
#define ONLY_FOR(threads, build, call, why, ...)          \
	{threads,       build,        __NR_##call, #call, \
	 {__VA_ARGS__}, #__VA_ARGS__, why,         0}
#define IOCTL(threads, request, why) \
	{threads, ANY, __NR_ioctl, "ioctl", {IS(1, request)}, #request, why, 0}
#define IOCTL_FOR(threads, build, request, why)           \
	{threads,          build,    __NR_ioctl, "ioctl", \
	 {IS(1, request)}, #request, why,        0}
#define IOCTL_OF(threads, has, request, why)              \
	{threads,          ANY,      __NR_ioctl, "ioctl", \
	 {IS(1, request)}, #request, why,        SANDBOX_HAS_##has}

/* clang-format off */
const struct sandbox_call sandbox_calls[] = {
	/* What the guest waits for comes first. */
	IOCTL(C,     KVM_RUN, "run the guest"),
	IOCTL(V | C, KVM_SIGNAL_MSI, "a device interrupts, split irqchip"),
	IOCTL(V | C, KVM_IRQ_LINE, "a device interrupts, full irqchip"),
	IOCTL(V | C, KVM_SET_GSI_ROUTING, "the guest programs an IOAPIC pin"),
	IOCTL(V | C, KVM_IOEVENTFD, "kicks of a queue come to the VMM thread"),
	IOCTL(V,     KVM_IRQFD, "a device is taken apart"),
	IOCTL_OF(V, MEMORY, KVM_SET_USER_MEMORY_REGION, "memory is plugged, or unplugged"),

	/* A paused VM is saved. */
	IOCTL(V, KVM_GET_REGS, "vCPU state; of a fault that ended the VM, too"),
	IOCTL(V, KVM_GET_SREGS, "the same"),
	IOCTL(V, KVM_GET_FPU, "vCPU state"),
	IOCTL(V, KVM_GET_XSAVE, "vCPU state"),
	IOCTL(V, KVM_GET_XSAVE2, "vCPU state"),
	IOCTL(V, KVM_GET_XCRS, "vCPU state"),
	IOCTL(V, KVM_GET_DEBUGREGS, "vCPU state"),
	IOCTL(V, KVM_GET_LAPIC, "vCPU state"),
	IOCTL(V, KVM_GET_MP_STATE, "vCPU state"),
	IOCTL(V, KVM_GET_VCPU_EVENTS, "vCPU state"),
	IOCTL(V, KVM_GET_CPUID2, "vCPU state"),
	IOCTL(V, KVM_GET_MSRS, "vCPU state"),
	IOCTL(V, KVM_CHECK_EXTENSION, "what of a vCPU's state there is"),
	IOCTL(V, KVM_GET_MSR_INDEX_LIST, "which MSRs there are to save"),
	IOCTL(V, KVM_GET_TSC_KHZ, "vCPU state"),
	IOCTL(V, KVM_TRANSLATE, "where the guest's stack is, for a proof"),
	IOCTL(V, KVM_KVMCLOCK_CTRL, "tell the guest that it was paused"),
	IOCTL(V, KVM_GET_CLOCK, "VM state"),
	IOCTL(V, KVM_GET_IRQCHIP, "VM state, full irqchip"),
	IOCTL(V, KVM_GET_PIT2, "VM state, full irqchip"),
	IOCTL(V, PAGEMAP_SCAN, "which pages the guest has touched"),
	IOCTL(V, KVM_GET_DIRTY_LOG, "pages written since the last snapshot"),
	IOCTL_OF(V | C, RING, KVM_RESET_DIRTY_RINGS, "the same; a vCPU's ring is full"),

	/* Devices. */
	IOCTL_OF(V | C, TAP, TUNSETOFFLOAD, "offloads that the guest's driver takes"),
	IOCTL(V, BLKDISCARD, "the guest discards blocks of a block device"),
	IOCTL(V, BLKGETSIZE64, "size of a drive's new block device"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_OWNER, "a driver starts one, with --isolate"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_FEATURES, "a driver starts a vhost interface"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_MEM_TABLE, "the same"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_VRING_NUM, "the same"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_VRING_BASE, "the same"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_VRING_ADDR, "the same"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_VRING_KICK, "the same"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_VRING_CALL, "the same"),
	IOCTL_OF(V | C, VHOST, VHOST_SET_VRING_ERR, "the same"),
	IOCTL_OF(V | C, VHOST, VHOST_NET_SET_BACKEND, "start and stop of such an interface"),
	IOCTL_OF(V | C, VHOST, VHOST_GET_VRING_BASE, "where it stopped"),
	IOCTL(V | P, UFFDIO_UNREGISTER, "a handler that is gone lets the VM go"),
	IOCTL_OF(V | C, TTY, TCSETS, "the terminal is as before at the end"),
	IOCTL(P, TCSETS, "the same"),
	IOCTL_FOR(V | C | P, GLIBC, TCGETS, "... as glibc looks whether it is"),

	/* Bytes. */
	ALLOW(V | C | P | G, read, "events, sockets, files"),
	ALLOW(V | C | P | G, write, "wake another thread; the log"),
	ALLOW(V | G, preadv2, "a drive, a memory file, a frame of a tap"),
	ALLOW(V | C | P, pwritev2, "the same, out; a line for a shared terminal"),
	ALLOW(V | C, io_uring_enter, "requests of a drive that runs asynchronously"),
	ALLOW(V, fdatasync, "a flush of the guest's; a snapshot is on disk"),
	ALLOW(V, fallocate, "the guest discards or zeroes blocks"),
	ALLOW(V | G, lseek, "size of a drive; where a memory file has data"),
	ALLOW(V, copy_file_range, "pages of a memory file that nobody changed"),
	ALLOW(V | C | P | G, fstat, "size of a drive; which file was truncated"),
	ALLOW(V | C | P | G, sendmsg, "answers, vsock; a descriptor for the other half"),
	ALLOW(V | G, recvmsg, "requests; a descriptor that was opened for us"),
	ALLOW(V | G, accept4, "a client, a vsock peer"),
	ALLOW(V | C | G, shutdown, "one side of a connection is done"),
	ALLOW(V | C | G, close, "a connection ends, a drive is replaced"),
	ONLY(V, fcntl, "a drive's lock", IS(1, F_OFD_SETLK)),

	/* Waiting. */
	ALLOW(V | G, epoll_pwait2, "the loop"),
	ALLOW(V | C | G, epoll_ctl, "what it waits for"),
	ALLOW(V | C | P, poll, "a drive's ring; a handler; room for a line"),
	ALLOW(V | C | P, futex, "locks; the end of a thread"),
	ALLOW(V | C | P | G, restart_syscall, "a wait goes on after SIGSTOP"),
	ALLOW(V | C | P | G, clock_gettime, "hosts whose clock is no TSC"),

	/* Memory; nothing is ever made executable. */
	ONLY(V | C | P | G, mmap, "buffers, a new snapshot's tables", NONE_OF(2, PROT_EXEC)),
	ALLOW(V | C | P | G, munmap, "the same, at their end; a thread's stack"),
	ONLY(V | C | P | G, mprotect, "the C library's heap grows", NONE_OF(2, PROT_EXEC)),
	ALLOW(V | C | P | G, madvise, "the balloon or an unplug gives pages back; free stacks"),
	ALLOW(V | G, getrandom, "the entropy device; a snapshot's id"),

	/* Signals and ends. */
	ONLY(V, tgkill, "a vCPU leaves the guest; the end by a signal", OWN_PID(0)),
	ONLY(C | P | G, tgkill, "abort()", OWN_PID(0)),
	ONLY_FOR(V | C | P | G, MUSL, tkill, "abort(), raise()", OWN_TID(0)),
	ALLOW_FOR(V | C | P | G, GLIBC, getpid, "abort(), raise()"),
	ALLOW_FOR(V | C | P | G, GLIBC, gettid, "the same"),
	ALLOW(V | C | P | G, rt_sigprocmask, "abort(), the end of a thread"),
	ALLOW(V | C | P, rt_sigreturn, "a signal handler is done"),
	ALLOW(V, wait4, "the gate has ended"),
	ALLOW(C | P, exit, "a thread ends"),
	ALLOW(V | C | P | G, exit_group, "the process ends"),

	/* The gate opens what a request names, and gives snapshots their names. */
	ALLOW(G, landlock_create_ruleset, "--allow: which directories"),
	ALLOW(G, landlock_add_rule, "the same"),
	ALLOW(G, landlock_restrict_self, "the same"),
	ALLOW(G, openat, "files and folders"),
	ALLOW(G, openat2, "the same below those of --allow"),
	ONLY(G, fcntl, "a drive's file blocks from now on", IS(1, F_SETFL)),
	ONLY(G, fcntl, "a snapshot's file stays open here", IS(1, F_DUPFD_CLOEXEC)),
	ONLY_FOR(G, MUSL, fcntl, "the same", IS(1, F_SETFD)),
	ALLOW(G, newfstatat, "what has a name already; not what a link leads to"),
	ALLOW_FOR(G, MUSL, lstat, "the same"),
	ALLOW(G, fstatfs, "a file of the kernel's own is no disk"),
	ALLOW_FOR(G, MUSL, nanosleep, "a block device that somebody has claimed"),
	ALLOW_FOR(G, GLIBC, clock_nanosleep, "the same"),
	ALLOW(G, geteuid, "is what lies at a lock's name ours?"),
	ALLOW(G, flock, "the lock of a snapshot's place"),
	ALLOW(G, mkdirat, "the folder of a snapshot"),
	ALLOW(G, linkat, "a snapshot's files get their names"),
	ALLOW(G, renameat, "the same"),
	ALLOW(G, unlinkat, "what a snapshot that failed leaves"),
	ALLOW(G, unlink, "the files of its sockets, at the end"),
	ALLOW(G, ftruncate, "the notes of a snapshot that was killed"),
	ALLOW(G, fsync, "names and files are on the disk"),
	ALLOW(G, fgetxattr, "whose a memory file is"),
	ALLOW(G, fsetxattr, "the same"),
	ONLY(G, socket, "a peer of the socket device", IS(0, AF_UNIX)),
	ALLOW(G, connect, "the same"),

	/* The same for a VM that is configured or leased behind the lock. */
	ALLOW(E, bind, "the socket device's path"),
	ALLOW(E, listen, "the same"),
	ONLY(E, setsockopt, "how long a handler may take to accept", IS(2, SO_SNDTIMEO)),
	IOCTL(E, TUNSETIFF, "a tap"),
	IOCTL(E, TUNSETVNETHDRSZ, "the same"),
	ONLY(E, seccomp, "what of these calls the gate loses", IS(0, SECCOMP_SET_MODE_FILTER)),
};
/* clang-format on */
const size_t sandbox_nr_calls = ARRAY_SIZE(sandbox_calls);

/* Of all threads; of the guest process, as the gate is there to do it; of all
 * but the early gate. */
#define KILL(call, family) {V | C | P | G, __NR_##call, #call, family}
#define NAME(call, family) {V | C | P, __NR_##call, #call, family}
#define MAKE(call, family) {V | C | P | LATE, __NR_##call, #call, family}

/* Newer than the headers of Debian 12. */
#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif

/* clang-format off */
const struct sandbox_kill sandbox_killed[] = {
	NAME(open, "open"), NAME(openat, "open"), NAME(openat2, "open"),
	NAME(creat, "open"), KILL(open_by_handle_at, "open"),
	KILL(name_to_handle_at, "open"), KILL(memfd_create, "open"),
	KILL(memfd_secret, "open"), KILL(userfaultfd, "open"),
	KILL(fanotify_init, "open"), NAME(mknod, "open"), NAME(mknodat, "open"),
	NAME(symlink, "open"), NAME(symlinkat, "open"), NAME(link, "open"),
	NAME(linkat, "open"), NAME(rename, "open"), NAME(renameat, "open"),
	NAME(renameat2, "open"), NAME(unlink, "open"), NAME(unlinkat, "open"),
	NAME(mkdir, "open"), NAME(mkdirat, "open"), NAME(rmdir, "open"),
	NAME(truncate, "open"),

	NAME(socket, "socket"), KILL(socketpair, "socket"),
	NAME(connect, "connect"), MAKE(bind, "bind"), MAKE(listen, "bind"),

	KILL(execve, "exec"), KILL(execveat, "exec"), KILL(uselib, "exec"),
	KILL(fork, "fork"), KILL(vfork, "fork"), KILL(clone, "fork"),
	KILL(clone3, "fork"),

	KILL(ptrace, "ptrace"), KILL(process_vm_readv, "ptrace"),
	KILL(process_vm_writev, "ptrace"), KILL(pidfd_open, "ptrace"),
	KILL(pidfd_getfd, "ptrace"), KILL(pidfd_send_signal, "ptrace"),
	KILL(process_madvise, "ptrace"), KILL(process_mrelease, "ptrace"),
	KILL(kcmp, "ptrace"), KILL(kill, "ptrace"),
	KILL(perf_event_open, "ptrace"), KILL(bpf, "ptrace"),

	KILL(mount, "mount"), KILL(umount2, "mount"), KILL(pivot_root, "mount"),
	KILL(chroot, "mount"), KILL(open_tree, "mount"),
	KILL(open_tree_attr, "mount"), KILL(move_mount, "mount"),
	KILL(fsopen, "mount"), KILL(fsconfig, "mount"), KILL(fsmount, "mount"),
	KILL(fspick, "mount"), KILL(mount_setattr, "mount"),
	KILL(unshare, "mount"), KILL(setns, "mount"), KILL(swapon, "mount"),

	KILL(io_uring_setup, "io_uring"),
};
/* clang-format on */
const size_t sandbox_nr_killed = ARRAY_SIZE(sandbox_killed);

const char *sandbox_thread_name(enum sandbox_thread thread)
{
	static const char *const names[] = {
		[SANDBOX_VMM] = "vmm",          [SANDBOX_VCPU] = "vcpu",
		[SANDBOX_PAGER] = "pager",      [SANDBOX_GATE] = "gate",
		[SANDBOX_GATE_EARLY] = "early",
	};

	static_assert(ARRAY_SIZE(names) == SANDBOX_NR_THREADS, "name each");
	return names[thread];
}
