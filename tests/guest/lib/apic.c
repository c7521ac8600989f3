/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apic.c - local APIC (xAPIC mode) and IOAPIC registers
 */
#include "guest.h"

enum {
	SPURIOUS_VECTOR = 0xff,
	ICR_PENDING = 1 << 12,
};

static void ignore_spurious(struct isr_frame *frame)
{
	(void)frame;
}

/**
 * lapic_init() - Enable the calling CPU's local APIC, and silence a PIC.
 */
void lapic_init(void)
{
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	isr_set(SPURIOUS_VECTOR, ignore_spurious);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_SVR, 0x100 | SPURIOUS_VECTOR);
}

uint32_t lapic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

/**
 * lapic_ipi() - Send an interrupt to one CPU.
 * @command: low half of the ICR
 */
void lapic_ipi(uint32_t apic_id, uint32_t command)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR, command);
	while (lapic_read(LAPIC_ICR) & ICR_PENDING)
		cpu_pause();
}

uint32_t ioapic_read(uint8_t reg)
{
	write32(IOAPIC_BASE, reg);
	return read32(IOAPIC_BASE + 0x10);
}

void ioapic_write(uint8_t reg, uint32_t val)
{
	write32(IOAPIC_BASE, reg);
	write32(IOAPIC_BASE + 0x10, val);
}

uint64_t ioapic_read_redir(unsigned int pin)
{
	uint8_t reg = (uint8_t)(0x10 + pin * 2);

	return ioapic_read(reg) | (uint64_t)ioapic_read(reg + 1) << 32;
}

/**
 * ioapic_write_redir() - Program a pin, masked while it is half written.
 */
void ioapic_write_redir(unsigned int pin, uint64_t entry)
{
	uint8_t reg = (uint8_t)(0x10 + pin * 2);

	ioapic_write(reg, (uint32_t)(ioapic_read(reg) | REDIR_MASKED));
	ioapic_write(reg + 1, (uint32_t)(entry >> 32));
	ioapic_write(reg, (uint32_t)entry);
}
