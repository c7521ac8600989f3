/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - what is made of a VM before it is asked for
 *
 * Theory of operation
 *
 * A process that is locked first (--sandbox-first) waits for a snapshot, or a
 * kernel, that a client names. What every VM begins with does not depend on it.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "kvm/kvm.h"

/**
 * struct kvm_ahead - /dev/kvm and a VM that has nothing yet
 * @kvm:	its fd is -1: there is none
 * @vm:		the VM's fd, until kvm_ahead_take_vm()
 */
struct kvm_ahead {
	struct kvm kvm;
	int vm;
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

/* Hand over either half. Return: whether there was one. */
bool kvm_ahead_take(struct kvm_ahead *ahead, struct kvm *kvm);
bool kvm_ahead_take_vm(struct kvm_ahead *ahead, struct kvm_vm *vm,
		       struct kvm *kvm);

/* Close what nobody took. */
void kvm_ahead_fini(struct kvm_ahead *ahead);
