/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msrs.h - which model-specific registers a vCPU's state is made of
 *
 * The host's kernel lists the MSRs that it wants saved, by CPU and by version.
 * The list leaves out some that a guest can write (memory types), so a table of
 * our own is added; what this vCPU does not have is simply not read.
 */
#pragma once

#include "kvm/vcpu.h"

#define MSRS_MAX              256u /* what one KVM_GET_MSRS takes */

#define MSR_IA32_TSC          0x10u
#define MSR_IA32_TSC_DEADLINE 0x6e0u

/**
 * struct msr_list - indices, in the order in which they are set
 */
struct msr_list {
	unsigned int nr;
	uint32_t index[MSRS_MAX];
};

/**
 * struct msr_value - one MSR, as saved
 */
struct msr_value {
	uint32_t index;
	uint64_t value;
};

/* What there is to save on this host. Return: 0 or -errno with a sentence. */
int msrs_list(struct kvm *kvm, struct msr_list *list,
	      struct err *err) __must_check;

/**
 * msrs_list_also() - one more, which the kernel's list may lack
 *
 * It comes before the TSC, which is last (msrs.c).
 *
 * Return: 0, also when it is there already; -E2BIG.
 */
int msrs_list_also(struct msr_list *list, uint32_t index) __must_check;

/**
 * msrs_get() - read those of @list that @vcpu has
 *
 * In one call when it has them all.
 *
 * Return: 0 and *@nr, or -errno with a sentence.
 */
int msrs_get(struct kvm_vcpu *vcpu, const struct msr_list *list,
	     struct msr_value *values, unsigned int *nr,
	     struct err *err) __must_check;

/**
 * msrs_set() - write @values in their order
 *
 * One that the kernel refuses is left alone when it has the value already, as
 * read-only ones have; else it fails.
 *
 * Return: 0 or -errno with a sentence that names the MSR.
 */
int msrs_set(struct kvm_vcpu *vcpu, const struct msr_value *values,
	     unsigned int nr, struct err *err) __must_check;
