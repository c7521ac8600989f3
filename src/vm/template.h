/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.h - a CPU template: what a client changes of the vCPUs
 *
 * Theory of operation
 *
 * A template makes hosts of different CPUs look alike, so that a snapshot of
 * one may be restored on another. It changes single bits of what CPUID tells
 * and of MSRs, the same on every vCPU, and may demand capabilities of KVM.
 * It is applied once, between what KVM offers and what the topology and the
 * vCPU's number set: those win. A leaf, or an MSR, that this host's KVM does
 * not have cannot be changed: the VM does not start then, as with Firecracker.
 *
 * The changed values are state of the vCPUs, and saved as such: a restore
 * applies nothing. But KVM's list of MSRs to save may lack one that a custom
 * template has set, so that is saved, too, and its MSRs join the list. The one
 * that templates with names set (template_static.h) is always in KVM's list.
 *
 * What a guest may not have, a template does not give it: VMX and SVM are
 * hidden after it (kvm/cpuid.h).
 *
 * Context: the VMM thread.
 */
#pragma once

#include "config/config.h"
#include "kvm/cpuid.h"
#include "kvm/msrs.h"

/**
 * template_check() - does this host have the capabilities that are demanded?
 *
 * One with '!' before it is not demanded; what Volt itself needs of KVM is
 * checked elsewhere (kvm_open()), and no template takes that away.
 *
 * Return: 0; -ENOTSUP with a sentence.
 */
int template_check(const struct cpu_config *cpu, struct kvm *kvm,
		   struct err *err) __must_check;

/* Return: 0; -ENOTSUP with a sentence that names the leaf. */
int template_set_cpuid(const struct cpu_config *cpu, struct cpuid_table *table,
		       struct err *err) __must_check;

/* Return: 0; -errno with a sentence that names the MSR. */
int template_set_msrs(const struct cpu_config *cpu, struct kvm_vcpu *vcpu,
		      struct err *err) __must_check;

/* Its MSRs are saved, too. Return: 0; -E2BIG with a sentence. */
int template_list_msrs(const struct cpu_config *cpu, struct msr_list *list,
		       struct err *err) __must_check;
