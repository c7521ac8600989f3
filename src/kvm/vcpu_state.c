// SPDX-License-Identifier: Apache-2.0
/*
 * vcpu_state.c - everything a vCPU is (theory of operation: vcpu_state.h)
 */
#include "kvm/vcpu_state.h"

#include <errno.h>

/* What KVM_GET_XSAVE fills where there is no KVM_CAP_XSAVE2. */
#define XSAVE_BYTES_OLD 4096

#define MSR_TSC         0x10u

static int vcpu_state_call(struct kvm_vcpu *vcpu, unsigned long request,
			   const char *name, const void *arg, struct err *err)
{
	int r = kvm_call(vcpu->vm->kvm, vcpu->fd, request,
			 (void *)(uintptr_t)arg);

	if (r < 0)
		return err_set(err, r, "%s of vCPU %u failed: %s", name,
			       vcpu->id, err_name(r));
	return r;
}

#define CALL(vcpu, request, arg, err) \
	vcpu_state_call(vcpu, request, #request, arg, err)

/* Bytes of this host's XSAVE image; 0 when its CPU has none. */
static uint32_t xsave_bytes(struct kvm *kvm)
{
	int r;

	if (kvm_cap(kvm, KVM_CAP_XSAVE) == 0)
		return 0;
	r = kvm_cap(kvm, KVM_CAP_XSAVE2);
	return r > XSAVE_BYTES_OLD ? (uint32_t)r : XSAVE_BYTES_OLD;
}

/* ---- one part after the other ---- */

static int get_mp_state(struct kvm_vcpu *vcpu, struct vcpu_state *s,
			struct err *err)
{
	struct kvm_mp_state mp = {0};
	int r = CALL(vcpu, KVM_GET_MP_STATE, &mp, err);

	if (r == 0)
		s->mp_state = mp.mp_state;
	return r;
}

static int set_mp_state(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
			struct err *err)
{
	struct kvm_mp_state mp = {.mp_state = s->mp_state};

	return CALL(vcpu, KVM_SET_MP_STATE, &mp, err);
}

static int get_cpuid(struct kvm_vcpu *vcpu, struct vcpu_state *s,
		     struct err *err)
{
	s->cpuid.head.nent = CPUID_MAX_ENTRIES;
	return CALL(vcpu, KVM_GET_CPUID2, &s->cpuid, err);
}

static int set_cpuid(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		     struct err *err)
{
	return kvm_vcpu_set_cpuid(vcpu, &s->cpuid, err);
}

static int get_tsc_khz(struct kvm_vcpu *vcpu, struct vcpu_state *s,
		       struct err *err)
{
	int r = kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_GET_TSC_KHZ, NULL);

	(void)err; /* a host whose TSC is not stable does not tell */
	s->tsc_khz = r > 0 ? (uint32_t)r : 0;
	return 0;
}

/* The kernel's own tolerance for "the same frequency": 250 ppm. */
static bool same_khz(uint32_t a, uint32_t b)
{
	uint32_t apart = a > b ? a - b : b - a;

	return apart <= (uint64_t)b * 250 / 1000000;
}

static int set_tsc_khz(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		       struct err *err)
{
	int here = kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_GET_TSC_KHZ, NULL);
	int r;

	if (s->tsc_khz == 0 || here <= 0 ||
	    same_khz(s->tsc_khz, (uint32_t)here))
		return 0;
	r = kvm_call(vcpu->vm->kvm, vcpu->fd, KVM_SET_TSC_KHZ,
		     (void *)(uintptr_t)s->tsc_khz);
	if (r < 0)
		return err_set(err, r,
			       "The guest's TSC runs at %u kHz, this host's at "
			       "%d kHz, and its CPU cannot scale it: %s",
			       s->tsc_khz, here, err_name(r));
	return 0;
}

static int get_regs(struct kvm_vcpu *vcpu, struct vcpu_state *s,
		    struct err *err)
{
	return CALL(vcpu, KVM_GET_REGS, &s->regs, err);
}

static int set_regs(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		    struct err *err)
{
	return CALL(vcpu, KVM_SET_REGS, &s->regs, err);
}

static int get_sregs(struct kvm_vcpu *vcpu, struct vcpu_state *s,
		     struct err *err)
{
	return CALL(vcpu, KVM_GET_SREGS, &s->sregs, err);
}

static int set_sregs(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		     struct err *err)
{
	return CALL(vcpu, KVM_SET_SREGS, &s->sregs, err);
}

static int get_xcrs(struct kvm_vcpu *vcpu, struct vcpu_state *s,
		    struct err *err)
{
	struct kvm_xcrs xcrs = {0};
	int r;

	if (kvm_cap(vcpu->vm->kvm, KVM_CAP_XCRS) == 0)
		return 0;
	r = CALL(vcpu, KVM_GET_XCRS, &xcrs, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < xcrs.nr_xcrs && i < VCPU_XCRS_MAX; i++)
		s->xcrs[s->nr_xcrs++] =
			(struct vcpu_xcr){xcrs.xcrs[i].xcr, xcrs.xcrs[i].value};
	return 0;
}

static int set_xcrs(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		    struct err *err)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = s->nr_xcrs};

	if (s->nr_xcrs == 0)
		return 0;
	for (unsigned int i = 0; i < s->nr_xcrs; i++)
		xcrs.xcrs[i] = (struct kvm_xcr){.xcr = s->xcrs[i].xcr,
						.value = s->xcrs[i].value};
	return CALL(vcpu, KVM_SET_XCRS, &xcrs, err);
}

static int get_fpu(struct kvm_vcpu *vcpu, struct vcpu_state *s, struct err *err)
{
	struct kvm *kvm = vcpu->vm->kvm;

	s->xsave_bytes = xsave_bytes(kvm);
	if (s->xsave_bytes > sizeof(s->xsave))
		return err_set(err, -ENOTSUP,
			       "This host's XSAVE image has %u bytes; %zu are "
			       "the most that a snapshot holds",
			       s->xsave_bytes, sizeof(s->xsave));
	s->fpu.present = s->xsave_bytes == 0;
	if (s->fpu.present)
		return CALL(vcpu, KVM_GET_FPU, &s->fpu.regs, err);
	if (s->xsave_bytes > XSAVE_BYTES_OLD)
		return CALL(vcpu, KVM_GET_XSAVE2, s->xsave, err);
	return CALL(vcpu, KVM_GET_XSAVE, s->xsave, err);
}

static int set_fpu(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		   struct err *err)
{
	if (s->xsave_bytes == 0)
		return CALL(vcpu, KVM_SET_FPU, &s->fpu.regs, err);
	return CALL(vcpu, KVM_SET_XSAVE, s->xsave, err);
}

static int get_debugregs(struct kvm_vcpu *vcpu, struct vcpu_state *s,
			 struct err *err)
{
	return CALL(vcpu, KVM_GET_DEBUGREGS, &s->debugregs, err);
}

static int set_debugregs(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
			 struct err *err)
{
	return CALL(vcpu, KVM_SET_DEBUGREGS, &s->debugregs, err);
}

static int get_lapic(struct kvm_vcpu *vcpu, struct vcpu_state *s,
		     struct err *err)
{
	return CALL(vcpu, KVM_GET_LAPIC, &s->lapic, err);
}

static int set_lapic(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		     struct err *err)
{
	return CALL(vcpu, KVM_SET_LAPIC, &s->lapic, err);
}

static int set_msrs(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		    struct err *err)
{
	return msrs_set(vcpu, s->msrs, s->nr_msrs, err);
}

static int get_events(struct kvm_vcpu *vcpu, struct vcpu_state *s,
		      struct err *err)
{
	return CALL(vcpu, KVM_GET_VCPU_EVENTS, &s->events, err);
}

static int set_events(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		      struct err *err)
{
	return CALL(vcpu, KVM_SET_VCPU_EVENTS, &s->events, err);
}

static int tell_paused(struct kvm_vcpu *vcpu, const struct vcpu_state *s,
		       struct err *err)
{
	(void)s;
	(void)err;
	(void)kvm_vcpu_tell_paused(vcpu);
	return 0;
}

/* ---- in which order ---- */

typedef int get_fn(struct kvm_vcpu *vcpu, struct vcpu_state *state,
		   struct err *err);
typedef int set_fn(struct kvm_vcpu *vcpu, const struct vcpu_state *state,
		   struct err *err);

/*
 * The MP state first: reading it lets the kernel act on an INIT or SIPI that
 * waits, which changes registers and LAPIC. Events last: the others may queue.
 */
static get_fn *const get_order[] = {
	get_mp_state, get_cpuid, get_tsc_khz, get_regs,      get_sregs,
	get_xcrs,     get_fpu,   get_lapic,   get_debugregs,
};

/*
 * The order of the first version of this format, with two changes.
 *
 *   CPUID     first: the kernel judges all registers by the features in it,
 *             and sizes the extended state by it
 *   TSC kHz   before the TSC itself
 *   sregs     before everything that depends on the mode (APIC base, EFER)
 *   MP state  changed, was before sregs: KVM_SET_SREGS makes a halted boot
 *             CPU runnable again when it has the reset code segment
 *   regs
 *   FPU
 *   LAPIC     changed, was behind the MSRs: the kernel ignores the MSR of the
 *             TSC deadline while the LAPIC's timer is not in that mode
 *   MSRs
 *   XCRs
 *   debug
 *   events    last: KVM_SET_REGS drops a pending exception
 */
static set_fn *const set_order[] = {
	set_cpuid, set_tsc_khz,   set_sregs,  set_mp_state,
	set_regs,  set_fpu,       set_lapic,  set_msrs,
	set_xcrs,  set_debugregs, set_events, tell_paused,
};

int vcpu_state_get(struct kvm_vcpu *vcpu, const struct msr_list *list,
		   struct vcpu_state *state, struct err *err)
{
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(get_order); i++) {
		r = get_order[i](vcpu, state, err);
		if (r < 0)
			return r;
	}
	r = msrs_get(vcpu, list, state->msrs, &state->nr_msrs, err);
	return r < 0 ? r : get_events(vcpu, state, err);
}

int vcpu_state_set(struct kvm_vcpu *vcpu, const struct vcpu_state *state,
		   struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(set_order); i++) {
		int r = set_order[i](vcpu, state, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- a TSC that is set on ---- */

static uint64_t vcpu_ticks(uint64_t ns, uint32_t khz)
{
	return (uint64_t)((unsigned __int128)ns * khz / 1000000);
}

void vcpu_state_advance(struct vcpu_state *state, uint64_t ns)
{
	for (unsigned int i = 0; i < state->nr_msrs; i++)
		if (state->msrs[i].index == MSR_TSC)
			state->msrs[i].value += vcpu_ticks(ns, state->tsc_khz);
}
