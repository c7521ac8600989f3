/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpu.h - one virtual CPU of the kernel
 *
 * All functions but kvm_vcpu_init() and kvm_vcpu_fini() belong to the thread
 * that runs the vCPU.
 */
#pragma once

#include "kvm/cpuid.h"
#include "kvm/kvm.h"

/**
 * struct kvm_vcpu - a vCPU and its shared page
 * @run:	struct kvm_run, mapped
 */
struct kvm_vcpu {
	struct kvm_vm *vm;
	int fd;
	unsigned int id;
	struct kvm_run *run;
};

/* KVM_CREATE_VCPU, and its page and ring are mapped. Return: 0 or -errno with a
 * sentence; kvm_vcpu_fini() in any case. */
int kvm_vcpu_init(struct kvm_vcpu *vcpu, struct kvm_vm *vm, unsigned int id,
		  struct err *err) __must_check;
void kvm_vcpu_fini(struct kvm_vcpu *vcpu);

/* The physical address behind a virtual one, by the vCPU's page tables. Return:
 * false: there is none. The vCPU does not run. */
bool kvm_vcpu_translate(struct kvm_vcpu *vcpu, uint64_t gva, uint64_t *gpa);

/* What the guest's CPUID instruction answers. Return: 0 or -errno with a
 * sentence. */
int kvm_vcpu_set_cpuid(struct kvm_vcpu *vcpu, const struct cpuid_table *table,
		       struct err *err) __must_check;

/**
 * enum vcpu_entry - the CPU state in which a kernel is entered
 * @VCPU_ENTRY_LONG64:	64-bit Linux boot protocol: paging on, flat segments
 * @VCPU_ENTRY_PVH32:	PVH: 32-bit protected mode, paging off
 */
enum vcpu_entry {
	VCPU_ENTRY_LONG64,
	VCPU_ENTRY_PVH32,
};

/**
 * struct vcpu_boot - how the boot CPU enters the kernel
 * @ip:		entry point, guest physical
 * @arg:	rsi (LONG64: the zero page) or ebx (PVH32: hvm_start_info)
 * @cr3:	page tables (LONG64)
 * @gdt:	guest address of the boot GDT and its limit
 */
struct vcpu_boot {
	enum vcpu_entry entry;
	uint64_t ip;
	uint64_t arg;
	uint64_t cr3;
	uint64_t gdt;
	uint16_t gdt_limit;
};

/* Registers of the boot CPU. Return: 0 or -errno with a sentence. */
int kvm_vcpu_set_boot(struct kvm_vcpu *vcpu, const struct vcpu_boot *boot,
		      struct err *err) __must_check;

/* MSRs that firmware would have left: MTRRs on with write-back, fast strings.
 * Return: 0 or -errno with a sentence. */
int kvm_vcpu_set_boot_msrs(struct kvm_vcpu *vcpu, struct err *err) __must_check;

/* LINT0 as ExtINT, LINT1 as NMI: the virtual wire of a PC with a PIC. Return: 0
 * or -errno with a sentence. */
int kvm_vcpu_set_virtual_wire(struct kvm_vcpu *vcpu,
			      struct err *err) __must_check;

/**
 * kvm_vcpu_run() - KVM_RUN once
 *
 * Return: 0 and run->exit_reason is valid; -EINTR after a signal; -errno.
 */
int kvm_vcpu_run(struct kvm_vcpu *vcpu);

/**
 * kvm_vcpu_enter_ahead() - what KVM sets up at a vCPU's first KVM_RUN, now
 * @sig:	pending for the calling thread, which blocks it: KVM looks for
 *		signals as the last thing before guest code, and finds it
 *
 * No instruction of the guest is run.
 *
 * Return: as kvm_vcpu_run(): -EINTR, or what keeps the vCPU from running at
 * all.
 */
int kvm_vcpu_enter_ahead(struct kvm_vcpu *vcpu, int sig);

/* General and special registers for a last log line. Return: 0 or -errno. */
int kvm_vcpu_get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *regs,
		      struct kvm_sregs *sregs);

/*
 * A guest that looks for lockups shall know that it did not run for a while.
 * Return: 0, or -EINVAL where it has not set up the clock that this works by.
 */
int kvm_vcpu_tell_paused(struct kvm_vcpu *vcpu);
