/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpuid.h - what a vCPU says of itself
 *
 * Theory of operation
 *
 * The kernel lists what it can virtualise (KVM_GET_SUPPORTED_CPUID), once per
 * VM; that list costs more than most other calls. Each vCPU gets a copy in
 * which only the leaves that depend on the topology differ: initial APIC id,
 * the package's number of threads and cores, and which vCPUs share a cache, so
 * that lscpu in the guest shows the machine that was asked for. The CPU's name
 * is the host's. Hypervisor bit and TSC-deadline bit are set here: KVM supports
 * both and lists neither on every host. Sources: Intel SDM 2A CPUID, AMD APM 3
 * appendix E, Documentation/virt/kvm/x86/cpuid.rst.
 */
#pragma once

#include "kvm/kvm.h"

#define CPUID_MAX_ENTRIES 128

/**
 * struct cpuid_table - struct kvm_cpuid2 with room for its entries
 */
struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 room[CPUID_MAX_ENTRIES];
};

/**
 * struct cpuid_topology - one package
 * @threads_per_core:	1, or 2 with SMT
 */
struct cpuid_topology {
	unsigned int nr_vcpus;
	unsigned int threads_per_core;
};

/* The CPUID instruction, on the host. */
static inline void host_cpuid(uint32_t function, uint32_t index, uint32_t *eax,
			      uint32_t *ebx, uint32_t *ecx, uint32_t *edx)
{
	__asm__ volatile("cpuid"
			 : "=a"(*eax), "=b"(*ebx), "=c"(*ecx), "=d"(*edx)
			 : "a"(function), "c"(index));
}

/* What the host can virtualise. Return: 0 or -errno with a sentence. */
int cpuid_read_supported(struct kvm *kvm, struct cpuid_table *table,
			 struct err *err) __must_check;

/* The part that all vCPUs share: done once, on the table just read. */
void cpuid_prepare(struct cpuid_table *table, bool tsc_deadline,
		   const struct cpuid_topology *topo);

/**
 * cpuid_hide_nested() - the guest is not told of VMX and SVM
 *
 * KVM offers what the host has. A guest that runs guests of its own reaches
 * much of KVM that no other guest does, and its state is in no snapshot.
 */
void cpuid_hide_nested(struct cpuid_table *table);

/* The part that names the vCPU: @id is its index and its APIC id. */
void cpuid_set_vcpu(struct cpuid_table *table, unsigned int id,
		    const struct cpuid_topology *topo);

/* The entry of a leaf, or NULL. */
struct kvm_cpuid_entry2 *cpuid_find(struct cpuid_table *table,
				    uint32_t function, uint32_t index);
