// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_caps.c - the KVM capabilities that Volt uses
 */
#include "cli/doctor.h"

#include <linux/kvm.h>

const struct doctor_cap doctor_caps[DOCTOR_NR_CAPS] = {
	{KVM_CAP_USER_MEMORY, "user_memory", "guest memory"},
	{KVM_CAP_SPLIT_IRQCHIP, "split_irqchip", "interrupts"},
	{KVM_CAP_IMMEDIATE_EXIT, "immediate_exit", "pause and stop"},
	{KVM_CAP_IRQ_ROUTING, "irq_routing", "interrupts of devices"},
	{KVM_CAP_SIGNAL_MSI, "signal_msi", "interrupts of devices"},
	{KVM_CAP_IRQFD, "irqfd", "virtio devices"},
	{KVM_CAP_IOEVENTFD, "ioeventfd", "virtio devices"},
	{KVM_CAP_SYNC_MMU, "sync_mmu", "memory mapped from files, balloon"},
	{KVM_CAP_TSC_DEADLINE_TIMER, "tsc_deadline_timer",
	 "Linux guests without --irqchip full"},
	{KVM_CAP_ADJUST_CLOCK, "adjust_clock",
	 "the guest's clock in snapshots"},
	{KVM_CAP_GET_TSC_KHZ, "get_tsc_khz", "the TSC frequency in CPUID"},
	{KVM_CAP_TSC_CONTROL, "tsc_control",
	 "restoring on a host with another TSC frequency"},
	{KVM_CAP_KVMCLOCK_CTRL, "kvmclock_ctrl",
	 "pauses that the guest's watchdog forgives"},
	{KVM_CAP_MP_STATE, "mp_state", "snapshots with several vCPUs"},
	{KVM_CAP_VCPU_EVENTS, "vcpu_events", "snapshots"},
	{KVM_CAP_XSAVE2, "xsave2", "snapshots of guests that use AMX"},
	{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, "manual_dirty_log_protect2",
	 "cheap dirty-page tracking"},
	{KVM_CAP_DIRTY_LOG_RING, "dirty_log_ring",
	 "dirty-page tracking by rings (--dirty-ring)"},
};
