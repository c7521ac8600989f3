/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcpu_state.h - everything a vCPU is, saved and restored
 *
 * Theory of operation
 *
 * struct vcpu_state holds what KVM's own calls return, and vcpu_state_schema
 * turns it into JSON and back. A saved state is set on a vCPU that has just
 * been made, in the order of the table in vcpu_state.c: the kernel checks some
 * parts against others and some calls undo the work of others. Each step there
 * says what it needs before it.
 *
 * The extended state (XSAVE) has the size that the source host's kernel uses.
 * Its unused end is zero and is not written to the file, so it fits another
 * host whose registers suffice. A host whose CPU has no XSAVE uses struct
 * kvm_fpu in its place.
 *
 * Time: the guest's TSC is set to the value at which it was read. vCPUs are
 * read one after the other, microseconds apart; the kernel takes writes that
 * are near to each other in value and time as meant to be equal and gives all
 * vCPUs one offset (kvm_synchronize_tsc()). That is also why the TSC is written
 * once for each vCPU, already set on where the guest's time is to go on later.
 *
 * Sources: Documentation/virt/kvm/api.rst; Intel SDM 3A 10 (LAPIC), 13 (XSAVE).
 */
#pragma once

#include "base/schema.h"
#include "kvm/msrs.h"

#define VCPU_XSAVE_MAX 16384u /* AMX tiles and all before them: 11 KiB */
#define VCPU_XCRS_MAX  KVM_MAX_XCRS

struct vcpu_xcr {
	uint32_t xcr;
	uint64_t value;
};

struct vcpu_fpu {
	bool present;
	struct kvm_fpu regs;
};

/**
 * struct vcpu_state - one vCPU
 * @mp_state:	KVM_MP_STATE_*
 * @tsc_khz:	frequency of the guest's TSC; 0: the host does not say
 * @xsave_bytes:	what the host's KVM_GET_XSAVE2 fills; 0: @fpu instead
 */
struct vcpu_state {
	uint32_t mp_state;
	uint32_t tsc_khz;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	unsigned int nr_xcrs;
	struct vcpu_xcr xcrs[VCPU_XCRS_MAX];
	uint32_t xsave_bytes;
	uint8_t xsave[VCPU_XSAVE_MAX];
	struct vcpu_fpu fpu;
	struct kvm_lapic_state lapic;
	unsigned int nr_msrs;
	struct msr_value msrs[MSRS_MAX];
	struct cpuid_table cpuid;
};

extern const struct schema_object vcpu_state_schema;

/**
 * vcpu_state_get() - read all of @vcpu, which does not run
 * @list:	from msrs_list(), the same for all vCPUs
 * @state:	zeroed
 *
 * Return: 0 or -errno with a sentence.
 */
int vcpu_state_get(struct kvm_vcpu *vcpu, const struct msr_list *list,
		   struct vcpu_state *state, struct err *err) __must_check;

/**
 * vcpu_state_set() - make @vcpu, fresh from kvm_vcpu_init(), what @state says
 *
 * The VM's interrupt chip and memory exist.
 *
 * Return: 0 or -errno with a sentence that names the part that does not fit.
 */
int vcpu_state_set(struct kvm_vcpu *vcpu, const struct vcpu_state *state,
		   struct err *err) __must_check;

/* The TSC is @ns later than it was saved; of every vCPU of a VM alike. Nothing
 * happens where its frequency is not known. */
void vcpu_state_advance(struct vcpu_state *state, uint64_t ns);

/**
 * vcpu_state_check() - can this host run @state? Creates nothing.
 * @same_host:	CPU and kernel are those of the snapshot: MSRs only
 *
 * Return: 0; with a sentence -ENOTSUP, which names the features or the MSR that
 * it lacks, or -errno.
 */
int vcpu_state_check(struct kvm *kvm, const struct vcpu_state *state,
		     bool same_host, struct err *err) __must_check;

/**
 * struct host_features - the host's CPU as CPUID tells it, to compare hosts
 */
#define HOST_FEATURE_WORDS 11
struct host_features {
	uint32_t word[HOST_FEATURE_WORDS];
};

/* By the CPUID instruction. */
void host_features_read(struct host_features *features);
