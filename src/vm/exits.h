/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits.h - what each KVM exit means
 */
#pragma once

#include "vm/vcpus.h"

/* Group `vcpu`, of struct exit_counters. */
extern const struct metric_group vcpu_metric_group;

/**
 * exits_handle() - act on the exit in the vCPU's shared page
 * @run_result:	what kvm_vcpu_run() returned: 0, or -errno other than -EINTR
 *
 * Return: true to run on; false when the VM has been ended.
 * Context: the vCPU's thread.
 */
bool exits_handle(struct vcpu *vcpu, int run_result) __must_check;
