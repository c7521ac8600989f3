// SPDX-License-Identifier: Apache-2.0
/*
 * cpuid.c - what a vCPU says of itself (theory of operation: cpuid.h)
 */
#include "kvm/cpuid.h"

#include <errno.h>
#include <string.h>

#define LEAF1_EBX_APIC_ID_SHIFT     24
#define LEAF1_EBX_COUNT_SHIFT       16

#define LEAF1_ECX_VMX               (1u << 5)
#define LEAF1_ECX_TSC_DEADLINE      (1u << 24)
#define LEAF1_ECX_HYPERVISOR        (1u << 31)
#define LEAF1_EDX_HTT               (1u << 28)
#define LEAF6_EAX_ARAT              (1u << 2)
#define LEAF80000001_ECX_CMP_LEGACY (1u << 1)
#define LEAF80000001_ECX_SVM        (1u << 2)
#define LEAF80000001_ECX_TOPOEXT    (1u << 22)

#define LEAF_BRAND_FIRST            0x80000002u
#define LEAF_BRAND_LAST             0x80000004u
#define LEAF_AMD_SVM                0x8000000au
#define LEAF_AMD_CACHE              0x8000001du
#define LEAF_AMD_TOPOLOGY           0x8000001eu

/* Levels of leaves 0xb and 0x1f. */
#define LEVEL_SMT  1u
#define LEVEL_CORE 2u

int cpuid_read_supported(struct kvm *kvm, struct cpuid_table *table,
			 struct err *err)
{
	int r;

	memset(table, 0, sizeof(*table));
	table->head.nent = CPUID_MAX_ENTRIES;
	r = kvm_call(kvm, kvm->fd, KVM_GET_SUPPORTED_CPUID, table);
	if (r < 0)
		return err_set(err, r, "KVM_GET_SUPPORTED_CPUID failed: %s",
			       err_name(r));
	return 0;
}

struct kvm_cpuid_entry2 *cpuid_find(struct cpuid_table *table,
				    uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->room[i];

		if (e->function == function &&
		    (e->index == index ||
		     !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return e;
	}
	return NULL;
}

static void cpuid_drop(struct cpuid_table *table, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->head.nent; i++)
		if (table->room[i].function != function)
			table->room[kept++] = table->room[i];
	table->head.nent = kept;
}

static struct kvm_cpuid_entry2 *cpuid_add(struct cpuid_table *table,
					  uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *e;

	if (table->head.nent == CPUID_MAX_ENTRIES)
		return NULL;
	e = &table->room[table->head.nent++];
	*e = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
	};
	return e;
}

/* Bits of an APIC id that number @count siblings. */
static unsigned int id_bits(unsigned int count)
{
	return count <= 1 ? 0 : 32u - (unsigned int)__builtin_clz(count - 1);
}

static bool is_amd(struct cpuid_table *table)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0, 0);

	/* "Auth" of AuthenticAMD, "Hygo" of HygonGenuine */
	return e && (e->ebx == 0x68747541 || e->ebx == 0x6f677948);
}

/*
 * How many vCPUs share a cache: what the host's threads of one core share, the
 * threads of one core share; the last level belongs to the package.
 */
static uint32_t cache_sharers(uint32_t level, const struct cpuid_topology *t)
{
	return level >= 3 ? t->nr_vcpus : t->threads_per_core;
}

/* Intel: deterministic cache parameters. */
static void set_intel_caches(struct cpuid_table *table,
			     const struct cpuid_topology *t)
{
	unsigned int cores = t->nr_vcpus / t->threads_per_core;

	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->room[i];
		uint32_t sharers;

		if (e->function != 4 || (e->eax & 0x1f) == 0)
			continue;
		sharers = cache_sharers((e->eax >> 5) & 7, t);
		e->eax &= 0x3fff;
		e->eax |= ((1u << id_bits(sharers)) - 1) << 14;
		e->eax |= ((1u << id_bits(cores)) - 1) << 26;
	}
}

/* AMD: the host's cache leaves (KVM may not list them), our sharing. */
static void set_amd_caches(struct cpuid_table *table,
			   const struct cpuid_topology *t)
{
	uint32_t eax, ebx, ecx, edx, sharers;
	struct kvm_cpuid_entry2 *e;

	cpuid_drop(table, LEAF_AMD_CACHE);
	host_cpuid(0x80000000, 0, &eax, &ebx, &ecx, &edx);
	if (eax < LEAF_AMD_CACHE)
		return;
	for (uint32_t i = 0; i < 8; i++) {
		host_cpuid(LEAF_AMD_CACHE, i, &eax, &ebx, &ecx, &edx);
		if ((eax & 0x1f) == 0)
			break;
		e = cpuid_add(table, LEAF_AMD_CACHE, i);
		if (!e)
			break;
		sharers = cache_sharers((eax >> 5) & 7, t);
		e->eax = (eax & 0x3fff) | (sharers - 1) << 14;
		e->ebx = ebx;
		e->ecx = ecx;
		e->edx = edx;
	}
}

static void set_amd_topology(struct cpuid_table *table,
			     const struct cpuid_topology *t)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0x80000001, 0);
	struct kvm_cpuid_entry2 *max = cpuid_find(table, 0x80000000, 0);

	if (e) {
		e->ecx |= LEAF80000001_ECX_TOPOEXT;
		e->ecx &= ~LEAF80000001_ECX_CMP_LEGACY;
		if (t->nr_vcpus > 1)
			e->ecx |= LEAF80000001_ECX_CMP_LEGACY;
	}
	e = cpuid_find(table, 0x80000008, 0);
	if (e)
		e->ecx = (e->ecx & ~0xf0ffu) | (t->nr_vcpus - 1) |
			 id_bits(t->nr_vcpus) << 12;
	if (max && max->eax < LEAF_AMD_TOPOLOGY)
		max->eax = LEAF_AMD_TOPOLOGY;
	set_amd_caches(table, t);
	cpuid_drop(table, LEAF_AMD_TOPOLOGY);
	e = cpuid_add(table, LEAF_AMD_TOPOLOGY, 0);
	if (e)
		e->flags = 0;
}

/*
 * The CPU's name, as the host has it: KVM lists these leaves as zeros. No CPUID
 * more than needed: on a virtual host each takes microseconds.
 */
static void set_brand(struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *max = cpuid_find(table, 0x80000000, 0);

	if (!max || max->eax < LEAF_BRAND_LAST)
		return;
	for (uint32_t leaf = LEAF_BRAND_FIRST; leaf <= LEAF_BRAND_LAST;
	     leaf++) {
		struct kvm_cpuid_entry2 *e = cpuid_find(table, leaf, 0);

		if (!e)
			e = cpuid_add(table, leaf, 0);
		if (!e)
			return;
		*e = (struct kvm_cpuid_entry2){.function = leaf};
		host_cpuid(leaf, 0, &e->eax, &e->ebx, &e->ecx, &e->edx);
	}
}

/* Extended topology: threads of a core, then cores of the package. */
static void set_levels(struct cpuid_table *table, uint32_t leaf,
		       const struct cpuid_topology *t)
{
	static const uint32_t types[] = {LEVEL_SMT, LEVEL_CORE, 0};

	cpuid_drop(table, leaf);
	for (uint32_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct kvm_cpuid_entry2 *e = cpuid_add(table, leaf, i);

		if (!e)
			return;
		e->ecx = i | types[i] << 8;
		if (types[i] == LEVEL_SMT) {
			e->eax = id_bits(t->threads_per_core);
			e->ebx = t->threads_per_core;
		} else if (types[i] == LEVEL_CORE) {
			e->eax = id_bits(t->nr_vcpus);
			e->ebx = t->nr_vcpus;
		}
	}
}

void cpuid_prepare(struct cpuid_table *table, bool tsc_deadline,
		   const struct cpuid_topology *topo)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 1, 0);

	if (e) {
		e->ecx |= LEAF1_ECX_HYPERVISOR;
		if (tsc_deadline)
			e->ecx |= LEAF1_ECX_TSC_DEADLINE;
		e->ebx &= 0x0000ffff;
		e->ebx |= topo->nr_vcpus << LEAF1_EBX_COUNT_SHIFT;
		e->edx &= ~LEAF1_EDX_HTT;
		if (topo->nr_vcpus > 1)
			e->edx |= LEAF1_EDX_HTT;
	}
	e = cpuid_find(table, 6, 0);
	if (e) /* the LAPIC timer never stops: there is no deep sleep */
		*e = (struct kvm_cpuid_entry2){.function = 6,
					       .eax = LEAF6_EAX_ARAT};
	e = cpuid_find(table, 0xa, 0);
	if (e) /* no performance counters: nothing to save, nothing to leak */
		*e = (struct kvm_cpuid_entry2){.function = 0xa};
	set_brand(table);
	if (is_amd(table))
		set_amd_topology(table, topo);
	else
		set_intel_caches(table, topo);
	e = cpuid_find(table, 0, 0);
	if (e && e->eax >= 0x1f && cpuid_find(table, 0x1f, 0))
		set_levels(table, 0x1f, topo);
	if (e && e->eax < 0xb)
		e->eax = 0xb;
	set_levels(table, 0xb, topo);
}

void cpuid_hide_nested(struct cpuid_table *table)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 1, 0);

	if (e)
		e->ecx &= ~LEAF1_ECX_VMX;
	e = cpuid_find(table, 0x80000001, 0);
	if (e)
		e->ecx &= ~LEAF80000001_ECX_SVM;
	cpuid_drop(table, LEAF_AMD_SVM);
}

void cpuid_set_vcpu(struct cpuid_table *table, unsigned int id,
		    const struct cpuid_topology *topo)
{
	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->room[i];

		switch (e->function) {
		case 1:
			e->ebx &= 0x00ffffff;
			e->ebx |= id << LEAF1_EBX_APIC_ID_SHIFT;
			break;
		case 0xb:
		case 0x1f:
			e->edx = id;
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = id;
			e->ebx = id / topo->threads_per_core |
				 (topo->threads_per_core - 1) << 8;
			e->ecx = 0; /* one node */
			break;
		default:
			break;
		}
	}
}
