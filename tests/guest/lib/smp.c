/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp.c - start the secondary CPUs and keep them waiting for interrupts
 */
#include "guest.h"

enum {
	ICR_INIT = 0x4500,
	ICR_STARTUP = 0x4600,
};

extern const char trampoline_start[], trampoline_end[];
void smp_ap_main(uint32_t arrival);

volatile uint32_t smp_arrivals, smp_online, smp_ids[SMP_MAX];
char smp_stacks[SMP_MAX][4096] __attribute__((aligned(16)));

/**
 * smp_ap_main() - A secondary CPU's C code, from trampoline.S.
 */
void smp_ap_main(uint32_t arrival)
{
	idt_load();
	lapic_init();
	smp_ids[arrival] = lapic_id();
	atomic_inc(&smp_online);
	for (;;)
		irq_wait();
}

/* The CPU has its INIT before the SIPI: give it a moment, as the MP
 * specification asks; nothing depends on the length. */
static void delay(void)
{
	unsigned int i;

	for (i = 0; i < 100; i++)
		cpu_pause();
}

static bool wait_online(uint32_t want, uint64_t ticks)
{
	uint64_t start = tsc_read();

	while (smp_online < want && tsc_read() - start < ticks)
		cpu_pause();
	return smp_online >= want;
}

/**
 * smp_start() - Bring up every CPU of @ids but the calling one.
 *
 * Return: whether all of them reached smp_ap_main().
 */
bool smp_start(const struct acpi_ids *ids)
{
	uint32_t self = lapic_id(), want = 0;
	unsigned int i;

	memcpy((void *)SMP_TRAMPOLINE, trampoline_start,
	       (size_t)(trampoline_end - trampoline_start));
	for (i = 0; i < ids->nr && want < SMP_MAX; i++) {
		if (ids->id[i] == self)
			continue;
		want++;
		lapic_ipi(ids->id[i], ICR_INIT);
		delay();
		lapic_ipi(ids->id[i], ICR_STARTUP | SMP_TRAMPOLINE >> 12);
		if (!wait_online(want, 1000000000ULL))
			lapic_ipi(ids->id[i],
				  ICR_STARTUP | SMP_TRAMPOLINE >> 12);
	}
	return wait_online(want, 10000000000ULL);
}
