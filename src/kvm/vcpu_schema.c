// SPDX-License-Identifier: Apache-2.0
/*
 * vcpu_schema.c - a saved vCPU as JSON (vcpu_state.h)
 *
 * Names are those of KVM's structs, so that Documentation/virt/kvm/api.rst
 * explains them. Registers are hex, counts and numbers decimal. What there is
 * many of (segments, MSRs, CPUID entries) is a row, without the names: they
 * were half of the text, and of the time that it takes to read it.
 */
#include "kvm/vcpu_state.h"

/* clang-format off */
#define B(type, member)    SCHEMA_STATE_BITS(struct type, member)
#define U(type, member)    SCHEMA_STATE_UINT(struct type, member)
#define N(name, type, member) SCHEMA_STATE_UINT_NAMED(name, struct type, member)
#define OF(type, fields)   SCHEMA_STATE_OF(struct type, fields)
#define ROW(type, fields)  SCHEMA_STATE_ROW_OF(struct type, fields)

static const struct schema_field regs_fields[] = {
	B(kvm_regs, rax), B(kvm_regs, rbx), B(kvm_regs, rcx), B(kvm_regs, rdx),
	B(kvm_regs, rsi), B(kvm_regs, rdi), B(kvm_regs, rsp), B(kvm_regs, rbp),
	B(kvm_regs, r8), B(kvm_regs, r9), B(kvm_regs, r10), B(kvm_regs, r11),
	B(kvm_regs, r12), B(kvm_regs, r13), B(kvm_regs, r14), B(kvm_regs, r15),
	B(kvm_regs, rip), B(kvm_regs, rflags),
};
static const struct schema_object regs = OF(kvm_regs, regs_fields);

static const struct schema_field segment_fields[] = {
	B(kvm_segment, base), B(kvm_segment, limit), B(kvm_segment, selector),
	U(kvm_segment, type), U(kvm_segment, present), U(kvm_segment, dpl),
	U(kvm_segment, db), U(kvm_segment, s), U(kvm_segment, l),
	U(kvm_segment, g), U(kvm_segment, avl), U(kvm_segment, unusable),
};
static const struct schema_object segment = ROW(kvm_segment, segment_fields);

static const struct schema_field dtable_fields[] = {
	B(kvm_dtable, base), B(kvm_dtable, limit),
};
static const struct schema_object dtable = ROW(kvm_dtable, dtable_fields);

static const struct schema_field number64 = {
	.type = SCHEMA_BITS, .size = sizeof(uint64_t),
};
static const struct schema_item item64 = {&number64, sizeof(uint64_t)};

#define S(member) SCHEMA_STATE_OBJECT(struct kvm_sregs, member, &segment)
static const struct schema_field sregs_fields[] = {
	S(cs), S(ds), S(es), S(fs), S(gs), S(ss), S(tr), S(ldt),
	SCHEMA_STATE_OBJECT(struct kvm_sregs, gdt, &dtable),
	SCHEMA_STATE_OBJECT(struct kvm_sregs, idt, &dtable),
	B(kvm_sregs, cr0), B(kvm_sregs, cr2), B(kvm_sregs, cr3),
	B(kvm_sregs, cr4), B(kvm_sregs, cr8), B(kvm_sregs, efer),
	B(kvm_sregs, apic_base),
	SCHEMA_STATE_ARRAY(struct kvm_sregs, interrupt_bitmap, &item64),
};
static const struct schema_object sregs = OF(kvm_sregs, sregs_fields);

static const struct schema_field debugregs_fields[] = {
	SCHEMA_STATE_ARRAY(struct kvm_debugregs, db, &item64),
	B(kvm_debugregs, dr6), B(kvm_debugregs, dr7), B(kvm_debugregs, flags),
};
static const struct schema_object debugregs =
	OF(kvm_debugregs, debugregs_fields);

#define E(name, member) N(name, kvm_vcpu_events, member)
static const struct schema_field events_fields[] = {
	E("exception_injected", exception.injected),
	E("exception_nr", exception.nr),
	E("exception_has_error_code", exception.has_error_code),
	E("exception_pending", exception.pending),
	E("exception_error_code", exception.error_code),
	E("exception_has_payload", exception_has_payload),
	E("exception_payload", exception_payload),
	E("interrupt_injected", interrupt.injected),
	E("interrupt_nr", interrupt.nr),
	E("interrupt_soft", interrupt.soft),
	E("interrupt_shadow", interrupt.shadow),
	E("nmi_injected", nmi.injected),
	E("nmi_pending", nmi.pending),
	E("nmi_masked", nmi.masked),
	E("sipi_vector", sipi_vector),
	E("flags", flags),
	E("smi_smm", smi.smm),
	E("smi_pending", smi.pending),
	E("smi_smm_inside_nmi", smi.smm_inside_nmi),
	E("smi_latched_init", smi.latched_init),
	E("triple_fault_pending", triple_fault.pending),
};
static const struct schema_object events = OF(kvm_vcpu_events, events_fields);

static const struct schema_field xcr_fields[] = {
	U(vcpu_xcr, xcr), B(vcpu_xcr, value),
};
static const struct schema_object xcr = ROW(vcpu_xcr, xcr_fields);
static const struct schema_item xcr_item =
	SCHEMA_STATE_ITEM(struct vcpu_xcr, &xcr);

static const struct schema_field fpu_fields[] = {
	SCHEMA_STATE_HEX(struct kvm_fpu, fpr),
	B(kvm_fpu, fcw), B(kvm_fpu, fsw), B(kvm_fpu, ftwx),
	B(kvm_fpu, last_opcode), B(kvm_fpu, last_ip), B(kvm_fpu, last_dp),
	SCHEMA_STATE_HEX(struct kvm_fpu, xmm),
	B(kvm_fpu, mxcsr),
};
static const struct schema_object fpu = OF(kvm_fpu, fpu_fields);

static const struct schema_field msr_fields[] = {
	B(msr_value, index), B(msr_value, value),
};
static const struct schema_object msr = ROW(msr_value, msr_fields);
static const struct schema_item msr_item =
	SCHEMA_STATE_ITEM(struct msr_value, &msr);

static const struct schema_field cpuid_fields[] = {
	B(kvm_cpuid_entry2, function), U(kvm_cpuid_entry2, index),
	U(kvm_cpuid_entry2, flags), B(kvm_cpuid_entry2, eax),
	B(kvm_cpuid_entry2, ebx), B(kvm_cpuid_entry2, ecx),
	B(kvm_cpuid_entry2, edx),
};
static const struct schema_object cpuid = ROW(kvm_cpuid_entry2, cpuid_fields);
static const struct schema_item cpuid_item =
	SCHEMA_STATE_ITEM(struct kvm_cpuid_entry2, &cpuid);

static const struct schema_field vcpu_schema_fields[] = {
	U(vcpu_state, mp_state),
	U(vcpu_state, tsc_khz),
	SCHEMA_STATE_OBJECT(struct vcpu_state, regs, &regs),
	SCHEMA_STATE_OBJECT(struct vcpu_state, sregs, &sregs),
	SCHEMA_STATE_OBJECT(struct vcpu_state, debugregs, &debugregs),
	SCHEMA_STATE_OBJECT(struct vcpu_state, events, &events),
	SCHEMA_STATE_COUNTED(SCHEMA_ARRAY, struct vcpu_state, xcrs, nr_xcrs,
			     .item = &xcr_item),
	U(vcpu_state, xsave_bytes),
	SCHEMA_STATE_HEX(struct vcpu_state, xsave),
	{
		.name = "fpu",
		.type = SCHEMA_OBJECT,
		.flags = SCHEMA_HAS | SCHEMA_OMIT,
		.has = offsetof(struct vcpu_state, fpu.present),
		SCHEMA_AT(struct vcpu_state, fpu.regs),
		.object = &fpu,
	},
	{
		SCHEMA_STATE("lapic", SCHEMA_HEX, struct vcpu_state,
			     lapic.regs),
	},
	SCHEMA_STATE_COUNTED(SCHEMA_ARRAY, struct vcpu_state, msrs, nr_msrs,
			     .item = &msr_item),
	{
		.name = "cpuid",
		.type = SCHEMA_ARRAY,
		.flags = SCHEMA_REQUIRED | SCHEMA_COUNTED,
		SCHEMA_AT(struct vcpu_state, cpuid.room),
		.count = offsetof(struct vcpu_state, cpuid.head.nent),
		.item = &cpuid_item,
	},
};
/* clang-format on */

const struct schema_object vcpu_state_schema =
	OF(vcpu_state, vcpu_schema_fields);
