// SPDX-License-Identifier: Apache-2.0
/*
 * vcpu_check.c - can this host run a saved vCPU, before anything is created
 *
 * What the guest was told (its CPUID) is compared, feature by feature, with
 * what this host's KVM can virtualise. That list costs more than most other
 * calls, so it is not read when the host is the one that made the snapshot:
 * same features, same kernel.
 */
#include "kvm/vcpu_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LEAF1_ECX_VMX        (1u << 5)
#define LEAF80000001_ECX_SVM (1u << 2)

#define NAMED_MAX            6u /* features in one sentence */

enum reg { EAX, EBX, ECX, EDX };

/**
 * struct feature_word - a register of CPUID whose bits are features
 * @ignore:	bits that say something else, or that KVM need not list
 */
struct feature_word {
	uint32_t leaf;
	uint32_t index;
	enum reg reg;
	uint32_t ignore;
};

static const struct feature_word vcpu_check_words[] = {
	/* TSC deadline, OSXSAVE, hypervisor */
	{0x1, 0, ECX, 1u << 24 | 1u << 27 | 1u << 31},
	{0x1, 0, EDX, 1u << 28}, /* HTT: topology */
	{0x7, 0, EBX, 0},
	{0x7, 0, ECX, 1u << 4}, /* OSPKE */
	{0x7, 0, EDX, 0},
	{0x7, 1, EAX, 0},
	{0xd, 0, EAX, 0}, /* XCR0 */
	{0xd, 1, EAX, 0},
	{0x40000001, 0, EAX, 0}, /* KVM's own */
	/* CmpLegacy, TopologyExtensions */
	{0x80000001, 0, ECX, 1u << 1 | 1u << 22},
	{0x80000001, 0, EDX, 0},
	{0x80000007, 0, EDX, 0},
	{0x80000008, 0, EBX, 0},
};

static const struct {
	uint32_t leaf;
	enum reg reg;
	unsigned int bit;
	const char *name;
} vcpu_check_names[] = {
	{0x1, ECX, 0, "sse3"},
	{0x1, ECX, 9, "ssse3"},
	{0x1, ECX, 12, "fma"},
	{0x1, ECX, 13, "cx16"},
	{0x1, ECX, 19, "sse4_1"},
	{0x1, ECX, 20, "sse4_2"},
	{0x1, ECX, 21, "x2apic"},
	{0x1, ECX, 22, "movbe"},
	{0x1, ECX, 23, "popcnt"},
	{0x1, ECX, 25, "aes"},
	{0x1, ECX, 26, "xsave"},
	{0x1, ECX, 28, "avx"},
	{0x1, ECX, 29, "f16c"},
	{0x1, ECX, 30, "rdrand"},
	{0x7, EBX, 3, "bmi1"},
	{0x7, EBX, 5, "avx2"},
	{0x7, EBX, 8, "bmi2"},
	{0x7, EBX, 16, "avx512f"},
	{0x7, EBX, 17, "avx512dq"},
	{0x7, EBX, 18, "rdseed"},
	{0x7, EBX, 19, "adx"},
	{0x7, EBX, 29, "sha_ni"},
	{0x7, EBX, 30, "avx512bw"},
	{0x7, EBX, 31, "avx512vl"},
	{0x7, ECX, 8, "gfni"},
	{0x7, ECX, 9, "vaes"},
	{0x7, EDX, 24, "amx_tile"},
	{0xd, EAX, 2, "ymm state"},
	{0xd, EAX, 5, "opmask state"},
	{0x80000001, ECX, 5, "abm"},
	{0x80000001, EDX, 26, "pdpe1gb"},
	{0x80000001, EDX, 27, "rdtscp"},
};

static uint32_t reg_of(const struct kvm_cpuid_entry2 *e, enum reg reg)
{
	const uint32_t values[] = {e->eax, e->ebx, e->ecx, e->edx};

	return values[reg];
}

static const struct kvm_cpuid_entry2 *
vcpu_check_find(const struct kvm_cpuid_entry2 *e, unsigned int nr,
		uint32_t leaf, uint32_t index)
{
	for (unsigned int i = 0; i < nr; i++)
		if (e[i].function == leaf && e[i].index == index)
			return &e[i];
	return NULL;
}

static void name_bit(const struct feature_word *w, unsigned int bit, char *text,
		     size_t size)
{
	static const char *const regs[] = {"EAX", "EBX", "ECX", "EDX"};
	size_t n = strnlen(text, size);

	for (size_t i = 0; i < ARRAY_SIZE(vcpu_check_names); i++) {
		if (vcpu_check_names[i].leaf == w->leaf &&
		    vcpu_check_names[i].reg == w->reg &&
		    vcpu_check_names[i].bit == bit && w->index == 0) {
			(void)snprintf(text + n, size - n, "%s%s",
				       n ? ", " : "", vcpu_check_names[i].name);
			return;
		}
	}
	(void)snprintf(text + n, size - n, "%sCPUID 0x%x.%u %s bit %u",
		       n ? ", " : "", w->leaf, w->index, regs[w->reg], bit);
}

/*
 * A KVM that works without VT-x or AMD-V runs the guest's user code on the bare
 * CPU, and what that CPU can the guest can, listed or not.
 */
static bool runs_bare(void)
{
	uint32_t a, b, c, d, amd;

	host_cpuid(0x80000001, 0, &a, &b, &amd, &d);
	host_cpuid(1, 0, &a, &b, &c, &d);
	return !(c & LEAF1_ECX_VMX) && !(amd & LEAF80000001_ECX_SVM);
}

static uint32_t host_has(const struct cpuid_table *host,
			 const struct feature_word *w, bool bare)
{
	const struct kvm_cpuid_entry2 *e =
		vcpu_check_find(host->room, host->head.nent, w->leaf, w->index);
	struct kvm_cpuid_entry2 cpu;

	if (!bare)
		return e ? reg_of(e, w->reg) : 0;
	host_cpuid(w->leaf, w->index, &cpu.eax, &cpu.ebx, &cpu.ecx, &cpu.edx);
	return reg_of(&cpu, w->reg) | (e ? reg_of(e, w->reg) : 0);
}

static int compare(const struct cpuid_table *host, const struct vcpu_state *s,
		   struct err *err)
{
	const struct kvm_cpuid_entry2 *ours, *theirs;
	bool bare = runs_bare();
	unsigned int missing = 0;
	char text[256] = "";

	ours = vcpu_check_find(host->room, host->head.nent, 0, 0);
	theirs = vcpu_check_find(s->cpuid.room, s->cpuid.head.nent, 0, 0);
	if (ours && theirs && ours->ebx != theirs->ebx)
		return err_set(err, -ENOTSUP,
			       "The snapshot is of a CPU of another vendor "
			       "(%.4s..., this host: %.4s...)",
			       (const char *)&theirs->ebx,
			       (const char *)&ours->ebx);
	for (size_t i = 0; i < ARRAY_SIZE(vcpu_check_words); i++) {
		const struct feature_word *w = &vcpu_check_words[i];
		uint32_t lacks;

		theirs = vcpu_check_find(s->cpuid.room, s->cpuid.head.nent,
					 w->leaf, w->index);
		if (!theirs)
			continue;
		lacks = reg_of(theirs, w->reg) & ~w->ignore &
			~host_has(host, w, bare);
		for (unsigned int bit = 0; bit < 32; bit++) {
			if (!(lacks & 1u << bit))
				continue;
			if (missing++ < NAMED_MAX)
				name_bit(w, bit, text, sizeof(text));
		}
	}
	if (missing == 0)
		return 0;
	return err_set(err, -ENOTSUP,
		       "This host's CPU and KVM lack %u feature%s that the "
		       "guest was given: %s%s",
		       missing, missing == 1 ? "" : "s", text,
		       missing > NAMED_MAX ? "..." : "");
}

static int check_cpuid(struct kvm *kvm, const struct vcpu_state *s,
		       struct err *err)
{
	struct cpuid_table *host = malloc(sizeof(*host));
	int r;

	if (!host)
		return err_set(err, -ENOMEM, "Out of memory");
	r = cpuid_read_supported(kvm, host, err);
	if (r == 0)
		r = compare(host, s, err);
	free(host);
	return r;
}

static int check_xsave(struct kvm *kvm, const struct vcpu_state *s,
		       struct err *err)
{
	size_t used =
		s->xsave_bytes ? used_bytes(s->xsave, sizeof(s->xsave)) : 0;
	size_t have = 0;

	if (kvm_cap(kvm, KVM_CAP_XSAVE) != 0) {
		have = (size_t)kvm_cap(kvm, KVM_CAP_XSAVE2);
		have = have ? have : 4096;
	}
	if (have > sizeof(s->xsave) || used > have ||
	    (s->xsave_bytes > 0) != (have > 0))
		return err_set(err, -ENOTSUP,
			       "The snapshot holds %zu bytes of extended "
			       "registers (XSAVE), this host's CPU has %zu",
			       used, have);
	return 0;
}

static bool vcpu_check_lists(const struct msr_list *list, uint32_t index)
{
	for (unsigned int i = 0; i < list->nr; i++)
		if (list->index[i] == index)
			return true;
	return false;
}

static int check_msrs(struct kvm *kvm, const struct vcpu_state *s,
		      struct err *err)
{
	struct msr_list list;
	int r = msrs_list(kvm, &list, err);

	for (unsigned int i = 0; r == 0 && i < s->nr_msrs; i++)
		if (s->msrs[i].value != 0 &&
		    !vcpu_check_lists(&list, s->msrs[i].index))
			r = err_set(err, -ENOTSUP,
				    "This host's KVM lacks MSR 0x%x, which "
				    "the guest uses (0x%llx)",
				    s->msrs[i].index,
				    (unsigned long long)s->msrs[i].value);
	return r;
}

int vcpu_state_check(struct kvm *kvm, const struct vcpu_state *state,
		     bool same_host, struct err *err)
{
	int r = check_xsave(kvm, state, err);

	if (r == 0 && !same_host)
		r = check_cpuid(kvm, state, err);
	return r < 0 ? r : check_msrs(kvm, state, err);
}

void host_features_read(struct host_features *f)
{
	uint32_t *w = f->word;
	uint32_t a, b, c, d, max;

	memset(f, 0, sizeof(*f));
	host_cpuid(0, 0, &max, &b, &c, &d);
	w[0] = b;
	host_cpuid(1, 0, &a, &b, &c, &d);
	w[1] = a;
	w[2] = c;
	w[3] = d;
	if (max >= 7) {
		host_cpuid(7, 0, &a, &b, &c, &d);
		w[4] = b;
		w[5] = c;
		w[6] = d;
	}
	if (max >= 0xd) {
		host_cpuid(0xd, 0, &a, &b, &c, &d);
		w[7] = a;
		host_cpuid(0xd, 1, &a, &b, &c, &d);
		w[8] = a;
	}
	host_cpuid(0x80000001, 0, &a, &b, &c, &d);
	w[9] = c;
	w[10] = d;
}
