/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpus.h - the threads that run the vCPUs, and how to stop them
 *
 * Theory of operation
 *
 * One thread per vCPU loops over KVM_RUN and hands each exit to exits.c. What
 * the VMM thread wants of them is one word, `wanted`, guarded by a lock:
 *
 *   wanted    a thread may                  it leaves by
 *   RUN       be inside KVM_RUN             vcpus_pause(), vcpus_stop()
 *   PAUSE     only wait, parked             vcpus_resume(), vcpus_stop()
 *   STOP      only end                      -
 *
 * No wake-up is lost: the requester writes `wanted` and sets immediate_exit in
 * every vCPU's shared page under the lock, then sends each thread a signal. A
 * thread outside KVM_RUN finds immediate_exit set and comes back with EINTR at
 * once; a thread inside is interrupted by the signal. Only after EINTR does a
 * thread look at `wanted`, so an exit whose I/O is half done (the kernel takes
 * the result at the next KVM_RUN) is always completed before a thread parks: a
 * parked vCPU's registers are whole. immediate_exit is cleared under the lock.
 *
 * A VM that is restored to wait for a lease enters each vCPU ahead: what KVM
 * sets up at the first KVM_RUN is there before somebody waits for it. The
 * thread does so once, before its filter and before it parks.
 */
#pragma once

#include "vm/exits.h"

#include <pthread.h>

#define VCPUS_PAUSE_NS 30000000000ull

struct vcpus;

/**
 * struct vcpu - one vCPU and its thread
 * @started:	the thread exists and must be joined
 * @tid:	of the thread in the kernel; 0 until it says so
 */
struct vcpu {
	struct kvm_vcpu kvm;
	struct vcpus *set;
	pthread_t thread;
	bool started;
	_Atomic int tid;
};

enum vcpus_wanted {
	VCPUS_RUN,
	VCPUS_PAUSE,
	VCPUS_STOP,
};

/**
 * struct vcpus - all vCPUs of a machine
 * @pid:	of this process, which a locked one cannot ask for
 * @ahead:	vCPUs are entered ahead; set before vcpus_start()
 * @lock:	guards wanted, confined, parked and ended
 * @changed:	signalled when one of them changes
 * @confined:	threads that have their seccomp filter
 * @parked:	threads that wait
 * @ended:	threads that left their loop
 */
struct vcpus {
	struct exits *exits;
	unsigned int nr;
	struct vcpu vcpu[CONFIG_VCPUS_MAX];
	int pid;
	bool ahead;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum vcpus_wanted wanted;
	unsigned int confined;
	unsigned int parked;
	unsigned int ended;
};

/* No vCPUs yet; for vcpus_fini(). */
void vcpus_init(struct vcpus *set, struct exits *exits);

/* Create @nr vCPUs in the kernel; no thread yet. Return: 0 or -errno with a
 * sentence. */
int vcpus_create(struct vcpus *set, struct kvm_vm *vm, unsigned int nr,
		 struct err *err) __must_check;

/* Stops and joins the threads, closes the vCPUs. Any half-built set. */
void vcpus_fini(struct vcpus *set);

/**
 * vcpus_start() - one thread per vCPU
 * @wanted:	VCPUS_RUN, or VCPUS_PAUSE to begin parked
 *
 * Return: 0 or -errno with a sentence.
 */
int vcpus_start(struct vcpus *set, enum vcpus_wanted wanted,
		struct err *err) __must_check;

/**
 * vcpus_pause() - park every vCPU (or its thread has ended)
 *
 * A vCPU that waits in the kernel for a page which nobody brings (a slow disk,
 * a handler of userfaultfd) may not come out.
 *
 * Return: 0; -ETIME after VCPUS_PAUSE_NS: all run on.
 */
int vcpus_pause(struct vcpus *set) __must_check;
void vcpus_resume(struct vcpus *set);

/* Ask all threads to end; vcpus_fini() waits for them. Any thread, once they
 * are created. */
void vcpus_stop(struct vcpus *set);
