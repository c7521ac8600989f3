/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioapic.c - guest: the IOAPIC's registers, level interrupts, and nonsense
 *
 * The serial port's transmitter-empty condition is the level source: it stays
 * until the interrupt register is read, so a pin that the guest programs as
 * level-triggered interrupts again after each EOI until then.
 *
 * Command line: `full` says that the IOAPIC is KVM's, which keeps more bits
 * of an entry than the registers define.
 */
#include "guest.h"

enum {
	PINS = 24,
	PINS_IN_USE = 9,
	SERIAL_PIN = 4,
	VECTOR = 0x34,
	REG_ID = 0,
	REG_VERSION = 1,
	QUIET_PIN = 20, /* nothing is wired to the pins from here on */
};

/* Bits of an entry that software may set */
#define WRITABLE 0xff0000000001afffULL

/* A level source that stays interrupts again before the code that waits for it
 * gets to its next instruction: only the handler can clear it, here at
 * interrupt number clear_at. 0: never. */
static volatile uint32_t irqs, clear_at;
static volatile bool mask_in_service;
static volatile uint64_t entry_seen;

static void on_serial(struct isr_frame *frame)
{
	(void)frame;
	entry_seen = ioapic_read_redir(SERIAL_PIN);
	/* Some KVMs end the service when they inject the interrupt: then the
	 * next one is on its way before this handler can mask the pin. */
	if (!(entry_seen & REDIR_MASKED))
		irqs++;
	if (clear_at != 0 && irqs >= clear_at)
		in8(COM1 + 2);
	if (mask_in_service)
		ioapic_write_redir(SERIAL_PIN, entry_seen | REDIR_MASKED);
	lapic_eoi();
}

static void raise_source(void)
{
	out8(COM1 + 1, 0);
	in8(COM1 + 2);
	out8(COM1 + 1, 0x02);
}

static void drop_source(void)
{
	in8(COM1 + 2);
	out8(COM1 + 1, 0);
}

static void settle(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		irq_window();
}

/* Ours tells of those that a machine without devices has use for, KVM's of
 * all. All are there. */
static unsigned int pins_told(void)
{
	return cmdline_has("full") ? PINS : PINS_IN_USE;
}

static void check_registers(void)
{
	uint32_t version = ioapic_read(REG_VERSION);
	unsigned int i, unmasked = 0;

	print("# version 0x%x\n", version);
	check_eq("pins", (version >> 16 & 0xff) + 1, pins_told());
	check_info("version", (version & 0xff) >= 0x11, version, 0);
	for (i = 0; i < PINS; i++)
		unmasked += !(ioapic_read_redir(i) & REDIR_MASKED);
	check_eq("all-masked-at-start", unmasked, 0);
	ioapic_write(REG_ID, 0x0a000000);
	check_eq("id-writable", ioapic_read(REG_ID) & 0x0f000000, 0x0a000000);
	ioapic_write(REG_ID, 0);
	ioapic_write(REG_VERSION, 0xffffffff);
	check_eq("version-read-only", ioapic_read(REG_VERSION), version);
}

/* Printing raises the source too: all is measured before a report. */
static void check_edge(void)
{
	bool came;

	irqs = 0;
	clear_at = 1;
	ioapic_write_redir(SERIAL_PIN, VECTOR | (uint64_t)lapic_id() << 56);
	raise_source();
	came = isr_wait(&irqs, 1);
	settle();
	drop_source();
	ioapic_write_redir(SERIAL_PIN, REDIR_MASKED);
	check(came, "edge");
	check_eq("edge-once", irqs, 1);
	check_eq("edge-no-remote-irr", entry_seen & REDIR_REMOTE_IRR, 0);
}

static void check_level(void)
{
	uint64_t entry = VECTOR | REDIR_LEVEL | (uint64_t)lapic_id() << 56;
	uint64_t in_service, after;
	uint32_t cleared, settled;

	irqs = 0;
	clear_at = 3;
	ioapic_write_redir(SERIAL_PIN, entry);
	raise_source();
	isr_wait(&irqs, 3);
	in_service = entry_seen;
	settle();
	cleared = irqs;
	settle();
	settled = irqs;
	after = ioapic_read_redir(SERIAL_PIN);
	drop_source();
	ioapic_write_redir(SERIAL_PIN, REDIR_MASKED);
	check_info("level-again-after-eoi", cleared >= 3, cleared, 0);
	check(in_service & REDIR_REMOTE_IRR, "level-remote-irr");
	check_eq("level-ends-with-source", settled, cleared);
	check_eq("level-remote-irr-cleared", after & REDIR_REMOTE_IRR, 0);
}

static void check_mask(void)
{
	uint64_t entry = VECTOR | REDIR_LEVEL | (uint64_t)lapic_id() << 56;
	uint32_t masked, dropped;
	bool unmasked;

	irqs = 0;
	clear_at = 1;
	ioapic_write_redir(SERIAL_PIN, entry | REDIR_MASKED);
	raise_source();
	settle();
	masked = irqs;
	ioapic_write_redir(SERIAL_PIN, entry);
	unmasked = isr_wait(&irqs, 1);
	settle();
	drop_source();
	ioapic_write_redir(SERIAL_PIN, entry | REDIR_MASKED);
	irqs = 0;
	raise_source();
	drop_source();
	ioapic_write_redir(SERIAL_PIN, entry);
	settle();
	dropped = irqs;
	ioapic_write_redir(SERIAL_PIN, REDIR_MASKED);
	check_eq("masked-level-waits", masked, 0);
	check(unmasked, "unmasked-level-delivers");
	check_eq("dropped-level-is-gone", dropped, 0);
}

/* A driver with a threaded handler masks its pin before the EOI and unmasks it
 * later: the interrupt in service must not be stuck, nor the next one lost. */
static void check_mask_in_service(void)
{
	uint64_t entry = VECTOR | REDIR_LEVEL | (uint64_t)lapic_id() << 56;
	uint64_t after;
	uint32_t once;
	bool again;

	irqs = 0;
	clear_at = 0;
	mask_in_service = true;
	ioapic_write_redir(SERIAL_PIN, entry);
	raise_source();
	isr_wait(&irqs, 1);
	settle();
	once = irqs;
	after = ioapic_read_redir(SERIAL_PIN);
	mask_in_service = false;
	clear_at = 1;
	ioapic_write_redir(SERIAL_PIN, entry);
	again = isr_wait(&irqs, 2);
	settle();
	drop_source();
	ioapic_write_redir(SERIAL_PIN, REDIR_MASKED);
	check_eq("masked-in-service-once", once, 1);
	check_eq("masked-in-service-eoi", after & REDIR_REMOTE_IRR, 0);
	check(again, "unmasked-after-service");
}

/* The task priority holds an interrupt back; it comes when that is lowered. */
static void check_priority(void)
{
	uint32_t held;
	bool came;

	irqs = 0;
	clear_at = 1;
	lapic_write(LAPIC_TPR, 0xf0);
	ioapic_write_redir(SERIAL_PIN,
			   VECTOR | REDIR_LEVEL | (uint64_t)lapic_id() << 56);
	raise_source();
	settle();
	held = irqs;
	lapic_write(LAPIC_TPR, 0);
	came = isr_wait(&irqs, 1);
	settle();
	drop_source();
	ioapic_write_redir(SERIAL_PIN, REDIR_MASKED);
	check_eq("priority-holds", held, 0);
	check(came, "priority-lets-go");
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Any entry on a pin without a source: delivery modes, vectors below 16,
 * destinations that do not exist. Read-only bits must not stick. */
static void check_entries(void)
{
	uint64_t state = 0x123456789abcdefULL, val, got, sticky = 0, lost = 0;
	unsigned int i, pin;

	for (i = 0; i < 400; i++) {
		pin = QUIET_PIN + i % (PINS - QUIET_PIN);
		val = random_next(&state);
		ioapic_write_redir(pin, val);
		got = ioapic_read_redir(pin);
		sticky |= got & (REDIR_REMOTE_IRR | REDIR_STATUS);
		lost |= (got ^ val) & WRITABLE;
	}
	for (pin = QUIET_PIN; pin < PINS; pin++)
		ioapic_write_redir(pin, REDIR_MASKED);
	check_eq("entry-read-only-bits", sticky, 0);
	check_eq("entry-writable-bits", lost, 0);
	settle();
	check(true, "entry-fuzz-survived");
}

/* Registers that do not exist, odd offsets and sizes */
static void check_odd_accesses(void)
{
	uint64_t state = 0xfedcba987654321ULL, addr;
	unsigned int i;

	for (i = 0x40; i < 0x100; i++) {
		ioapic_write((uint8_t)i, 0xffffffff);
		(void)ioapic_read((uint8_t)i);
	}
	for (i = 0; i < 400; i++) {
		addr = IOAPIC_BASE + 0x20 + random_next(&state) % 0xfd0;
		write8(addr, (uint8_t)state);
		write16(addr, (uint16_t)state);
		write64(addr, state);
		(void)read8(addr);
		(void)read16(addr);
		(void)read64(addr);
	}
	for (i = 0; i < 0x20; i++) {
		(void)read8(IOAPIC_BASE + i);
		(void)read16(IOAPIC_BASE + i);
		(void)read64(IOAPIC_BASE + i);
	}
	check(true, "odd-accesses-survived");
	check_eq("pins-after-fuzz", (ioapic_read(REG_VERSION) >> 16 & 0xff) + 1,
		 pins_told());
}

void guest_main(void)
{
	lapic_init();
	isr_set(VECTOR, on_serial);
	out8(COM1 + 4, 0x0b);
	check_registers();
	check_edge();
	check_level();
	check_mask();
	check_mask_in_service();
	check_priority();
	check_entries();
	check_odd_accesses();
	check_edge();
}
