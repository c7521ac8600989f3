/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbdprobe.c - guest: looks for a keyboard and a mouse as Linux does
 *
 * The same commands in the same order as a kernel without ACPI, which is not
 * told that there is no aux port. Before each byte that it writes, and for each
 * that it wants, the driver reads the status until it may: here it counts those
 * reads and gives up early. One wait in vain is 10,000 of them in the driver,
 * each an exit and 50 us.
 */
#include "guest.h"

enum {
	FULL_OUT = 0x01,
	FULL_IN = 0x02,
	UNLOCKED = 0x10,
	FROM_AUX = 0x20,

	CTR_IRQ = 0x01,
	CTR_KBD_OFF = 0x10,
	CTR_AUX_OFF = 0x20,

	KBD_ACK = 0xfa,

	PATIENCE = 16,
	FLUSH_MAX = 16,
	READS_MAX = 100,
};

static unsigned int nr_reads, nr_late;

static uint8_t status(void)
{
	nr_reads++;
	return in8(I8042_CMD);
}

/* Until @bit of the status is @set. */
static bool wait_for(uint8_t bit, bool set)
{
	for (unsigned int i = 0; i < PATIENCE; i++)
		if (!!(status() & bit) == set)
			return true;
	nr_late++;
	return false;
}

static bool flush(void)
{
	for (unsigned int i = 0; i < FLUSH_MAX; i++) {
		if (!(status() & FULL_OUT))
			return true;
		(void)in8(I8042_DATA);
	}
	return false;
}

static bool send(uint16_t port, uint8_t byte)
{
	if (!wait_for(FULL_IN, false))
		return false;
	out8(port, byte);
	return true;
}

static bool get(uint8_t *byte)
{
	if (!wait_for(FULL_OUT, true))
		return false;
	*byte = in8(I8042_DATA);
	return true;
}

static bool ask(uint8_t command, uint8_t *answer)
{
	return send(I8042_CMD, command) && get(answer);
}

static bool tell(uint8_t command, uint8_t byte)
{
	return send(I8042_CMD, command) && send(I8042_DATA, byte);
}

/* The command byte twice alike, then the keyboard off while we look. */
static uint8_t start(void)
{
	uint8_t ctr = 0, again = 0, found = 0;

	check(flush(), "controller-there");
	check(ask(0x20, &ctr) && ask(0x20, &again) && ctr == again,
	      "command-byte");
	check(status() & UNLOCKED, "not-locked");
	check(tell(0x60, (uint8_t)((ctr | CTR_KBD_OFF) & ~CTR_IRQ)),
	      "command-byte-set");
	check(ask(0x20, &again) && (again & CTR_KBD_OFF), "keyboard-off");
	check(flush(), "nothing-left");
	check(ask(0xaa, &found) && found == 0x55, "self-test");
	check(ask(0xab, &found) && found == 0, "keyboard-test");
	return ctr;
}

/* True when a byte came through the aux port; else it is left unread. */
static bool loop(uint8_t byte, uint8_t *back)
{
	if (!tell(0xd3, byte) || !wait_for(FULL_OUT, true) ||
	    !(status() & FROM_AUX))
		return false;
	*back = in8(I8042_DATA);
	return true;
}

/* The driver gives an aux port up only for a test that says 1 to 0xf9. */
static void aux(void)
{
	uint8_t found = 0x5a;

	check(flush(), "nothing-before-aux");
	check(!loop(0x5a, &found), "aux-loop-refused");
	check(ask(0xa9, &found) && found >= 1 && found <= 0xf9,
	      "aux-test-refused");
	check(!(status() & FULL_OUT), "nothing-after-aux");
	/* Drivers with another way to look: the port stays off. */
	check(send(I8042_CMD, 0xa8) && ask(0x20, &found) &&
		      (found & CTR_AUX_OFF),
	      "aux-stays-off");
	check(send(I8042_CMD, 0xa7) && ask(0x20, &found) &&
		      (found & CTR_AUX_OFF),
	      "aux-off");
	/* Is it a multiplexer for four? */
	check(!loop(0xf0, &found), "mux-refused");
	check(tell(0xd4, 0xf2) && get(&found) && found == 0xfe, "no-mouse");
}

static bool acked(uint8_t byte)
{
	uint8_t found = 0;

	return send(I8042_DATA, byte) && get(&found) && found == KBD_ACK;
}

static void keyboard(uint8_t ctr)
{
	uint8_t id[2] = {0};

	check(tell(0x60, (uint8_t)(ctr & ~(CTR_KBD_OFF | CTR_IRQ))),
	      "keyboard-on");
	check(acked(0xf2) && get(&id[0]) && get(&id[1]) && id[0] == 0xab,
	      "keyboard-id");
	check(acked(0xf5), "keyboard-quiet");
	check(acked(0xed) && acked(0x00), "leds");
	check(acked(0xf3) && acked(0x00), "rate");
	check(acked(0xf4), "keyboard-enabled");
	check(acked(0xff) && get(&id[0]) && id[0] == 0xaa, "keyboard-reset");
	check(flush(), "nothing-at-the-end");
}

void guest_main(void)
{
	uint8_t ctr = start();

	aux();
	keyboard(ctr);
	check_eq("waits-in-vain", nr_late, 0);
	check_info("reads-of-the-status", nr_reads <= READS_MAX, nr_reads,
		   READS_MAX);
}
