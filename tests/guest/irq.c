/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irq.c - guest: interrupts of the serial port, the i8042 and the timers
 *
 * Command line: `full` says that the interrupt controllers are KVM's.
 */
#include "guest.h"

enum {
	SERIAL_VECTOR = 0x34,
	KEYBOARD_VECTOR = 0x31,
	TIMER_VECTOR = 0x40,
	SERIAL_PIN = 4,
	KEYBOARD_PIN = 1,
	DIVIDE_BY_1 = 0xb,
	IIR_THR_EMPTY = 0x02,
	IIR_DATA = 0x04,
};

static volatile uint32_t serial_irqs, keyboard_irqs, timer_irqs;
static volatile uint8_t serial_iir, keyboard_byte;

static void on_serial(struct isr_frame *frame)
{
	(void)frame;
	serial_iir = in8(COM1 + 2) & 0x0f;
	serial_irqs++;
	lapic_eoi();
}

static void on_keyboard(struct isr_frame *frame)
{
	(void)frame;
	keyboard_byte = in8(I8042_DATA);
	keyboard_irqs++;
	lapic_eoi();
}

static void on_timer(struct isr_frame *frame)
{
	(void)frame;
	timer_irqs++;
	lapic_eoi();
}

/* Let pending interrupts in, and some that should not come. */
static void settle(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		irq_window();
}

/* Printing is what raises this interrupt: all is measured before a report. */
static void check_serial(void)
{
	uint32_t once, iir, after_iir, byte, silent;
	bool first;

	isr_set(SERIAL_VECTOR, on_serial);
	ioapic_write_redir(SERIAL_PIN, SERIAL_VECTOR | (uint64_t)lapic_id()
							       << 56);
	out8(COM1 + 4, 0x0b); /* OUT2: the gate to the line on a PC */
	out8(COM1 + 1, 0x02);
	first = isr_wait(&serial_irqs, 1);
	iir = serial_iir;
	after_iir = in8(COM1 + 2) & 0x0f;
	settle();
	once = serial_irqs;
	out8(COM1, '#');
	isr_wait(&serial_irqs, once + 1);
	out8(COM1, '\n');
	isr_wait(&serial_irqs, once + 2);
	byte = serial_irqs;
	out8(COM1 + 1, 0);
	out8(COM1, '#');
	out8(COM1, '\n');
	settle();
	silent = serial_irqs;
	check(first, "serial-thr-empty-irq");
	check_eq("serial-iir", iir, IIR_THR_EMPTY);
	check_eq("serial-iir-cleared", after_iir, 0x01);
	check_eq("serial-one-irq", once, 1);
	check_eq("serial-irq-per-byte", byte, once + 2);
	check_eq("serial-silent-when-disabled", silent, byte);
}

/* In loopback what is sent is received, and reports would be too. */
static void check_serial_receive(void)
{
	uint32_t before = serial_irqs, byte, iir;
	bool came;

	out8(COM1 + 4, 0x1b);
	out8(COM1 + 1, 0x01);
	out8(COM1, 'r');
	came = isr_wait(&serial_irqs, before + 1);
	byte = in8(COM1);
	iir = in8(COM1 + 2) & 0x0f;
	out8(COM1 + 1, 0);
	out8(COM1 + 4, 0x0b);
	ioapic_write_redir(SERIAL_PIN, REDIR_MASKED);
	check(came, "serial-data-irq");
	check_eq("serial-data-iir", serial_iir, IIR_DATA);
	check_eq("serial-data-byte", byte, 'r');
	check_eq("serial-data-iir-cleared", iir, 0x01);
}

static bool i8042_wait_input(void)
{
	unsigned int tries;

	for (tries = 0; tries < 10000; tries++)
		if (!(in8(I8042_CMD) & 2))
			return true;
	return false;
}

static void i8042_command(uint8_t cmd)
{
	i8042_wait_input();
	out8(I8042_CMD, cmd);
}

static void check_keyboard(void)
{
	unsigned int i;

	for (i = 0; i < 64 && in8(I8042_CMD) & 1; i++)
		in8(I8042_DATA);
	check(i < 64, "i8042-drains");
	i8042_command(0xaa);
	for (i = 0; i < 10000 && !(in8(I8042_CMD) & 1); i++)
		;
	check_eq("i8042-self-test", in8(I8042_DATA), 0x55);
	i8042_command(0x60);
	i8042_wait_input();
	out8(I8042_DATA, 0x41); /* irq 1 on, translation */
	i8042_command(0x20);
	for (i = 0; i < 10000 && !(in8(I8042_CMD) & 1); i++)
		;
	check_eq("i8042-command-byte", in8(I8042_DATA), 0x41);
	isr_set(KEYBOARD_VECTOR, on_keyboard);
	ioapic_write_redir(KEYBOARD_PIN, KEYBOARD_VECTOR | (uint64_t)lapic_id()
								   << 56);
	i8042_wait_input();
	out8(I8042_DATA, 0xf4); /* enable scanning: answered by ACK */
	check(isr_wait(&keyboard_irqs, 1), "i8042-irq");
	check_eq("i8042-ack", keyboard_byte, 0xfa);
	settle();
	check_eq("i8042-one-irq", keyboard_irqs, 1);
	ioapic_write_redir(KEYBOARD_PIN, REDIR_MASKED);
}

static void check_timer_one_shot(void)
{
	timer_irqs = 0;
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, TIMER_VECTOR);
	lapic_write(LAPIC_TIMER_INIT, 1000000);
	irq_wait();
	check(isr_wait(&timer_irqs, 1), "timer-one-shot");
	settle();
	check_eq("timer-one-shot-once", timer_irqs, 1);
	check_eq("timer-one-shot-count", lapic_read(LAPIC_TIMER_COUNT), 0);
}

static void check_timer_periodic(void)
{
	timer_irqs = 0;
	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | TIMER_VECTOR);
	lapic_write(LAPIC_TIMER_INIT, 1000000);
	irq_wait();
	irq_wait();
	check(isr_wait(&timer_irqs, 5), "timer-periodic");
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	lapic_write(LAPIC_TIMER_INIT, 0);
	settle();
}

static void check_timer_deadline(void)
{
	uint64_t deadline;

	timer_irqs = 0;
	lapic_write(LAPIC_LVT_TIMER, LVT_TSC_DEADLINE | TIMER_VECTOR);
	deadline = tsc_read() + 2000000;
	msr_write(MSR_TSC_DEADLINE, deadline);
	irq_wait();
	check(isr_wait(&timer_irqs, 1), "timer-deadline");
	check(tsc_read() >= deadline, "timer-deadline-not-early");
	settle();
	check_eq("timer-deadline-once", timer_irqs, 1);
	check_eq("timer-deadline-disarmed", msr_read(MSR_TSC_DEADLINE), 0);
	timer_irqs = 0;
	msr_write(MSR_TSC_DEADLINE, 1);
	check(isr_wait(&timer_irqs, 1), "timer-deadline-in-the-past");
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
}

/* With no PIC, its ports read all-ones: Linux takes that for "no PIC". */
static void check_no_pic(void)
{
	out8(0x21, 0xfb);
	check_eq("no-pic", in8(0x21), 0xff);
}

void guest_main(void)
{
	lapic_init();
	isr_set(TIMER_VECTOR, on_timer);
	check_timer_one_shot();
	check_timer_periodic();
	check_timer_deadline();
	check_serial();
	check_serial_receive();
	check_keyboard();
	if (!cmdline_has("full"))
		check_no_pic();
}
