/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.h - the life of one microVM
 *
 * State machine (names as in GET /):
 *
 *   Not started --start--> Running <--pause/resume--> Paused
 *        ^  (a start that fails leaves it here)
 *
 * Not started: the configuration may change. Running, Paused: it may not.
 * The VM ends once, from any state: vm_end() records the exit code and the
 * reason, stops the vCPUs and quits the loop; whoever calls first wins.
 * All functions but vm_end() belong to the VMM thread.
 */
#pragma once

#include "base/sink.h"
#include "config/config.h"
#include "host/handover.h"
#include "host/loop.h"
#include "image/identity.h"
#include "kvm/ahead.h"
#include "mem/usage.h"
#include "mmds/mmds.h"
#include "pager/served.h"
#include "vm/steps.h"
#include "vm/timeline.h"

enum vm_state {
	VM_NOT_STARTED,
	VM_RUNNING,
	VM_PAUSED,
};

/* Firecracker's exit codes, and ours above its range. */
enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_GENERIC = 1,
	EXIT_CODE_UNEXPECTED = 2,
	EXIT_CODE_BAD_SYSCALL = 148,
	EXIT_CODE_SIGBUS = 149,
	EXIT_CODE_SIGSEGV = 150,
	EXIT_CODE_SIGXFSZ = 151,
	EXIT_CODE_BAD_CONFIG = 152, /* Firecracker's for a bad log level */
	EXIT_CODE_BAD_ARGUMENTS = 153,
	EXIT_CODE_SIGXCPU = 154,
	EXIT_CODE_SIGPIPE = 155,
	EXIT_CODE_SIGHUP = 156,
	EXIT_CODE_SIGILL = 157,
	/* Ours: why a vCPU cannot go on. docs/exit-codes.md explains each. */
	EXIT_CODE_TRIPLE_FAULT = 160,
	EXIT_CODE_INTERNAL_ERROR = 161,
	EXIT_CODE_MMIO_IN_RAM = 162,
	EXIT_CODE_FAIL_ENTRY = 163,
	EXIT_CODE_UNKNOWN = 164,
	EXIT_CODE_RUN_FAILED = 165,
	EXIT_CODE_TIMEOUT = 166,
};

struct machine;
struct metrics;
struct sandbox;

/**
 * struct vm - one microVM, from the start of the process
 * @terminal:	where the person reads, or NULL
 * @output:	the console's, when it was opened before the lock (owned)
 * @metrics:	registry for the devices' counters, or NULL
 * @mmds:	the metadata service: its document may be there before the VM is
 *		configured; @limit is set by whoever owns the VM
 * @machine:	NULL until started
 * @exit_code:	an enum exit_code once it ended, -1 while it lives
 * @base:	the snapshot that a diff of now would differ from; moment 0:
 *		none
 * @mapped:	the moment that the memory was restored to; 0: it was not
 * @handover:	pagemap, smaps and boot id: what a jailer left, which main() may
 *		set after vm_init(), else by vm_look_at_host()
 * @sandbox:	locks the process before the guest runs; NULL: nobody does
 * @lock:	called once, before @sandbox locks; the process opens nothing by
 *		itself from then on. NULL: nobody has to know
 * @locked:	it was called
 * @waits:	it was restored without resume, and has not run since: a lease
 *		may come (lease.h)
 * @leased:	one has come
 * @runs:	called before such a VM runs first. NULL: nobody has to know
 * @meet_vsock:	called by a restore or a configuration file that has a socket
 *		device, before anything of it is opened; NULL: nobody waits for
 *		that
 * @changed:	called after each change of @state; NULL: nobody wants to know
 * @end:	eventfd by which vm_end() reaches the loop
 */
struct vm {
	struct vm_config config;
	struct loop *loop;
	const struct sink *terminal;
	struct sink output;
	struct metrics *metrics;
	struct mmds mmds;
	struct sandbox *sandbox;
	enum vm_state state;
	struct machine *machine;
	_Atomic int exit_code;
	struct loop_source end;
	struct timeline timeline;
	struct steps restore_steps; /* none after a start */
	struct snapshot_identity base;
	uint64_t mapped;
	int (*lock)(struct vm *vm, void *ctx, struct err *err);
	void *lock_ctx;
	bool locked;
	bool waits;
	bool leased;
	int (*runs)(struct vm *vm, void *ctx, struct err *err);
	int (*meet_vsock)(struct vm *vm, struct err *err);
	void (*changed)(struct vm *vm);
	struct handover handover;
	struct kvm_ahead ahead;
};

/* Return: 0 or -errno. */
int vm_init(struct vm *vm, struct loop *loop) __must_check;

/**
 * vm_look_at_host() - open what only a process that is not locked can
 *
 * Our own pagemap, smaps and the host's boot id, kept until vm_fini(). A
 * machine does it when it is made; whoever locks the process before there is
 * one calls this first. May be repeated. Reports nothing; a snapshot without
 * the pagemap logs why.
 */
void vm_look_at_host(struct vm *vm);

/* For the same caller: open what the console writes to, our standard output,
 * into vm->output. Once. */
void vm_open_output(struct vm *vm);

/* For the same caller: open KVM and make a VM, which the first machine takes.
 * Once. */
void vm_make_ahead(struct vm *vm);

/**
 * vm_guest_usage() - whose memory the guest takes (mem/usage.h)
 * @size:	its RAM in bytes
 *
 * Return: 0; -ENOENT before the start; or as usage_of_guest().
 */
int vm_guest_usage(const struct vm *vm, uint64_t *size,
		   struct usage *usage) __must_check;

/**
 * struct vm_changed - what a diff of now would be
 * @since:	the moment that it would differ from; 0: it would be whole
 * @tracked:	dirty pages are tracked
 * @bytes:	of memory that it would hold; only with @since
 */
struct vm_changed {
	uint64_t since;
	bool tracked;
	uint64_t bytes;
};

/**
 * vm_changed() - what a diff would be, without one
 *
 * A VM that tracks pays for it as for a snapshot: a fault at the next write to
 * each page that was written. Return: 0; -ENOENT before the start; -errno.
 */
int vm_changed(struct vm *vm, struct vm_changed *changed) __must_check;

/* Of the process that serves the memory. Return: as pager_usage(); -ENOENT
 * before the start, too. */
int vm_pager_usage(struct vm *vm, struct usage *usage) __must_check;

/* What that process has done so far. Return: as pager_served(); -ENOENT before
 * the start, too. */
int vm_pager_served(struct vm *vm, struct served *served) __must_check;

/* Of all of this process. Return: as usage_of_process(). */
int vm_process_usage(const struct vm *vm, struct usage *usage) __must_check;

/* Stops the vCPUs, flushes the console, frees everything. */
void vm_fini(struct vm *vm);

/**
 * vm_start() - build the machine, load the kernel, run it (InstanceStart)
 *
 * Return: 0, or -errno with a sentence; the VM is then as before the call.
 */
int vm_start(struct vm *vm, struct err *err) __must_check;

/**
 * vm_new_machine() - for a start and a restore: an empty machine of this VM
 *
 * Return: 0 and *@out, the caller's, or -errno with a sentence.
 */
int vm_new_machine(struct vm *vm, struct machine **out,
		   struct err *err) __must_check;

/**
 * vm_run() - for both: lock the process, then start the vCPUs' threads
 * @paused:	they wait
 *
 * All that can fail for the sake of what a client asked for is done before.
 *
 * Return: 0 or -errno with a sentence; a process that is locked by then can
 * only end.
 */
int vm_run(struct vm *vm, bool paused, struct err *err) __must_check;

/* For vm_start() and a restore, behind vm_run(): the VM is there. */
void vm_set_state(struct vm *vm, enum vm_state state);

/* Idempotent; when vm_pause() returns 0 no vCPU executes guest code. Return: 0;
 * with a sentence -EINVAL before the start, -ENOENT when something waits for a
 * lease, -ETIME for a vCPU that does not stop. */
int vm_pause(struct vm *vm, struct err *err) __must_check;
int vm_resume(struct vm *vm, struct err *err) __must_check;

/* Ctrl-Alt-Del through the i8042. Return: 0 or -errno with a sentence. */
int vm_send_ctrl_alt_del(struct vm *vm, struct err *err) __must_check;

/**
 * vm_end() - end the VM with @code; the first call counts
 *
 * Context: any thread.
 */
void vm_end(struct vm *vm, int code);

/* Any thread. */
static inline bool vm_ended(struct vm *vm)
{
	return atomic_load_explicit(&vm->exit_code, memory_order_relaxed) >= 0;
}
