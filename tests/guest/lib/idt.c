/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idt.c - interrupt table and dispatch
 *
 * An exception or interrupt that no handler expects ends the guest with a
 * FAIL line: nothing is swallowed.
 */
#include "guest.h"

struct gate {
	uint16_t offset_low, selector, flags, offset_mid;
	uint32_t offset_high, zero;
};

extern const char isr_stubs[];
void isr_dispatch(struct isr_frame *frame);

static struct gate gates[256];
static isr_fn *handlers[256];

static void set_gate(unsigned int vector)
{
	uint64_t addr = (uint64_t)isr_stubs + vector * 16;

	gates[vector].offset_low = (uint16_t)addr;
	gates[vector].selector = 0x10;
	gates[vector].flags = 0x8e00;
	gates[vector].offset_mid = (uint16_t)(addr >> 16);
}

/**
 * idt_load() - Make the calling CPU use the table.
 */
void idt_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) ptr = {sizeof(gates) - 1, (uint64_t)gates};

	asm volatile("lidt %0" : : "m"(ptr));
}

/**
 * idt_init() - Exception gates; the others follow with isr_set().
 *
 * Only the 32 exceptions: setting all 256 would take a millisecond on a CPU
 * that is emulated, and an interrupt without a gate ends in #NP with the
 * vector in its error code.
 */
void idt_init(void)
{
	unsigned int i;

	for (i = 0; i < 32; i++)
		set_gate(i);
	idt_load();
}

/**
 * isr_set() - Have @fn called for @vector, on any CPU, interrupts off.
 */
void isr_set(uint8_t vector, isr_fn *fn)
{
	handlers[vector] = fn;
	set_gate(vector);
}

/**
 * isr_dispatch() - Called by isr.S for every exception and interrupt.
 */
void isr_dispatch(struct isr_frame *frame)
{
	uint64_t cr2;

	if (handlers[frame->vector]) {
		handlers[frame->vector](frame);
		return;
	}
	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	print("\nvector %lu error 0x%lx rip 0x%lx cr2 0x%lx\n", frame->vector,
	      frame->error, frame->rip, cr2);
	check(false, "unexpected-interrupt");
	guest_done();
}

/**
 * isr_wait() - Let interrupts in until @count reaches @want.
 *
 * Return: whether it did within some ten billion TSC ticks.
 */
bool isr_wait(volatile uint32_t *count, uint32_t want)
{
	uint64_t start = tsc_read();

	while (*count < want && tsc_read() - start < 10000000000ULL)
		irq_window();
	return *count >= want;
}
