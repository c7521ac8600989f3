/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_state.h - what a VM is besides its memory and vCPUs: clock, chips
 *
 * Theory of operation
 *
 * kvm-clock is nanoseconds since the VM's start. It is read when all vCPUs
 * stand still and set when all have their state, and goes on from there: for
 * the guest no time has passed, so its monotonic clock never goes back. On
 * wish (clock_realtime) the time between is added, to the vCPUs' TSC as well
 * (vcpu_state_advance()): a guest tells the time by one or the other.
 *
 * With a full irqchip the PICs, IOAPIC and PIT are KVM's. They are set after
 * the vCPUs: an IOAPIC that has an interrupt to deliver delivers it at once,
 * into a LAPIC whose own state would wipe it out later. With a split irqchip
 * the IOAPIC is a device of ours, and its routes come from there.
 */
#pragma once

#include "base/schema.h"
#include "kvm/kvm.h"

#define VM_CHIP_BYTES 512u /* of struct kvm_irqchip */

/**
 * struct kvm_vm_chips - of a full irqchip; raw, as the kernel gives them
 */
struct kvm_vm_chips {
	uint8_t pic_master[VM_CHIP_BYTES];
	uint8_t pic_slave[VM_CHIP_BYTES];
	uint8_t ioapic[VM_CHIP_BYTES];
	struct kvm_pit_state2 pit;
};

/**
 * struct kvm_vm_state - as saved
 * @clock_ns:	kvm-clock
 * @realtime_ns:	host's CLOCK_REALTIME at that moment
 * @has_chips:	the irqchip is a full one
 */
struct kvm_vm_state {
	uint64_t clock_ns;
	uint64_t realtime_ns;
	bool has_chips;
	struct kvm_vm_chips chips;
};

extern const struct schema_object vm_state_schema;

/* No vCPU runs. Return: 0 or -errno with a sentence. */
int vm_state_get(struct kvm_vm *vm, struct kvm_vm_state *state,
		 struct err *err) __must_check;

/* Behind vcpu_state_set() of every vCPU. @vm is split or not as @state says.
 * Return: 0 or -errno with a sentence. */
int vm_state_set_chips(struct kvm_vm *vm, const struct kvm_vm_state *state,
		       struct err *err) __must_check;

/* The real time that went by since @state was read, in ns; 0 when the host's
 * clock was set back. */
uint64_t vm_state_gap(const struct kvm_vm_state *state);

/* @advance_ns: later than it was saved. Return: 0 or -errno with a sentence. */
int vm_state_set_clock(struct kvm_vm *vm, const struct kvm_vm_state *state,
		       uint64_t advance_ns, struct err *err) __must_check;
