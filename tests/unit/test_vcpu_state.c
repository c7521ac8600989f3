// SPDX-License-Identifier: Apache-2.0
/*
 * test_vcpu_state.c - a vCPU's state through JSON into another vCPU, on the
 * host's KVM (skipped where there is none)
 */
#include "unit.h"

#include "base/fd.h"
#include "host/path.h"
#include "kvm/vcpu_state.h"
#include "kvm/vm_state.h"

#include <errno.h>
#include <stdlib.h>

#define MSR_LSTAR 0xc0000082u

/* LAPIC registers (Intel SDM 3A 10.4.1) */
#define LAPIC_SVR        0xf0
#define LAPIC_IRR        0x200
#define LAPIC_LVT_TIMER  0x320
#define LVT_TSC_DEADLINE (2u << 17)

/* A machine of one vCPU. */
struct world {
	struct kvm kvm;
	struct gmem mem;
	struct kvm_vm vm;
	struct kvm_vcpu vcpu;
};

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

static int open_kvm(struct kvm *kvm, struct err *err)
{
	return kvm_open(kvm, path_open(&path_direct, PATH_KVM, NULL, err), err);
}

static void world_make(struct world *w, bool split)
{
	struct cpuid_topology topo = {1, 1};
	static struct cpuid_table cpuid;
	struct err err;

	must(open_kvm(&w->kvm, &err), &err);
	must(gmem_init(&w->mem, MIB(16), GMEM_PAGES_DEFAULT, &err), &err);
	must(kvm_vm_init(&w->vm, &w->kvm, &err), &err);
	must(kvm_vm_set_memory(&w->vm, &w->mem, &err), &err);
	must(kvm_irqchip_init(&w->vm, split, &err), &err);
	must(kvm_vcpu_init(&w->vcpu, &w->vm, 0, &err), &err);
	must(cpuid_read_supported(&w->kvm, &cpuid, &err), &err);
	cpuid_prepare(&cpuid, w->kvm.has_tsc_deadline, &topo);
	cpuid_set_vcpu(&cpuid, 0, &topo);
	must(kvm_vcpu_set_cpuid(&w->vcpu, &cpuid, &err), &err);
}

static void world_free(struct world *w)
{
	kvm_vcpu_fini(&w->vcpu);
	kvm_vm_fini(&w->vm);
	kvm_close(&w->kvm);
	gmem_fini(&w->mem);
}

/* A second machine, without CPUID: as a restore finds it. */
static void world_bare(struct world *w, bool split)
{
	struct err err;

	must(open_kvm(&w->kvm, &err), &err);
	must(gmem_init(&w->mem, MIB(16), GMEM_PAGES_DEFAULT, &err), &err);
	must(kvm_vm_init(&w->vm, &w->kvm, &err), &err);
	must(kvm_vm_set_memory(&w->vm, &w->mem, &err), &err);
	must(kvm_irqchip_init(&w->vm, split, &err), &err);
	must(kvm_vcpu_init(&w->vcpu, &w->vm, 0, &err), &err);
}

static void skip_without_kvm(void)
{
	struct kvm kvm;

	if (open_kvm(&kvm, NULL) < 0)
		skip();
	kvm_close(&kvm);
}

static struct vcpu_state *get(struct kvm_vcpu *vcpu)
{
	struct vcpu_state *s = calloc(1, sizeof(*s));
	struct msr_list list;
	struct err err;

	assert_non_null(s);
	must(msrs_list(vcpu->vm->kvm, &list, &err), &err);
	must(vcpu_state_get(vcpu, &list, s, &err), &err);
	return s;
}

static struct msr_value *msr(struct vcpu_state *s, uint32_t index)
{
	for (unsigned int i = 0; i < s->nr_msrs; i++)
		if (s->msrs[i].index == index)
			return &s->msrs[i];
	fail_msg("MSR 0x%x is not in the state", index);
	return s->msrs;
}

/* Through text and back; @s is freed. */
static struct vcpu_state *through_json(struct vcpu_state *s)
{
	struct vcpu_state *copy = calloc(1, sizeof(*copy));
	cleanup_buf struct buf text = {0}, again = {0};
	struct schema_seen seen;
	struct err err;

	assert_non_null(copy);
	schema_encode(&vcpu_state_schema, s, &text);
	assert_false(text.failed);
	must(schema_decode_text(&vcpu_state_schema, text.data, text.len, copy,
				&seen, &err),
	     &err);
	schema_encode(&vcpu_state_schema, copy, &again);
	assert_int_equal(text.len, again.len);
	assert_memory_equal(text.data, again.data, text.len);
	free(s);
	return copy;
}

static void set_rdtsc(struct vcpu_state *s, uint64_t value)
{
	msr(s, MSR_IA32_TSC)->value = value;
}

/* All that a guest can see, at values that are nobody's default. */
static void fill(struct vcpu_state *s)
{
	uint64_t *reg = (uint64_t *)&s->regs;

	for (unsigned int i = 0; i < 16; i++) /* rax to r15 */
		reg[i] = 0x1111111111111111ull * i + 0x0123456789abcdefull;
	s->regs.rip = 0x2000;
	s->regs.rflags = 0x246;
	s->sregs.fs.base = 0x1234000;
	s->sregs.gs.base = 0x5678000;
	s->sregs.gdt = (struct kvm_dtable){.base = 0x3000, .limit = 0x1f};
	s->sregs.idt = (struct kvm_dtable){.base = 0x4000, .limit = 0xfff};
	s->sregs.cr2 = 0xdead000;
	s->sregs.cr4 |= 1u << 9; /* OSFXSR */
	s->sregs.cr8 = 3;
	for (unsigned int i = 0; i < 4; i++)
		s->debugregs.db[i] = 0x1000 * (i + 1);
	s->debugregs.dr7 |= 1;
	msr(s, MSR_LSTAR)->value = 0xffffffff81234567;
	msr(s, 0x174)->value = 0x10;
	msr(s, 0xc0000102)->value = 0xffff888000000000;
	set_rdtsc(s, 1000000000000ull);
	store_le32(&s->lapic.regs[LAPIC_SVR], 0x1ff);
	store_le32(&s->lapic.regs[0x80], 0x30); /* TPR, as cr8 has it */
	store_le32(&s->lapic.regs[LAPIC_IRR + 0x10], 1u << 1); /* vector 33 */
}

/* FXSAVE image: control words, ST0, XMM0 and XMM15; then XSTATE_BV. */
static void fill_fpu(struct vcpu_state *s)
{
	uint8_t *x = s->xsave_bytes ? s->xsave : NULL;

	if (!x) {
		s->fpu.regs.fcw = 0x27f;
		s->fpu.regs.mxcsr = 0x1fa0;
		memset(s->fpu.regs.xmm[15], 0x5a, 16);
		return;
	}
	store_le16(x, 0x27f);
	store_le32(x + 24, 0x1fa0);
	memset(x + 160, 0xa5, 16);
	memset(x + 160 + 15 * 16, 0x5a, 16);
	store_le64(x + 512, 3);
	if (s->nr_xcrs > 0 && (s->cpuid.room[0].eax >= 0xd)) {
		s->xcrs[0].value = 7;
		store_le64(x + 512, 7);
		memset(x + 576, 0x77, 16); /* upper half of YMM0 */
	}
}

static void assert_same_msrs(const struct vcpu_state *a,
			     const struct vcpu_state *b)
{
	assert_int_equal(a->nr_msrs, b->nr_msrs);
	for (unsigned int i = 0; i < a->nr_msrs; i++) {
		assert_int_equal(a->msrs[i].index, b->msrs[i].index);
		if (a->msrs[i].index == MSR_IA32_TSC) /* it runs */
			assert_in_range(b->msrs[i].value, a->msrs[i].value,
					a->msrs[i].value + 60000000000ull);
		else if (a->msrs[i].value != b->msrs[i].value)
			fail_msg("MSR 0x%x: 0x%llx, not 0x%llx",
				 a->msrs[i].index,
				 (unsigned long long)b->msrs[i].value,
				 (unsigned long long)a->msrs[i].value);
	}
}

static void assert_same(const struct vcpu_state *a, const struct vcpu_state *b)
{
	assert_memory_equal(&a->regs, &b->regs, sizeof(a->regs));
	assert_memory_equal(&a->sregs, &b->sregs, sizeof(a->sregs));
	assert_memory_equal(&a->debugregs, &b->debugregs, sizeof(a->debugregs));
	assert_memory_equal(&a->events, &b->events, sizeof(a->events));
	assert_int_equal(a->xsave_bytes, b->xsave_bytes);
	assert_memory_equal(a->xsave, b->xsave, sizeof(a->xsave));
	assert_memory_equal(&a->fpu, &b->fpu, sizeof(a->fpu));
	assert_memory_equal(&a->xcrs, &b->xcrs, sizeof(a->xcrs));
	assert_memory_equal(&a->lapic, &b->lapic, sizeof(a->lapic));
	assert_int_equal(a->mp_state, b->mp_state);
	assert_int_equal(a->tsc_khz, b->tsc_khz);
	assert_int_equal(a->cpuid.head.nent, b->cpuid.head.nent);
	assert_memory_equal(a->cpuid.room, b->cpuid.room,
			    a->cpuid.head.nent * sizeof(a->cpuid.room[0]));
	assert_same_msrs(a, b);
}

/* Set @s on a bare vCPU and read it back; @s is kept. */
static struct vcpu_state *set_and_get(const struct vcpu_state *s)
{
	struct vcpu_state *back;
	struct world w;
	struct err err;

	world_bare(&w, true);
	must(vcpu_state_check(&w.kvm, s, false, &err), &err);
	must(vcpu_state_set(&w.vcpu, s, &err), &err);
	back = get(&w.vcpu);
	world_free(&w);
	return back;
}

static void everything_comes_back(void **state)
{
	struct vcpu_state *s, *once, *twice;
	struct world w;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	s = get(&w.vcpu);
	world_free(&w);
	fill(s);
	fill_fpu(s);
	s = through_json(s);
	once = set_and_get(s);
	/* What was asked for is there... */
	assert_memory_equal(&s->regs, &once->regs, sizeof(s->regs));
	assert_int_equal(once->sregs.fs.base, 0x1234000);
	assert_int_equal(once->sregs.cr8, 3);
	assert_int_equal(once->debugregs.db[3], 0x4000);
	assert_int_equal(msr(once, MSR_LSTAR)->value, 0xffffffff81234567);
	assert_int_equal(load_le32(&once->lapic.regs[LAPIC_IRR + 0x10]), 2);
	if (s->xsave_bytes) {
		assert_int_equal(load_le16(once->xsave), 0x27f);
		assert_memory_equal(once->xsave + 160, s->xsave + 160, 256);
		assert_memory_equal(once->xsave + 576, s->xsave + 576, 16);
		assert_memory_equal(s->xcrs, once->xcrs, sizeof(s->xcrs));
	} else {
		assert_memory_equal(s->fpu.regs.xmm, once->fpu.regs.xmm,
				    sizeof(s->fpu.regs.xmm));
	}
	/* ...and the second time nothing changes at all. */
	twice = set_and_get(once);
	assert_same(once, twice);
	free(s);
	free(once);
	free(twice);
}

static void tsc_deadline_needs_the_lapic(void **state)
{
	struct vcpu_state *s, *back;
	struct world w;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	if (!w.kvm.has_tsc_deadline) {
		world_free(&w);
		skip();
	}
	s = get(&w.vcpu);
	world_free(&w);
	store_le32(&s->lapic.regs[LAPIC_SVR], 0x1ff);
	store_le32(&s->lapic.regs[LAPIC_LVT_TIMER], LVT_TSC_DEADLINE | 0x40);
	set_rdtsc(s, 5000);
	msr(s, MSR_IA32_TSC_DEADLINE)->value = 1ull << 50;
	back = set_and_get(s);
	assert_int_equal(msr(back, MSR_IA32_TSC_DEADLINE)->value, 1ull << 50);
	free(s);
	free(back);
}

static void a_halted_boot_cpu_stays_halted(void **state)
{
	struct vcpu_state *s, *back;
	struct world w;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	s = get(&w.vcpu);
	world_free(&w);
	/* Real mode, in the segment of the reset vector, behind a HLT */
	assert_int_equal(s->sregs.cs.selector, 0xf000);
	s->regs.rip = 0x1001;
	s->mp_state = KVM_MP_STATE_HALTED;
	back = set_and_get(s);
	assert_int_equal(back->mp_state, KVM_MP_STATE_HALTED);
	free(s);
	free(back);
}

static void what_is_pending_stays_pending(void **state)
{
	struct vcpu_state *s, *back;
	struct world w;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	s = get(&w.vcpu);
	world_free(&w);
	s->events.exception.injected = 1;
	s->events.exception.nr = 13;
	s->events.exception.has_error_code = 1;
	s->events.exception.error_code = 0x18;
	s->events.nmi.pending = 1;
	s->events.nmi.masked = 1;
	s->events.interrupt.shadow = 1;
	s->events.flags |=
		KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	back = set_and_get(s);
	assert_int_equal(back->events.exception.injected, 1);
	assert_int_equal(back->events.exception.nr, 13);
	assert_int_equal(back->events.exception.error_code, 0x18);
	assert_int_equal(back->events.nmi.pending, 1);
	assert_int_equal(back->events.nmi.masked, 1);
	free(s);
	free(back);
}

static void a_host_that_lacks_something(void **state)
{
	struct vcpu_state *s;
	struct err err = {0};
	struct world w;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	s = get(&w.vcpu);
	assert_int_equal(vcpu_state_check(&w.kvm, s, false, &err), 0);
	for (unsigned int i = 0; i < s->cpuid.head.nent; i++)
		if (s->cpuid.room[i].function == 7 &&
		    s->cpuid.room[i].index == 0)
			s->cpuid.room[i].edx |= 1; /* reserved: nobody has it */
	assert_int_equal(vcpu_state_check(&w.kvm, s, false, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "CPUID 0x7.0 EDX bit 0"));
	/* Not looked at where the snapshot is this host's own. */
	assert_int_equal(vcpu_state_check(&w.kvm, s, true, &err), 0);
	s->msrs[0] = (struct msr_value){0x12345678, 1};
	assert_int_equal(vcpu_state_check(&w.kvm, s, true, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "lacks MSR 0x12345678"));
	s->msrs[0].value = 0;
	assert_int_equal(vcpu_state_check(&w.kvm, s, true, &err), 0);
	s->cpuid.room[0].ebx ^= 0x20;
	assert_int_equal(vcpu_state_check(&w.kvm, s, false, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "another vendor"));
	s->xsave_bytes = VCPU_XSAVE_MAX;
	s->xsave[VCPU_XSAVE_MAX - 1] = 1;
	assert_int_equal(vcpu_state_check(&w.kvm, s, true, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "extended registers"));
	world_free(&w);
	free(s);
}

static void an_msr_that_the_kernel_refuses(void **state)
{
	/* EFER with a reserved bit */
	struct msr_value bad[] = {{MSR_LSTAR, 5}, {0xc0000080, 1ull << 40}};
	/* Read-only, at the value it has; and one that is nowhere, at zero */
	struct msr_value good[] = {{0xfe, 0}, {0x12345678, 0}, {MSR_LSTAR, 7}};
	static const struct msr_list cap = {.nr = 1, .index = {0xfe}};
	static const struct msr_list lstar = {.nr = 1, .index = {MSR_LSTAR}};
	struct err err = {0};
	struct msr_value v;
	struct world w;
	unsigned int nr;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	assert_int_equal(msrs_set(&w.vcpu, bad, 2, &err), -EINVAL);
	assert_non_null(strstr(err.text, "MSR 0xc0000080"));
	must(msrs_get(&w.vcpu, &cap, &v, &nr, &err), &err);
	if (nr == 1)
		good[0].value = v.value;
	must(msrs_set(&w.vcpu, good, 3, &err), &err);
	must(msrs_get(&w.vcpu, &lstar, &v, &nr, &err), &err);
	assert_int_equal(v.value, 7);
	world_free(&w);
}

static void msrs_behind_one_that_cannot_be_read(void **state)
{
	struct msr_list list = {
		.nr = 4, .index = {MSR_LSTAR, 0x12345678, 0x12345679, 0x174}};
	struct msr_value v[4];
	struct world w;
	struct err err;
	unsigned int nr;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	must(msrs_get(&w.vcpu, &list, v, &nr, &err), &err);
	assert_int_equal(nr, 2);
	assert_int_equal(v[0].index, MSR_LSTAR);
	assert_int_equal(v[1].index, 0x174);
	world_free(&w);
}

static void full_irqchip_comes_back(void **state)
{
	struct kvm_vm_state *s = calloc(1, sizeof(*s)),
			    *back = calloc(1, sizeof(*s));
	struct kvm_vm_state *copy = calloc(1, sizeof(*s));
	cleanup_buf struct buf text = {0};
	struct schema_seen seen;
	struct world w;
	struct err err;

	(void)state;
	skip_without_kvm();
	assert_true(s && back && copy);
	world_make(&w, false);
	must(vm_state_get(&w.vm, s, &err), &err);
	world_free(&w);
	assert_true(s->has_chips);
	s->chips.pic_master[3] = 0xfb;             /* imr */
	store_le64(&s->chips.ioapic[24], 0x10034); /* pin 0: masked, vector */
	s->chips.pit.channels[0].mode = 2;
	s->chips.pit.channels[0].count = 11932;
	schema_encode(&vm_state_schema, s, &text);
	must(schema_decode_text(&vm_state_schema, text.data, text.len, copy,
				&seen, &err),
	     &err);
	assert_memory_equal(s, copy, sizeof(*s));
	world_bare(&w, false);
	must(vm_state_set_chips(&w.vm, copy, &err), &err);
	must(vm_state_set_clock(&w.vm, copy, 0, &err), &err);
	must(vm_state_get(&w.vm, back, &err), &err);
	world_free(&w);
	assert_int_equal(back->chips.pic_master[3], 0xfb);
	assert_int_equal(load_le64(&back->chips.ioapic[24]), 0x10034);
	assert_int_equal(back->chips.pit.channels[0].mode, 2);
	assert_int_equal(back->chips.pit.channels[0].count, 11932);
	assert_true(back->clock_ns >= s->clock_ns);
	free(s);
	free(back);
	free(copy);
}

static void the_clock_goes_on(void **state)
{
	static struct kvm_vm_state saved = {.clock_ns = 3600000000000,
					    .realtime_ns = 1};
	static struct kvm_vm_state now;
	struct world w;
	struct err err;

	(void)state;
	skip_without_kvm();
	world_make(&w, true);
	must(vm_state_set_clock(&w.vm, &saved, 0, &err), &err);
	must(vm_state_get(&w.vm, &now, &err), &err);
	assert_in_range(now.clock_ns, saved.clock_ns,
			saved.clock_ns + 600000000000);
	saved.realtime_ns = now.realtime_ns - 86400000000000; /* yesterday */
	must(vm_state_set_clock(&w.vm, &saved, vm_state_gap(&saved), &err),
	     &err);
	must(vm_state_get(&w.vm, &now, &err), &err);
	assert_true(now.clock_ns >= saved.clock_ns + 86400000000000);
	saved.realtime_ns = now.realtime_ns + 86400000000000; /* tomorrow */
	must(vm_state_set_clock(&w.vm, &saved, vm_state_gap(&saved), &err),
	     &err);
	must(vm_state_get(&w.vm, &now, &err), &err);
	assert_in_range(now.clock_ns, saved.clock_ns,
			saved.clock_ns + 600000000000);
	world_free(&w);
}

/* What the IOAPIC has to deliver arrives in a LAPIC that is there already. */
static void an_interrupt_of_the_ioapic_is_not_lost(void **state)
{
	struct kvm_vm_state *chips = calloc(1, sizeof(*chips));
	struct vcpu_state *s, *back;
	struct world w;
	struct err err;

	(void)state;
	skip_without_kvm();
	assert_non_null(chips);
	world_make(&w, false);
	s = get(&w.vcpu);
	must(vm_state_get(&w.vm, chips, &err), &err);
	world_free(&w);
	store_le32(&s->lapic.regs[LAPIC_SVR], 0x1ff);
	/* struct kvm_ioapic_state: base, ioregsel, id, irr, pad, entries */
	store_le32(&chips->chips.ioapic[16], 1u << 9);
	store_le64(&chips->chips.ioapic[24 + 9 * 8], 0x8000 | 0x41);
	world_bare(&w, false);
	must(vcpu_state_set(&w.vcpu, s, &err), &err);
	must(vm_state_set_chips(&w.vm, chips, &err), &err);
	back = get(&w.vcpu);
	world_free(&w);
	/* vector 0x41 in IRR */
	assert_int_equal(load_le32(&back->lapic.regs[LAPIC_IRR + 0x20]), 2);
	free(chips);
	free(s);
	free(back);
}

/* The same ticks for each vCPU, and only where they can be counted. */
static void a_tsc_is_set_on(void **state)
{
	static const struct {
		uint32_t khz;
		uint64_t ns;
		uint64_t ticks;
	} cases[] = {
		{2000000, 0, 0},
		{2000000, 1, 2},
		{2599998, 1000000000, 2599998000},
		{0, 1000000000, 0},
		/* A century: no product is cut. */
		{3000000, 3155760000000000000, 9467280000000000000u},
	};
	struct vcpu_state *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		s->tsc_khz = cases[i].khz;
		s->nr_msrs = 2;
		s->msrs[0].index = MSR_LSTAR;
		s->msrs[0].value = 7;
		s->msrs[1].index = 0x10;
		s->msrs[1].value = 100;
		vcpu_state_advance(s, cases[i].ns);
		assert_int_equal(s->msrs[0].value, 7);
		assert_int_equal(s->msrs[1].value, 100 + cases[i].ticks);
	}
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tsc_is_set_on),
		cmocka_unit_test(everything_comes_back),
		cmocka_unit_test(tsc_deadline_needs_the_lapic),
		cmocka_unit_test(a_halted_boot_cpu_stays_halted),
		cmocka_unit_test(what_is_pending_stays_pending),
		cmocka_unit_test(a_host_that_lacks_something),
		cmocka_unit_test(an_msr_that_the_kernel_refuses),
		cmocka_unit_test(msrs_behind_one_that_cannot_be_read),
		cmocka_unit_test(full_irqchip_comes_back),
		cmocka_unit_test(the_clock_goes_on),
		cmocka_unit_test(an_interrupt_of_the_ioapic_is_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
