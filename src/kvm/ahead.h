/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - what is made of a VM before it is asked for
 *
 * Theory of operation
 *
 * A process that is locked first (--sandbox-first) waits for a snapshot, or a
 * kernel, that a client names. What every VM begins with does not depend on it:
 * a VM of the kernel's, the split interrupt chip, the first vCPU. One that is
 * to have KVM's full chips, or dirty rings, which come before the first vCPU,
 * is made when it is known; what was made ahead is closed then.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "kvm/kvm.h"

/**
 * struct kvm_ahead - /dev/kvm, and a VM with one vCPU and nothing else
 * @kvm:	its fd is -1: there is none
 * @vm:		the VM's fd, until kvm_ahead_take_vm()
 * @first:	its vCPU 0
 */
struct kvm_ahead {
	struct kvm kvm;
	int vm;
	struct kvm_first first;
};
#define KVM_AHEAD_NONE ((struct kvm_ahead){.kvm = {.fd = -1}, .vm = -1})

/**
 * kvm_ahead_make() - what every VM begins with, before there is one to make
 * @fd:		as kvm_open()
 *
 * Return: 0; @fd when that is -errno; -ENOTSUP or -errno with a sentence.
 * @ahead is none, then.
 */
int kvm_ahead_make(struct kvm_ahead *ahead, int fd,
		   struct err *err) __must_check;

/* Hand over /dev/kvm. Return: whether there was one. */
bool kvm_ahead_take(struct kvm_ahead *ahead, struct kvm *kvm);

/**
 * kvm_ahead_take_vm() - hand over the VM
 * @kvm:	that was handed over before
 * @fits:	it is to have the split chip, and no dirty rings; else it is
 *		closed
 *
 * Return: whether there was one that fits. kvm_irqchip_init() and
 * kvm_vcpu_init() find what it has.
 */
bool kvm_ahead_take_vm(struct kvm_ahead *ahead, struct kvm_vm *vm,
		       struct kvm *kvm, bool fits);

/* Close what nobody took. */
void kvm_ahead_fini(struct kvm_ahead *ahead);
