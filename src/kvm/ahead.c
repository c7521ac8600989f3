// SPDX-License-Identifier: Apache-2.0
/*
 * ahead.c - what is made of a VM before it is asked for (theory of operation:
 * ahead.h)
 */
#include "kvm/ahead.h"

#include "base/fd.h"

int kvm_ahead_make(struct kvm_ahead *ahead, int fd, struct err *err)
{
	struct kvm_vm vm;
	int r = kvm_open(&ahead->kvm, fd, err);

	ahead->vm = -1;
	if (r < 0) {
		*ahead = KVM_AHEAD_NONE;
		return r;
	}
	r = kvm_vm_init(&vm, &ahead->kvm, err);
	if (r < 0)
		kvm_ahead_fini(ahead);
	else
		ahead->vm = fd_steal(&vm.fd);
	return r;
}

bool kvm_ahead_take(struct kvm_ahead *ahead, struct kvm *kvm)
{
	if (ahead->kvm.fd < 0)
		return false;
	*kvm = ahead->kvm;
	ahead->kvm.fd = -1;
	return true;
}

bool kvm_ahead_take_vm(struct kvm_ahead *ahead, struct kvm_vm *vm,
		       struct kvm *kvm)
{
	if (ahead->vm < 0)
		return false;
	kvm_vm_clear(vm, kvm);
	vm->fd = fd_steal(&ahead->vm);
	return true;
}

void kvm_ahead_fini(struct kvm_ahead *ahead)
{
	fd_close(&ahead->vm);
	kvm_close(&ahead->kvm);
}
