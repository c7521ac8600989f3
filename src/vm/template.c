// SPDX-License-Identifier: Apache-2.0
/*
 * template.c - a CPU template (theory of operation: template.h)
 */
#include "vm/template.h"

#include <errno.h>

int template_check(const struct cpu_config *cpu, struct kvm *kvm,
		   struct err *err)
{
	const struct cpu_capability *c = cpu->kvm_capabilities.items;

	for (size_t i = 0; i < cpu->kvm_capabilities.nr; i++)
		if (!c[i].removed && (c[i].number > INT32_MAX ||
				      kvm_cap(kvm, (int)c[i].number) == 0))
			return err_set(err, -ENOTSUP,
				       "Missing KVM capability: %u, which "
				       "/cpu-config demands of this host",
				       c[i].number);
	return 0;
}

static uint32_t *cpuid_register(struct kvm_cpuid_entry2 *entry, uint32_t which)
{
	return which == CPU_EAX   ? &entry->eax
	       : which == CPU_EBX ? &entry->ebx
	       : which == CPU_ECX ? &entry->ecx
				  : &entry->edx;
}

int template_set_cpuid(const struct cpu_config *cpu, struct cpuid_table *table,
		       struct err *err)
{
	const struct cpu_leaf_change *leaf = cpu->cpuid_modifiers.items;

	for (size_t i = 0; i < cpu->cpuid_modifiers.nr; i++, leaf++) {
		const struct cpu_register_change *r = leaf->modifiers.items;
		struct kvm_cpuid_entry2 *entry =
			cpuid_find(table, leaf->leaf, leaf->subleaf);

		if (!entry)
			return err_set(err, -ENOTSUP,
				       "Template changes a CPUID entry not "
				       "supported by KVM: Leaf: 0x%x, Subleaf: "
				       "0x%x",
				       leaf->leaf, leaf->subleaf);
		entry->flags = leaf->flags;
		for (size_t j = 0; j < leaf->modifiers.nr; j++, r++) {
			uint32_t *value = cpuid_register(entry, r->which);

			*value &= ~(uint32_t)r->bitmap.filter;
			*value |= (uint32_t)r->bitmap.value;
		}
	}
	return 0;
}

int template_set_msrs(const struct cpu_config *cpu, struct kvm_vcpu *vcpu,
		      struct err *err)
{
	const struct cpu_msr_change *msr = cpu->msr_modifiers.items;
	int r = 0;

	for (size_t i = 0; i < cpu->msr_modifiers.nr && r == 0; i++, msr++) {
		const struct msr_list one = {.nr = 1, .index = {msr->addr}};
		struct msr_value value;
		unsigned int nr;

		r = msrs_get(vcpu, &one, &value, &nr, err);
		if (r == 0 && nr == 0)
			return err_set(err, -ENOTSUP,
				       "Template changes an MSR entry not "
				       "supported by KVM: Register Address: "
				       "0x%x",
				       msr->addr);
		if (r < 0)
			return r;
		value.value &= ~msr->bitmap.filter;
		value.value |= msr->bitmap.value;
		r = msrs_set(vcpu, &value, 1, err);
	}
	return r;
}

int template_list_msrs(const struct cpu_config *cpu, struct msr_list *list,
		       struct err *err)
{
	const struct cpu_msr_change *msr = cpu->msr_modifiers.items;
	int r = 0;

	for (size_t i = 0; i < cpu->msr_modifiers.nr && r == 0; i++)
		r = msrs_list_also(list, msr[i].addr);
	return r < 0 ? err_set(err, r,
			       "The CPU template changes more MSRs than a "
			       "snapshot can hold (%u)",
			       MSRS_MAX)
		     : 0;
}
