// SPDX-License-Identifier: Apache-2.0
/*
 * msrs.c - model-specific registers, saved and restored (msrs.h)
 */
#include "kvm/msrs.h"

#include <errno.h>

/* Fewer than KVM takes, more than any host has. */
#define PER_CALL 240u

struct msr_io {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[PER_CALL];
};

static unsigned int at_once(unsigned int nr)
{
	return nr < PER_CALL ? nr : PER_CALL;
}

struct msr_index_io {
	struct kvm_msr_list head;
	uint32_t index[MSRS_MAX];
};

/*
 * What the kernel's list may lack. Intel SDM 4, AMD APM 2 appendix A. The bases
 * of FS and GS and the APIC's are in struct kvm_sregs.
 */
/* clang-format off */
static const uint32_t more[] = {
	0x48,                               /* SPEC_CTRL */
	0x174, 0x175, 0x176,                /* SYSENTER_CS, _ESP, _EIP */
	0x1a0,                              /* MISC_ENABLE */
	0x200, 0x201, 0x202, 0x203,         /* MTRR_PHYSBASE0, _PHYSMASK0 */
	0x204, 0x205, 0x206, 0x207,
	0x208, 0x209, 0x20a, 0x20b,
	0x20c, 0x20d, 0x20e, 0x20f,         /* to 7 */
	0x250, 0x258, 0x259,                /* MTRR_FIX64K, FIX16K */
	0x268, 0x269, 0x26a, 0x26b,         /* MTRR_FIX4K */
	0x26c, 0x26d, 0x26e, 0x26f,
	0x277,                              /* PAT */
	0x2ff,                              /* MTRR_DEF_TYPE */
	0x38d, 0x38f,                       /* counter controls */
	0xc0000080,                         /* EFER */
	0xc0000081, 0xc0000082, 0xc0000083, /* STAR, LSTAR, CSTAR */
	0xc0000084,                         /* SFMASK */
	0xc0000102,                         /* kernel GS base */
	0xc0000103,                         /* TSC_AUX */
};
/* clang-format on */

/* Each bank of machine checks has four; a guest writes the first of them. */
#define MSR_MC0_CTL 0x400u
#define MC_BANKS    32u
#define MC_STEP     4u

/* Most indices are low. A bit for each that a list has: a restore waits. */
#define LOW_MSRS 0x1000u

struct low_msrs {
	uint64_t bits[LOW_MSRS / 64];
};

static bool has(const struct msr_list *list, const struct low_msrs *low,
		uint32_t index)
{
	if (index < LOW_MSRS)
		return low->bits[index / 64] & 1ull << index % 64;
	for (unsigned int i = 0; i < list->nr; i++)
		if (list->index[i] == index)
			return true;
	return false;
}

static void msrs_append(struct msr_list *list, struct low_msrs *low,
			uint32_t index)
{
	list->index[list->nr++] = index;
	if (index < LOW_MSRS)
		low->bits[index / 64] |= 1ull << index % 64;
}

static void msrs_add(struct msr_list *list, struct low_msrs *low,
		     uint32_t index)
{
	if (list->nr < MSRS_MAX && !has(list, low, index))
		msrs_append(list, low, index);
}

/*
 * The TSC comes as late as it can, so that it is most exact, and its deadline
 * after it: a deadline that the old count has passed would fire at once.
 */
static bool comes_last(uint32_t index)
{
	return index == MSR_IA32_TSC || index == MSR_IA32_TSC_DEADLINE;
}

int msrs_list(struct kvm *kvm, struct msr_list *list, struct err *err)
{
	struct msr_index_io io = {.head.nmsrs = MSRS_MAX};
	struct low_msrs low = {0};
	int r = kvm_call(kvm, kvm->fd, KVM_GET_MSR_INDEX_LIST, &io);

	if (r < 0)
		return err_set(err, r, "KVM_GET_MSR_INDEX_LIST failed: %s",
			       err_name(r));
	list->nr = 0; /* the kernel lists each but once */
	for (uint32_t i = 0; i < io.head.nmsrs && i < MSRS_MAX; i++)
		if (!comes_last(io.index[i]))
			msrs_append(list, &low, io.index[i]);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		msrs_add(list, &low, more[i]);
	for (uint32_t i = 0; i < MC_BANKS; i++)
		msrs_add(list, &low, MSR_MC0_CTL + i * MC_STEP);
	list->nr = list->nr < MSRS_MAX - 2 ? list->nr : MSRS_MAX - 2;
	msrs_add(list, &low, MSR_IA32_TSC);
	msrs_add(list, &low, MSR_IA32_TSC_DEADLINE);
	return 0;
}

int msrs_list_also(struct msr_list *list, uint32_t index)
{
	unsigned int at = list->nr;

	for (unsigned int i = 0; i < list->nr; i++)
		if (list->index[i] == index)
			return 0;
	if (list->nr == MSRS_MAX)
		return -E2BIG;
	for (; at > 0 && comes_last(list->index[at - 1]); at--)
		list->index[at] = list->index[at - 1];
	list->index[at] = index;
	list->nr++;
	return 0;
}

/* The kernel stops at the first it cannot read: go on behind it. */
int msrs_get(struct kvm_vcpu *vcpu, const struct msr_list *list,
	     struct msr_value *values, unsigned int *nr, struct err *err)
{
	struct msr_io io;
	unsigned int at = 0;

	*nr = 0;
	while (at < list->nr) {
		unsigned int n = at_once(list->nr - at);
		int r;

		io.head = (struct kvm_msrs){.nmsrs = n};
		for (unsigned int i = 0; i < n; i++)
			io.entry[i] = (struct kvm_msr_entry){
				.index = list->index[at + i]};
		r = kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_GET_MSRS, &io);
		if (r < 0 || r > (int)n)
			return err_set(err, r < 0 ? r : -EIO,
				       "KVM_GET_MSRS of vCPU %u failed: %s",
				       vcpu->id, err_name(r < 0 ? r : -EIO));
		for (int i = 0; i < r; i++)
			values[(*nr)++] = (struct msr_value){io.entry[i].index,
							     io.entry[i].data};
		at += (unsigned int)r + ((unsigned int)r < n);
	}
	return 0;
}

/* One that cannot be read either is not there: zero is all it can be. */
static bool has_value(struct kvm_vcpu *vcpu, const struct msr_value *msr)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} io = {.head.nmsrs = 1, .entry.index = msr->index};

	if (kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_GET_MSRS, &io) != 1)
		return msr->value == 0;
	return io.entry.data == msr->value;
}

int msrs_set(struct kvm_vcpu *vcpu, const struct msr_value *values,
	     unsigned int nr, struct err *err)
{
	struct msr_io io;
	unsigned int at = 0;

	assert(nr <= MSRS_MAX);
	while (at < nr) {
		unsigned int n = at_once(nr - at);
		int r;

		io.head = (struct kvm_msrs){.nmsrs = n};
		for (unsigned int i = 0; i < n; i++)
			io.entry[i] = (struct kvm_msr_entry){
				.index = values[at + i].index,
				.data = values[at + i].value};
		r = kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_SET_MSRS, &io);
		if (r < 0)
			return err_set(err, r,
				       "KVM_SET_MSRS of vCPU %u failed: %s",
				       vcpu->id, err_name(r));
		at += (unsigned int)r;
		if ((unsigned int)r == n)
			continue;
		if (!has_value(vcpu, &values[at]))
			return err_set(err, -EINVAL,
				       "This host's KVM does not take 0x%llx "
				       "for MSR 0x%x of vCPU %u",
				       (unsigned long long)values[at].value,
				       values[at].index, vcpu->id);
		at++;
	}
	return 0;
}
