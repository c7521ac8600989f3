/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmio.c - guest: the hole below 4 GiB, every size, aligned or not
 *
 * Skipped are the local APIC's page (KVM's own), ACPI registers that end the
 * VM, and, for the all-ones check, the pages where a device may answer
 * (IOAPIC, and from `devices=<page>` on, `count=<pages>`).
 *
 * Command line: `step=<pages>` between the pages that are touched (default
 * 16; 1 is the whole hole), `readable` skips the all-ones check.
 */
#include "guest.h"

#define PAGE 4096ULL

static uint64_t acpi_addr[3];
static uint64_t device_first, device_end;
static uint64_t nr_bad, first_bad;

static bool is_lapic(uint64_t addr, unsigned int size)
{
	return addr + size > LAPIC_BASE && addr < LAPIC_BASE + PAGE;
}

static bool ends_vm(uint64_t addr, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(acpi_addr); i++)
		if (acpi_addr[i] >= addr && acpi_addr[i] < addr + size)
			return true;
	return false;
}

static bool may_answer(uint64_t addr, unsigned int size)
{
	if (addr + size > IOAPIC_BASE && addr < IOAPIC_BASE + PAGE)
		return true;
	return addr + size > device_first && addr < device_end;
}

static uint64_t read_size(uint64_t addr, unsigned int size)
{
	switch (size) {
	case 1:
		return read8(addr);
	case 2:
		return read16(addr);
	case 4:
		return read32(addr);
	default:
		return read64(addr);
	}
}

static void write_size(uint64_t addr, unsigned int size, uint64_t val)
{
	switch (size) {
	case 1:
		write8(addr, (uint8_t)val);
		break;
	case 2:
		write16(addr, (uint16_t)val);
		break;
	case 4:
		write32(addr, (uint32_t)val);
		break;
	default:
		write64(addr, val);
	}
}

static void touch(uint64_t addr, unsigned int size)
{
	uint64_t ones = size == 8 ? ~0ULL : (1ULL << size * 8) - 1;

	if (is_lapic(addr, size) || ends_vm(addr, size) ||
	    addr + size > HOLE_END)
		return;
	if (read_size(addr, size) != ones && !may_answer(addr, size) &&
	    !nr_bad++)
		first_bad = addr;
	write_size(addr, size, 0xdeadbeefcafef00dULL);
}

static void report(const char *name)
{
	check_info(name, !nr_bad || cmdline_has("readable"), nr_bad, first_bad);
	nr_bad = 0;
}

/* One access a page, of a size and at an offset that change */
static void sweep_hole(uint64_t step)
{
	uint64_t page, n = 0;

	for (page = HOLE_START; page < HOLE_END; page += step * PAGE, n++)
		touch(page + n * 37 % 4088, 1U << n % 4);
	report("sweep");
}

/* All sizes at all offsets of a few bytes around a page border */
static void sweep_border(uint64_t border)
{
	unsigned int size;
	uint64_t addr;

	for (size = 1; size <= 8; size *= 2)
		for (addr = border - 9; addr < border + 9; addr++)
			if (addr >= HOLE_START)
				touch(addr, size);
}

static void sweep_borders(void)
{
	static const uint64_t borders[] = {
		HOLE_START + 9,    HOLE_START + PAGE,
		0xd0000000,        0xd0001000,
		0xd0002000,        0xe0000000,
		IOAPIC_BASE,       IOAPIC_BASE + PAGE,
		LAPIC_BASE - PAGE, LAPIC_BASE + 2 * PAGE,
		HOLE_END - PAGE,   HOLE_END - 9,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(borders); i++)
		sweep_border(borders[i]);
	report("borders");
}

/* Registers wider than 8 bytes and read-modify-write on nothing */
static void odd_instructions(void)
{
	uint64_t addr = 0xd8000000, n;
	static uint8_t buf[4096];
	uint8_t *d = buf;
	uint32_t one = 1;

	asm volatile("lock xaddl %0, (%1)" : "+r"(one) : "r"(addr) : "memory");
	asm volatile("xchgl %0, (%1)" : "+r"(one) : "r"(addr) : "memory");
	asm volatile("addl $1, (%0)" : : "r"(addr) : "memory", "cc");
	asm volatile("btsl $5, (%0)" : : "r"(addr) : "memory", "cc");
	asm volatile("notl (%0)" : : "r"(addr) : "memory");
	asm volatile("pushq (%0); popq (%0)" : : "r"(addr) : "memory");
	n = sizeof(buf);
	asm volatile("rep movsb" : "+D"(d), "+S"(addr), "+c"(n) : : "memory");
	addr = 0xd8000ff0;
	n = 32;
	asm volatile("rep stosb" : "+D"(addr), "+c"(n) : "a"(0xff) : "memory");
	check(true, "odd-instructions");
}

/* An access whose first half is RAM and whose second half is a hole page,
 * and the other way round */
static void cross_ram_and_hole(void)
{
	static uint8_t ram[2 * 4096] __attribute__((aligned(4096)));
	uint64_t frame = (uint64_t)ram, view, val;

	view = page_map_pair(frame, 0xd8000000);
	memset(ram, 0x11, sizeof(ram));
	write64(view + 0xffc, 0x8877665544332211ULL);
	val = read64(view + 0xffc);
	check_eq("cross-ram-to-hole", val, 0xffffffff44332211ULL);
	check_eq("cross-ram-to-hole-written", read32(frame + 0xffc),
		 0x44332211);
	view = page_map_pair(0xd8000000, frame);
	write64(view + 0xffc, 0x8877665544332211ULL);
	val = read64(view + 0xffc);
	check_eq("cross-hole-to-ram", val, 0x88776655ffffffffULL);
	check_eq("cross-hole-to-ram-written", read32(frame), 0x88776655);
}

/* Beyond the end of RAM, below the hole's start and far above */
static void beyond_ram(void)
{
	static const uint64_t far[] = {0x1000000000ULL, 0x7ffffff000ULL};
	uint64_t end_low = 0, addr;
	unsigned int i;

	for (i = 0; i < machine.nr_e820; i++) {
		addr = machine.e820[i].addr + machine.e820[i].size;
		if (addr <= HOLE_START && addr > end_low)
			end_low = addr;
	}
	if (end_low < HOLE_START) {
		addr = page_map_window(end_low);
		check_eq("beyond-low-ram", read32(addr), 0xffffffff);
		write32(addr, 1);
		check_eq("beyond-low-ram-dropped", read32(addr), 0xffffffff);
		addr = page_map_pair(end_low - PAGE, end_low) + PAGE - 2;
		write32(addr, 0x44332211);
		check_eq("across-end-of-ram", read32(addr), 0xffff2211);
	}
	for (i = 0; i < ARRAY_SIZE(far); i++) {
		addr = page_map_window(far[i]);
		write64(addr, 1);
		check_eq("far-above-ram", read64(addr), ~0ULL);
	}
}

static void find_acpi_registers(void)
{
	static const unsigned int offsets[] = {116, 244, 256};
	struct acpi_gas gas;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		acpi_addr[i] = UINT64_MAX;
		if (acpi_read_gas(offsets[i], &gas) && gas.space == 0)
			acpi_addr[i] = gas.addr;
	}
}

void guest_main(void)
{
	device_first = cmdline_num("devices", 0) * PAGE;
	device_end = device_first + cmdline_num("count", 0) * PAGE;
	find_acpi_registers();
	sweep_borders();
	sweep_hole(cmdline_num("step", 16));
	odd_instructions();
	cross_ram_and_hole();
	beyond_ram();
}
