// SPDX-License-Identifier: Apache-2.0
/*
 * ahead.c - what is made of a VM before it is asked for (theory of operation:
 * ahead.h)
 */
#include "kvm/ahead.h"

#include "base/fd.h"
#include "kvm/vcpu.h"

/* All of it, or nothing: the VM is made when it is asked for, which says why it
 * cannot. */
static int ahead_make_vm(struct kvm_ahead *ahead, struct err *err)
{
	struct kvm_vcpu vcpu;
	struct kvm_vm vm;
	int r = kvm_vm_init(&vm, &ahead->kvm, err);

	if (r == 0)
		r = kvm_irqchip_init(&vm, true, err);
	if (r == 0)
		r = kvm_vcpu_init(&vcpu, &vm, 0, err);
	if (r == 0) {
		ahead->first = (struct kvm_first){vcpu.fd, vcpu.run};
		ahead->vm = fd_steal(&vm.fd);
	}
	kvm_vm_fini(&vm);
	return r;
}

int kvm_ahead_make(struct kvm_ahead *ahead, int fd, struct err *err)
{
	int r;

	*ahead = KVM_AHEAD_NONE;
	r = kvm_open(&ahead->kvm, fd, err);
	if (r == 0)
		r = ahead_make_vm(ahead, err);
	if (r < 0)
		kvm_ahead_fini(ahead);
	return r;
}

static void ahead_close_vm(struct kvm_ahead *ahead, const struct kvm *kvm)
{
	kvm_first_close(&ahead->first, kvm);
	fd_close(&ahead->vm);
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
		       struct kvm *kvm, bool fits)
{
	if (!fits)
		ahead_close_vm(ahead, kvm);
	if (ahead->vm < 0)
		return false;
	kvm_vm_clear(vm, kvm);
	vm->fd = fd_steal(&ahead->vm);
	vm->split = true;
	vm->first = ahead->first;
	ahead->first = (struct kvm_first){0};
	return true;
}

void kvm_ahead_fini(struct kvm_ahead *ahead)
{
	ahead_close_vm(ahead, &ahead->kvm);
	kvm_close(&ahead->kvm);
}
