/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pio.c - guest: every port in every size, in and out, single and string
 *
 * Skipped is only what ends the VM by design: 0xfe to the keyboard
 * controller, and writes to the ACPI reset and sleep control registers (and
 * the bytes that a wider write to a port just below would put there).
 * Ports of devices may read anything; all others must read all-ones.
 *
 * Command line: `only=in|out|ins|outs` runs one of the four sweeps, `full`
 * says that KVM's PIC and PIT are there.
 */
#include "guest.h"

struct port_range {
	uint16_t first, last;
};

static const struct port_range devices[] = {
	{0x60, 0x64},
	{0x70, 0x71},
	{0x3f8, 0x3ff},
};

static const struct port_range full_devices[] = {
	{0x20, 0x21}, {0x40, 0x43}, {0x61, 0x61}, {0xa0, 0xa1}, {0x4d0, 0x4d1},
};

/* ACPI registers in port space: reset, sleep control, sleep status. Their
 * device may own the eight ports around each. */
static uint64_t acpi_ports[3];
static bool full;

static bool in_ranges(const struct port_range *r, unsigned int nr,
		      uint32_t port, unsigned int size)
{
	for (; nr; nr--, r++)
		if (port <= r->last && port + size > r->first)
			return true;
	return false;
}

static bool touches(uint64_t port, uint32_t first, unsigned int size)
{
	return port >= first && port < first + size;
}

static bool ends_vm(uint32_t port, unsigned int size)
{
	return touches(acpi_ports[0], port, size) ||
	       touches(acpi_ports[1], port, size);
}

static bool has_device(uint32_t port, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(acpi_ports); i++)
		if (touches(acpi_ports[i] & ~7ULL, port - port % 8, 8 + size))
			return true;
	if (full &&
	    in_ranges(full_devices, ARRAY_SIZE(full_devices), port, size))
		return true;
	return in_ranges(devices, ARRAY_SIZE(devices), port, size);
}

static uint32_t read_port(uint16_t port, unsigned int size)
{
	if (size == 1)
		return in8(port);
	return size == 2 ? in16(port) : in32(port);
}

static void write_port(uint16_t port, unsigned int size, uint32_t val)
{
	if (size == 1)
		out8(port, (uint8_t)val);
	else if (size == 2)
		out16(port, (uint16_t)val);
	else
		out32(port, val);
}

static void ins_port(uint16_t port, unsigned int size, void *buf, uint64_t n)
{
	if (size == 1)
		asm volatile("rep insb"
			     : "+D"(buf), "+c"(n)
			     : "d"(port)
			     : "memory");
	else if (size == 2)
		asm volatile("rep insw"
			     : "+D"(buf), "+c"(n)
			     : "d"(port)
			     : "memory");
	else
		asm volatile("rep insl"
			     : "+D"(buf), "+c"(n)
			     : "d"(port)
			     : "memory");
}

static void outs_port(uint16_t port, unsigned int size, const void *buf,
		      uint64_t n)
{
	if (size == 1)
		asm volatile("rep outsb"
			     : "+S"(buf), "+c"(n)
			     : "d"(port)
			     : "memory");
	else if (size == 2)
		asm volatile("rep outsw"
			     : "+S"(buf), "+c"(n)
			     : "d"(port)
			     : "memory");
	else
		asm volatile("rep outsl"
			     : "+S"(buf), "+c"(n)
			     : "d"(port)
			     : "memory");
}

static bool wanted(const char *sweep)
{
	return !cmdline_get("only") || cmdline_is("only", sweep);
}

/* The writes have reprogrammed the UART: make it usable for the report. */
static void reset_uart(void)
{
	out8(COM1 + 3, 0x80);
	out8(COM1, 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 0x03);
	out8(COM1 + 1, 0);
	out8(COM1 + 2, 0x07);
	out8(COM1 + 4, 0x03);
	print("\n");
}

static void sweep_in(unsigned int size)
{
	uint32_t ones = size == 4 ? ~0U : (1U << size * 8) - 1;
	uint32_t port, val, bad = 0, first_bad = 0;

	for (port = 0; port < 0x10000; port++) {
		val = read_port((uint16_t)port, size);
		if (val == ones || has_device(port, size))
			continue;
		if (!bad++)
			first_bad = port;
	}
	check_info("in", !bad, bad, first_bad);
}

static void sweep_out(unsigned int size)
{
	static const uint32_t values[] = {0, 0xffffffff, 0x5aa5c33c};
	uint32_t port;

	for (port = 0; port < 0x10000; port++)
		if (!ends_vm(port, size))
			write_port((uint16_t)port, size, values[port % 3]);
	reset_uart();
	check(true, "out");
}

/* Device ports once more, with every value; 0xfe would reset. */
static void sweep_out_values(void)
{
	uint32_t port, val;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		for (port = devices[i].first; port <= devices[i].last; port++)
			for (val = 0; val < 256; val++) {
				if (port == I8042_CMD && val == 0xfe)
					continue;
				/* 0xd1: the next byte is the output port,
				 * whose bit 0 is the reset line */
				if (port == I8042_CMD && val == 0xd1)
					continue;
				out8((uint16_t)port, (uint8_t)val);
				(void)in8((uint16_t)port);
			}
	reset_uart();
	check(true, "out-values");
}

static void sweep_ins(unsigned int size)
{
	static uint8_t buf[64];
	uint32_t port, bad = 0, first_bad = 0;
	unsigned int i, n = 3;

	for (port = 0; port < 0x10000; port++) {
		memset(buf, 0x5a, 16);
		ins_port((uint16_t)port, size, buf, n);
		if (has_device(port, size))
			continue;
		for (i = 0; i < n * size && buf[i] == 0xff; i++)
			;
		if ((i < n * size || buf[i] != 0x5a) && !bad++)
			first_bad = port;
	}
	check_info("ins", !bad, bad, first_bad);
}

static void sweep_outs(unsigned int size)
{
	static const uint8_t data[] = {0xff, 0x00, 0xa5, 0x5a, 0xc3, 0x3c,
				       0x0f, 0xf0, 0x11, 0x22, 0x44, 0x88};
	uint32_t port;

	for (port = 0; port < 0x10000; port++)
		if (!ends_vm(port, size))
			outs_port((uint16_t)port, size, data, 2);
	reset_uart();
	check(true, "outs");
}

/* A long string operation against each device, and into unmapped ports */
static void sweep_long_strings(void)
{
	static uint8_t buf[8192];
	static const uint16_t ports[] = {COM1,       COM1 + 5,  I8042_DATA,
					 CMOS_INDEX, CMOS_DATA, 0x80,
					 0xffff};
	unsigned int i, size;

	for (i = 0; i < ARRAY_SIZE(ports); i++)
		for (size = 1; size <= 4; size *= 2) {
			ins_port(ports[i], size, buf, 1024);
			if (ports[i] == COM1)
				continue;
			memset(buf, 0, sizeof(buf));
			outs_port(ports[i], size, buf, 256);
		}
	reset_uart();
	check(true, "long-strings");
}

static void find_acpi_ports(void)
{
	static const unsigned int offsets[] = {116, 244, 256};
	struct acpi_gas gas;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		acpi_ports[i] = UINT64_MAX;
		if (acpi_read_gas(offsets[i], &gas) && gas.space == 1)
			acpi_ports[i] = gas.addr;
	}
}

void guest_main(void)
{
	unsigned int size;

	full = cmdline_has("full");
	find_acpi_ports();
	for (size = 1; size <= 4; size *= 2) {
		print("# size %u\n", size);
		if (wanted("in"))
			sweep_in(size);
		if (wanted("out"))
			sweep_out(size);
		if (wanted("ins"))
			sweep_ins(size);
		if (wanted("outs"))
			sweep_outs(size);
	}
	if (wanted("out"))
		sweep_out_values();
	if (wanted("ins"))
		sweep_long_strings();
}
