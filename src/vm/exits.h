/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits.h - what each KVM exit means
 */
#pragma once

#include "base/metrics.h"
#include "kvm/vcpu.h"
#include "vm/board.h"
#include "vm/interrupts.h"

/**
 * struct exit_counters - exits that came to this process, of all vCPUs
 * @failures:	exits that ended the VM for a fault
 * @exit_io_in_agg:	how long the devices took for them; likewise the others
 */
struct exit_counters {
	metric_t exit_io_in;
	metric_t exit_io_out;
	metric_t exit_mmio_read;
	metric_t exit_mmio_write;
	metric_t failures;
	metric_t kvmclock_ctrl_fails;
	struct metric_agg exit_io_in_agg;
	struct metric_agg exit_io_out_agg;
	struct metric_agg exit_mmio_read_agg;
	struct metric_agg exit_mmio_write_agg;
};

/**
 * struct exits - what exits lead to
 * @fault:	the first that ended the VM: of which vCPU, and what it was
 */
struct exits {
	struct board *board;
	struct interrupts *interrupts;
	struct exit_counters counters;
	struct {
		struct kvm_vcpu *_Atomic of;
		char text[2 * ERR_TEXT_MAX];
	} fault;
};

/* Group `vcpu`, of struct exit_counters. */
extern const struct metric_group vcpu_metric_group;

/**
 * exits_handle() - act on the exit in the vCPU's shared page
 * @run_result:	what kvm_vcpu_run() returned: 0, or -errno other than -EINTR
 *
 * Return: true to run on; false when the VM has been ended.
 * Context: the vCPU's thread.
 */
bool exits_handle(struct exits *exits, struct kvm_vcpu *vcpu,
		  int run_result) __must_check;

/* Log the fault that ended the VM, if one did, with the vCPU's registers.
 * Context: the VMM thread, when the vCPUs' have ended. */
void exits_tell_fault(struct exits *exits);
