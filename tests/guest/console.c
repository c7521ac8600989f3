/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.c - guest: much output, then an echo of the input
 *
 * Command line: `lines=<n>` numbered lines of 64 characters (default 200);
 * `echo` then reads lines and prints them back in brackets until `quit`.
 */
#include "guest.h"

static char get_char(void)
{
	while (!(in8(COM1 + 5) & 1))
		cpu_pause();
	return (char)in8(COM1);
}

static void echo_lines(void)
{
	static char line[256];
	unsigned int n;
	char c;

	print("ready\n");
	for (;;) {
		for (n = 0; n < sizeof(line) - 1; n++) {
			c = get_char();
			if (c == '\n' || c == '\r')
				break;
			line[n] = c;
		}
		line[n] = 0;
		if (!memcmp(line, "quit", 5))
			return;
		print("[%s]\n", line);
	}
}

static void print_lines(uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++)
		print("%lu ..................................................."
		      ".........\n",
		      i);
}

/* The divisor latch hides the data register, loopback keeps output inside:
 * what is measured there is reported afterwards. */
static void check_registers(void)
{
	uint8_t scratch, low, high, lcr, ier, fifo_on, fifo_off, modem;

	out8(COM1 + 7, 0x5a);
	scratch = in8(COM1 + 7);
	out8(COM1 + 3, 0x83);
	out8(COM1 + 0, 0x01);
	out8(COM1 + 1, 0x00);
	low = in8(COM1);
	high = in8(COM1 + 1);
	out8(COM1 + 3, 0x03);
	lcr = in8(COM1 + 3);
	out8(COM1 + 1, 0xff);
	ier = in8(COM1 + 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 2, 0x01);
	fifo_on = in8(COM1 + 2);
	out8(COM1 + 2, 0);
	fifo_off = in8(COM1 + 2);
	out8(COM1 + 4, 0x1a);
	modem = in8(COM1 + 6);
	out8(COM1 + 4, 0x03);
	check_eq("scratch-register", scratch, 0x5a);
	check_eq("divisor-low", low, 1);
	check_eq("divisor-high", high, 0);
	check_eq("line-control", lcr, 0x03);
	check_eq("interrupt-enable-mask", ier, 0x0f);
	check_eq("fifo-enabled", fifo_on & 0xc0, 0xc0);
	check_eq("fifo-disabled", fifo_off & 0xc0, 0);
	check_eq("loopback-modem-status", modem & 0xf0, 0x90);
	check_eq("transmitter-empty", in8(COM1 + 5) & 0x60, 0x60);
}

/* In loopback mode what is sent comes back and does not leave. */
static void check_loopback(void)
{
	uint8_t status, data;

	out8(COM1 + 2, 0x07);
	out8(COM1 + 4, 0x1b);
	out8(COM1, '!');
	status = in8(COM1 + 5);
	data = in8(COM1);
	out8(COM1 + 4, 0x03);
	check_info("loopback-data", status & 1 && data == '!', status, data);
	check_eq("loopback-drained", in8(COM1 + 5) & 1, 0);
}

void guest_main(void)
{
	check_registers();
	check_loopback();
	print_lines(cmdline_num("lines", 200));
	if (cmdline_has("echo"))
		echo_lines();
	check_eq("no-overrun", in8(COM1 + 5) & 2, 0);
}
