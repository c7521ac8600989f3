/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c - guest: reads kvm-clock for ever
 *
 * Ten lines a second, "clock <ns>": the time, which never goes back, or the
 * line "back <ns>" and an end. "stopped" when the host says that the guest did
 * not run for a while; "none" where KVM has no such clock.
 */
#include "guest.h"

enum {
	TICK_VECTOR = 0x40,
	CPUID_KVM = 0x40000001,
	CPUID_KVM_CLOCK2 = 1 << 3,
	MSR_KVM_CLOCK = 0x4b564d01,
	MSR_ENABLE = 1,
	FLAG_STOPPED = 2,
};

/* KVM's ABI: Documentation/virt/kvm/x86/msr.rst */
struct clock_page {
	uint32_t version; /* odd: being written */
	uint32_t pad;
	uint64_t tsc;
	uint64_t ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags;
	uint8_t pad2[2];
} __attribute__((packed, aligned(64)));

static volatile struct clock_page page;

static void tick(struct isr_frame *frame)
{
	(void)frame;
	lapic_eoi();
}

static uint64_t now(void)
{
	uint32_t version;
	uint64_t ns;

	do {
		uint64_t delta;
		int shift;

		version = page.version;
		__asm__ volatile("" ::: "memory");
		delta = tsc_read() - page.tsc;
		shift = page.shift;
		delta = shift < 0 ? delta >> -shift : delta << shift;
		ns = page.ns +
		     (uint64_t)((unsigned __int128)delta * page.mul >> 32);
		__asm__ volatile("" ::: "memory");
	} while (version & 1 || version != page.version);
	return ns;
}

void guest_main(void)
{
	uint64_t last = 0;

	lapic_init();
	isr_set(TICK_VECTOR, tick);
	if (!(cpuid_read(CPUID_KVM, 0).eax & CPUID_KVM_CLOCK2)) {
		print("none\n");
		return;
	}
	msr_write(MSR_KVM_CLOCK, (uintptr_t)&page | MSR_ENABLE);
	lapic_write(LAPIC_TIMER_DIVIDE, 0xb);
	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | TICK_VECTOR);
	lapic_write(LAPIC_TIMER_INIT, 100000000);
	for (;;) {
		uint64_t ns = now();

		if (ns < last) {
			print("back %lu\n", last - ns);
			return;
		}
		last = ns;
		if (page.flags & FLAG_STOPPED) {
			page.flags &= (uint8_t)~FLAG_STOPPED;
			print("stopped\n");
		}
		print("clock %lu\n", ns);
		irq_wait();
	}
}
