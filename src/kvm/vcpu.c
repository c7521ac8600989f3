// SPDX-License-Identifier: Apache-2.0
/*
 * vcpu.c - one virtual CPU of the kernel
 */
#include "kvm/vcpu.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CR0_PE                  (1ull << 0)
#define CR0_MP                  (1ull << 1)
#define CR0_ET                  (1ull << 4)
#define CR0_NE                  (1ull << 5)
#define CR0_WP                  (1ull << 16)
#define CR0_AM                  (1ull << 18)
#define CR0_PG                  (1ull << 31)
#define CR4_PAE                 (1ull << 5)
#define EFER_LME                (1ull << 8)
#define EFER_LMA                (1ull << 10)
#define RFLAGS_FIXED            2ull

#define MSR_MISC_ENABLE         0x1a0u
#define MISC_ENABLE_FAST_STRING 1ull
#define MSR_MTRR_DEF_TYPE       0x2ffu
#define MTRR_ENABLE             (1ull << 11)
#define MTRR_WRITE_BACK         6ull

/* LVT registers in the LAPIC page (Intel SDM 3A 11.5.1). */
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LVT_MODE_NMI    (4u << 8)
#define LVT_MODE_EXTINT (7u << 8)

static int vcpu_make(struct kvm_vcpu *vcpu, struct err *err)
{
	struct kvm_vm *vm = vcpu->vm;
	void *run;
	int r = kvm_call(vm->kvm, vm->fd, KVM_CREATE_VCPU,
			 (void *)(uintptr_t)vcpu->id);

	if (r < 0)
		return err_set(err, r, "KVM_CREATE_VCPU %u failed: %s",
			       vcpu->id, err_name(r));
	vcpu->fd = r;
	/* KVM has the pages already: a guest shall not wait for their faults.
	 */
	run = mmap(NULL, vm->kvm->run_size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return err_set(err, -errno, "Cannot map vCPU %u: %s", vcpu->id,
			       err_name(errno));
	vcpu->run = run;
	return 0;
}

int kvm_vcpu_init(struct kvm_vcpu *vcpu, struct kvm_vm *vm, unsigned int id,
		  struct err *err)
{
	int r = 0;

	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = -1;
	if (id == 0 && vm->first.run) {
		vcpu->fd = vm->first.fd;
		vcpu->run = vm->first.run;
		vm->first = (struct kvm_first){0};
	} else {
		r = vcpu_make(vcpu, err);
	}
	if (r == 0) {
		r = kvm_ring_map(&vm->rings, id, vcpu->fd);
		if (r < 0)
			err_set(err, r,
				"Cannot map the dirty ring of vCPU %u: %s", id,
				err_name(r));
	}
	if (r < 0)
		kvm_vcpu_fini(vcpu);
	return r;
}

void kvm_vcpu_fini(struct kvm_vcpu *vcpu)
{
	if (vcpu->run)
		(void)munmap(vcpu->run, vcpu->vm->kvm->run_size);
	vcpu->run = NULL;
	if (!vcpu->vm)
		return;
	kvm_ring_unmap(&vcpu->vm->rings, vcpu->id);
	fd_close(&vcpu->fd);
}

bool kvm_vcpu_translate(struct kvm_vcpu *vcpu, uint64_t gva, uint64_t *gpa)
{
	struct kvm_translation t = {.linear_address = gva};

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return false;
	*gpa = t.physical_address;
	return true;
}

static int vcpu_call(struct kvm_vcpu *vcpu, unsigned long request,
		     const char *name, void *arg, struct err *err)
{
	int r = kvm_call(vcpu->vm->kvm, vcpu->fd, request, arg);

	if (r < 0)
		return err_set(err, r, "%s of vCPU %u failed: %s", name,
			       vcpu->id, err_name(r));
	return r;
}

int kvm_vcpu_set_cpuid(struct kvm_vcpu *vcpu, const struct cpuid_table *table,
		       struct err *err)
{
	int r = vcpu_call(vcpu, KVM_SET_CPUID2, "KVM_SET_CPUID2",
			  (void *)(uintptr_t)table, err);

	return r < 0 ? r : 0;
}

int kvm_vcpu_set_boot_msrs(struct kvm_vcpu *vcpu, struct err *err)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs = {
		.head.nmsrs = 2,
		.entry =
			{
				{.index = MSR_MTRR_DEF_TYPE,
				 .data = MTRR_ENABLE | MTRR_WRITE_BACK},
				{.index = MSR_MISC_ENABLE,
				 .data = MISC_ENABLE_FAST_STRING},
			},
	};
	int r = vcpu_call(vcpu, KVM_SET_MSRS, "KVM_SET_MSRS", &msrs, err);

	/* A host without one of them gets a guest that does without. */
	return r < 0 ? r : 0;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
	};
}

/*
 * Flat segments as both boot protocols ask for: code at selector 0x10, data at
 * 0x18 (Documentation/x86/boot.rst; PVH: xen/interface hvm/start_info).
 */
static void set_segments(struct kvm_sregs *s, const struct vcpu_boot *boot)
{
	struct kvm_segment code = flat(0x10, 11); /* execute, read, accessed */
	struct kvm_segment data = flat(0x18, 3);  /* read, write, accessed */

	data.db = 1;
	if (boot->entry == VCPU_ENTRY_LONG64)
		code.l = 1;
	else
		code.db = 1;
	s->cs = code;
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){
		.limit = 0x67,
		.selector = 0x20,
		.type = 11, /* busy 32/64-bit TSS */
		.present = 1,
	};
	s->gdt.base = boot->gdt;
	s->gdt.limit = boot->gdt_limit;
	s->idt.base = 0;
	s->idt.limit = 0;
}

int kvm_vcpu_set_boot(struct kvm_vcpu *vcpu, const struct vcpu_boot *boot,
		      struct err *err)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = boot->ip, .rflags = RFLAGS_FIXED};
	int r = vcpu_call(vcpu, KVM_GET_SREGS, "KVM_GET_SREGS", &sregs, err);

	if (r < 0)
		return r;
	set_segments(&sregs, boot);
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cr4 = 0;
	sregs.efer = 0;
	if (boot->entry == VCPU_ENTRY_LONG64) {
		sregs.cr0 |= CR0_MP | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
		sregs.cr3 = boot->cr3;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
		regs.rsi = boot->arg;
	} else {
		regs.rbx = boot->arg;
	}
	r = vcpu_call(vcpu, KVM_SET_SREGS, "KVM_SET_SREGS", &sregs, err);
	if (r < 0)
		return r;
	return vcpu_call(vcpu, KVM_SET_REGS, "KVM_SET_REGS", &regs, err);
}

int kvm_vcpu_set_virtual_wire(struct kvm_vcpu *vcpu, struct err *err)
{
	struct kvm_lapic_state lapic;
	int r = vcpu_call(vcpu, KVM_GET_LAPIC, "KVM_GET_LAPIC", &lapic, err);

	if (r < 0)
		return r;
	store_le32(&lapic.regs[LAPIC_LVT_LINT0], LVT_MODE_EXTINT);
	store_le32(&lapic.regs[LAPIC_LVT_LINT1], LVT_MODE_NMI);
	return vcpu_call(vcpu, KVM_SET_LAPIC, "KVM_SET_LAPIC", &lapic, err);
}

int kvm_vcpu_run(struct kvm_vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

/* KVM_SET_SIGNAL_MASK has the kernel's sigset, of 64 signals, behind its head,
 * and no padding between them. */
int kvm_vcpu_enter_ahead(struct kvm_vcpu *vcpu, int sig)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t blocked[8];
	} mask = {.head.len = sizeof(mask.blocked)};
	int r;

	static_assert(offsetof(typeof(mask), blocked) ==
			      offsetof(struct kvm_signal_mask, sigset),
		      "no padding");
	store_le64(mask.blocked, ~(1ull << (sig - 1)));
	if (kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_SET_SIGNAL_MASK, &mask) < 0)
		return -EINTR; /* it would not come back */
	r = kvm_vcpu_run(vcpu);
	(void)kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_SET_SIGNAL_MASK, NULL);
	return r;
}

int kvm_vcpu_get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *regs,
		      struct kvm_sregs *sregs)
{
	int r = kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_GET_REGS, regs);

	if (r < 0)
		return r;
	return kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_GET_SREGS, sregs);
}

int kvm_vcpu_tell_paused(struct kvm_vcpu *vcpu)
{
	return kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_KVMCLOCK_CTRL, NULL);
}
