/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm.h - the only KVM ioctls of the project
 *
 * Theory of operation
 *
 * The order of the calls is the order of this header, because it is worth a
 * factor of ten at start-up: memory slots first, then the interrupt chip, then
 * vCPUs, ioeventfds last, and only for what is used. Registering an in-kernel
 * device on an I/O bus starts an RCU grace period that the next memory-slot
 * change waits for, and the end of the VM, too: about 12 ms. A split irqchip
 * registers none, so a VM without ioeventfds is torn down in under one.
 *
 *   kvm_open -> kvm_vm_init -> kvm_vm_set_memory -> kvm_irqchip_init
 *            -> kvm_vcpu_init, kvm_vcpu_set_* -> kvm_irqfd_add
 *            -> kvm_vcpu_run -> kvm_ioeventfd_add
 *
 * A VM that was made ahead (ahead.h) has its chip and one vCPU before its
 * memory, which costs its slots nothing: no device is on a bus by then.
 *
 * Every call except KVM_RUN is counted and timed in struct kvm_stats, so that a
 * start can tell its own time from the kernel's. Source of all facts:
 * Documentation/virt/kvm/api.rst.
 */
#pragma once

#include "bus/irq.h"
#include "kvm/ring.h"
#include "mem/gmem.h"

#include <linux/kvm.h>
#include <stdatomic.h>

#define IRQCHIP_PINS    24u
#define IRQCHIP_GSI_MAX 64u

/**
 * struct kvm_stats - calls made and nanoseconds spent inside the kernel
 */
struct kvm_stats {
	_Atomic uint64_t calls;
	_Atomic uint64_t ns;
};

/**
 * struct kvm - /dev/kvm
 * @run_size:	bytes of struct kvm_run to map for each vCPU
 */
struct kvm {
	int fd;
	size_t run_size;
	bool has_tsc_deadline;
	struct kvm_stats stats;
};

/**
 * kvm_open() - check what Volt cannot do without
 * @fd:		of /dev/kvm, taken over in any case; or why there is none: that
 *		is returned, and @err stays as it is
 *
 * Return: 0; @fd when that is -errno; -ENOTSUP or -errno with a sentence that
 * says what to do.
 */
int kvm_open(struct kvm *kvm, int fd, struct err *err) __must_check;
void kvm_close(struct kvm *kvm);

/* KVM_CHECK_EXTENSION on /dev/kvm. Return: its value, 0 for absent. */
int kvm_cap(struct kvm *kvm, int cap);

/* An ioctl that is counted and timed. Return: its value, or -errno. */
int kvm_call(struct kvm *kvm, int fd, unsigned long request, void *arg);

/**
 * struct kvm_first - vCPU 0 that was made ahead; zeroed, there is none
 * @run:	mapped
 */
struct kvm_first {
	int fd;
	struct kvm_run *run;
};

void kvm_first_close(struct kvm_first *first, const struct kvm *kvm);

/**
 * struct kvm_vm - one virtual machine of the kernel
 * @split:	the IOAPIC is ours; KVM has only the LAPICs
 * @first:	until kvm_vcpu_init() takes it
 * @rings:	what vCPUs wrote, where it is not a log that tells
 * @route:	GSI routing as the kernel has it (split: what our IOAPIC said)
 */
struct kvm_vm {
	struct kvm *kvm;
	int fd;
	bool split;
	struct kvm_first first;
	struct msi route[IRQCHIP_GSI_MAX];
	uint64_t route_used;   /* bit per GSI: has a message */
	uint64_t route_wanted; /* bit per GSI: must be in the kernel's table */
	struct kvm_rings rings;
};

/* @vm is of @kvm, and has nothing. */
void kvm_vm_clear(struct kvm_vm *vm, struct kvm *kvm);

/* Retries KVM_CREATE_VM on EINTR, which busy hosts return. Return: 0 or -errno
 * with a sentence; kvm_vm_fini() in any case. */
int kvm_vm_init(struct kvm_vm *vm, struct kvm *kvm,
		struct err *err) __must_check;
void kvm_vm_fini(struct kvm_vm *vm);

/**
 * kvm_vm_set_slot() - a memory slot of @region comes or goes
 * @off:	of it in the region, a multiple of @region->slot_bytes
 *
 * The vCPUs may run; this waits until all of them have seen it.
 *
 * Return: 0 or -errno. VMM thread.
 */
int kvm_vm_set_slot(struct kvm_vm *vm, const struct gmem_region *region,
		    uint64_t off, bool there) __must_check;

/* All regions of @mem, but for GMEM_HOT, of which nothing is plugged yet.
 * Return: 0 or -errno with a sentence. */
int kvm_vm_set_memory(struct kvm_vm *vm, const struct gmem *mem,
		      struct err *err) __must_check;

/**
 * kvm_vm_use_rings() - dirty rings instead of a log, before the first vCPU
 *
 * Return: 0; -ENOTSUP where KVM has none; -errno; with a sentence.
 */
int kvm_vm_use_rings(struct kvm_vm *vm, struct err *err) __must_check;

/**
 * kvm_vm_note_dirty() - gmem_mark() what vCPUs wrote since the last time
 * @mem:	tracked; by KVM's log, or its rings (kvm_vm_use_rings())
 *
 * Return: 0 or -errno. VMM thread; with rings, any.
 */
int kvm_vm_note_dirty(struct kvm_vm *vm, const struct gmem *mem) __must_check;

/**
 * kvm_irqchip_init() - LAPICs only (@split), or the whole PC: PIC, IOAPIC, PIT
 *
 * Before the first vCPU; a VM that was made ahead has the former.
 *
 * Return: 0 or -errno with a sentence.
 */
int kvm_irqchip_init(struct kvm_vm *vm, bool split,
		     struct err *err) __must_check;

/* Full irqchip: drive a pin. Any thread. */
void kvm_irq_line(struct kvm_vm *vm, unsigned int gsi, bool level);

/* Split irqchip: deliver a message now. Any thread. */
void kvm_msi_send(struct kvm_vm *vm, const struct msi *msi);

/**
 * kvm_route_set() - split irqchip: what pin @gsi stands for (NULL: masked)
 * @level:	level-triggered: the kernel must know it to report its EOI
 *
 * The kernel's table is rewritten only when a pin in it changes: pins with an
 * irqfd, and level-triggered ones. The caller serialises.
 *
 * Return: 0; -EINVAL from IRQCHIP_GSI_MAX on; -errno.
 */
int kvm_route_set(struct kvm_vm *vm, unsigned int gsi, const struct msi *msi,
		  bool level);

/* Write the table: a restore sets routes first and irqfds later. Return: 0 or
 * -errno. */
int kvm_routes_commit(struct kvm_vm *vm) __must_check;

/* Let the kernel raise @gsi whenever @event_fd is signalled. Return: 0; -EINVAL
 * from IRQCHIP_GSI_MAX on; -errno. */
int kvm_irqfd_add(struct kvm_vm *vm, int event_fd,
		  unsigned int gsi) __must_check;

/* Let any 4-byte write at @addr signal @event_fd without an exit. Return: 0 or
 * -errno. */
int kvm_ioeventfd_add(struct kvm_vm *vm, int event_fd,
		      uint64_t addr) __must_check;
