/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resets.c - guest: one end of a VM each, chosen by `end=<name>`
 *
 * A `FAIL` line only follows when the end did not happen.
 */
#include "guest.h"

enum {
	FADT_RESET = 116,
	FADT_RESET_VALUE = 128,
	FADT_SLEEP_CONTROL = 244,
	SLEEP_ENABLE = 0x20,
};

static void end_i8042(void)
{
	out8(I8042_CMD, 0xfe);
}

/* The register's bit 0 low, as written by drivers that know no 0xfe */
static void end_acpi_reset(void)
{
	struct acpi_gas gas;

	if (!acpi_read_gas(FADT_RESET, &gas))
		return;
	acpi_write_gas(&gas, read8(acpi_find_table("FACP") + FADT_RESET_VALUE));
}

static void end_acpi_s5(void)
{
	struct acpi_gas gas;
	int type = acpi_s5_type();

	if (type < 0 || !acpi_read_gas(FADT_SLEEP_CONTROL, &gas))
		return;
	acpi_write_gas(&gas, (uint8_t)(SLEEP_ENABLE | type << 2));
}

static void end_halt(void)
{
	asm volatile("cli; hlt");
}

static void jump_to(uint64_t addr)
{
	asm volatile("jmp *%0" : : "r"(addr) : "memory");
}

/* Above all memory, below the limit of physical addresses */
static void end_bad_rip(void)
{
	jump_to(page_map_window(0x2000000000ULL));
}

static void end_mmio_rip(void)
{
	jump_to(0xd8000000);
}

/* An instruction that is not in KVM's emulator, with its operand in MMIO:
 * on hardware too this one has to be emulated. */
static void end_no_emulation(void)
{
	asm volatile("fistpll (%0)" : : "r"(0xd8000000ULL) : "memory");
}

static void end_mmio_stack(void)
{
	asm volatile("mov %0, %%rsp; push %%rax; pop %%rax; call *%1"
		     :
		     : "r"(0xd8001000ULL), "r"(guest_reset)
		     : "memory");
}

static void end_mmio_page_table(void)
{
	asm volatile("mov %0, %%cr3" : : "r"(0xd8000000ULL) : "memory");
}

/* No memory below either: the walk leaves the machine. */
static void end_no_page_table(void)
{
	asm volatile("mov %0, %%cr3" : : "r"(0x2000000000ULL) : "memory");
}

static const struct {
	const char *name;
	void (*fn)(void);
} ends[] = {
	{"i8042", end_i8042},
	{"acpi-reset", end_acpi_reset},
	{"acpi-s5", end_acpi_s5},
	{"triple-fault", guest_triple_fault},
	{"halt", end_halt},
	{"bad-rip", end_bad_rip},
	{"mmio-rip", end_mmio_rip},
	{"no-emulation", end_no_emulation},
	{"mmio-stack", end_mmio_stack},
	{"mmio-page-table", end_mmio_page_table},
	{"no-page-table", end_no_page_table},
};

void guest_main(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		if (!cmdline_is("end", ends[i].name))
			continue;
		print("ending %s\n", ends[i].name);
		ends[i].fn();
		check(false, ends[i].name);
		return;
	}
	check(false, "end-unknown");
}
