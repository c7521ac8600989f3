/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tsc.c - guest: all CPUs and one TSC
 *
 * Each takes a lock, reads its TSC, and compares it with what another one read
 * last: "back <ticks>" and an end when that is later. The first CPU prints "tsc
 * <value>" every LINE_TICKS.
 */
#include "guest.h"

enum {
	GO_VECTOR = 0x50,
	ICR_ASSERT = 0x4000,
	ICR_ALL_BUT_SELF = 0xc0000,
	LINE_TICKS = 100000000,
};

static volatile uint32_t lock;
static volatile uint64_t last, back;

static uint64_t look(void)
{
	uint64_t now;

	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		cpu_pause();
	now = tsc_read();
	if (now < last && last - now > back)
		back = last - now;
	last = now;
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	return now;
}

/* The other CPUs never come back from here. */
static void go(struct isr_frame *frame)
{
	(void)frame;
	for (;;) {
		(void)look();
		cpu_pause();
	}
}

void guest_main(void)
{
	static struct acpi_ids madt;
	uint64_t shown = 0;

	lapic_init();
	isr_set(GO_VECTOR, go);
	acpi_list_cpus(&madt);
	check(smp_start(&madt), "all-cpus-online");
	lapic_write(LAPIC_ICR, ICR_ALL_BUT_SELF | ICR_ASSERT | GO_VECTOR);
	while (back == 0) {
		uint64_t now = look();

		if (now - shown < LINE_TICKS)
			continue;
		shown = now;
		print("tsc %lu\n", now);
	}
	print("back %lu\n", back);
}
