/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.c - guest: prints what the keyboard controller sends, until `del`
 *
 * Each byte arrives by irq 1, as a driver takes it. The last key of
 * Ctrl-Alt-Del is Delete: 0x53 in scan code set 1, 0x71 in set 2.
 */
#include "guest.h"

enum { KEYBOARD_VECTOR = 0x31, KEYBOARD_PIN = 1 };

static volatile uint8_t ring[64];
static volatile uint32_t head;

static void on_keyboard(struct isr_frame *frame)
{
	(void)frame;
	while (in8(I8042_CMD) & 1) {
		ring[head % ARRAY_SIZE(ring)] = in8(I8042_DATA);
		head++;
	}
	lapic_eoi();
}

static void start_keyboard(void)
{
	lapic_init();
	isr_set(KEYBOARD_VECTOR, on_keyboard);
	ioapic_write_redir(KEYBOARD_PIN, KEYBOARD_VECTOR | (uint64_t)lapic_id()
								   << 56);
	while (in8(I8042_CMD) & 1)
		(void)in8(I8042_DATA);
	out8(I8042_CMD, 0x60);
	out8(I8042_DATA, 0x41);
}

void guest_main(void)
{
	uint32_t tail = 0;
	uint8_t byte = 0;

	start_keyboard();
	print("waiting\n");
	do {
		while (tail == head)
			irq_wait();
		byte = ring[tail++ % ARRAY_SIZE(ring)];
		print("key 0x%x\n", byte);
	} while (byte != 0x53 && byte != 0x71);
	check(true, "delete-pressed");
}
