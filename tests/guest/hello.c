/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c - guest: prints and checks what the VMM hands over at the start
 *
 * Command line: `initrd=<sum>` checks the byte sum of the initrd.
 */
#include "guest.h"

/* First in .bss, so it shares a page with the end of the data: a loader that
 * maps the file must clear what the file has behind the segment. */
static const volatile uint64_t unused[4096]
	__attribute__((section(".bss.tail")));

static void check_bss(void)
{
	size_t i, dirty = 0;

	for (i = 0; i < ARRAY_SIZE(unused); i++)
		dirty += unused[i] != 0;
	check_eq("bss-is-zero", dirty, 0);
}

static void check_memory_map(void)
{
	uint64_t total = 0;
	bool sane = machine.nr_e820 > 0, hole = true;
	struct e820_range *r;
	unsigned int i;

	for (i = 0; i < machine.nr_e820; i++) {
		r = &machine.e820[i];
		print("# e820 0x%lx 0x%lx type %u\n", r->addr, r->size,
		      r->type);
		if (!r->size || r->addr + r->size < r->addr)
			sane = false;
		if (r->type != E820_RAM)
			continue;
		total += r->size;
		if (r->addr < HOLE_END && r->addr + r->size > HOLE_START)
			hole = false;
	}
	print("# ram %lu KiB\n", total / 1024);
	check(sane, "e820-ranges-sane");
	check(hole, "e820-no-ram-in-hole");
	check(machine.e820[0].addr == 0 && machine.e820[0].type == E820_RAM,
	      "e820-starts-with-ram");
	check(machine.nr_e820 > 0 &&
		      machine.e820[0].addr + machine.e820[0].size <= 0xa0000,
	      "e820-spares-bios-area");
}

static void check_overlap(void)
{
	unsigned int i, j, bad = 0;
	struct e820_range *a, *b;

	for (i = 0; i < machine.nr_e820; i++)
		for (j = i + 1; j < machine.nr_e820; j++) {
			a = &machine.e820[i];
			b = &machine.e820[j];
			if (a->addr < b->addr + b->size &&
			    b->addr < a->addr + a->size)
				bad++;
		}
	check_eq("e820-no-overlap", bad, 0);
}

static void check_cpuid(void)
{
	struct cpuid c = cpuid_read(1, 0);
	char sig[13] = {0};

	check(c.ecx & 1U << 31, "cpuid-hypervisor-bit");
	check(c.edx & 1U << 9, "cpuid-apic");
	check(c.ecx & 1U << 24, "cpuid-tsc-deadline");
	c = cpuid_read(6, 0);
	check(c.eax & 1U << 2, "cpuid-arat");
	c = cpuid_read(0x40000000, 0);
	memcpy(sig, &c.ebx, 4);
	memcpy(sig + 4, &c.ecx, 4);
	memcpy(sig + 8, &c.edx, 4);
	print("# hypervisor %s max 0x%x\n", sig, c.eax);
	check(!memcmp(sig, "KVMKVMKVM", 9), "cpuid-kvm-signature");
	c = cpuid_read(0x40000001, 0);
	check_info("cpuid-kvmclock", c.eax & 1U << 3, c.eax, 0);
	c = cpuid_read(0x80000000, 0);
	check(c.eax >= 0x80000008, "cpuid-extended-leaves");
	c = cpuid_read(0x80000008, 0);
	print("# physical bits %u\n", c.eax & 0xff);
	c = cpuid_read(0, 0);
	if (c.eax >= 0x15) {
		c = cpuid_read(0x15, 0);
		print("# tsc leaf %u/%u %u Hz\n", c.ebx, c.eax, c.ecx);
	}
}

/* kvm-clock: KVM fills the page when its address goes into the MSR. */
static void check_kvmclock(void)
{
	static volatile uint32_t info[8] __attribute__((aligned(64)));

	msr_write(0x4b564d01, (uint64_t)info | 1);
	(void)cpuid_read(0, 0);
	check_info("kvmclock-filled", info[0] && !(info[0] & 1) && info[6],
		   info[0], info[6]);
	msr_write(0x4b564d01, 0);
}

static void check_acpi(void)
{
	static const char *const tables[] = {"FACP", "APIC"};
	uint64_t fadt, table;
	struct acpi_gas gas;
	unsigned int i;

	check(machine.rsdp, "rsdp-passed");
	if (!machine.rsdp)
		return;
	check(!memcmp((const void *)machine.rsdp, "RSD PTR ", 8),
	      "rsdp-signature");
	check(acpi_checksum(machine.rsdp, 20), "rsdp-checksum");
	check(acpi_checksum(machine.rsdp, 36), "rsdp-extended-checksum");
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		table = acpi_find_table(tables[i]);
		check(table && acpi_checksum(table, read32(table + 4)),
		      tables[i]);
	}
	fadt = acpi_find_table("FACP");
	if (!fadt)
		return;
	check(read32(fadt + 112) & 1U << 20, "fadt-hardware-reduced");
	check(read32(fadt + 112) & 1U << 10, "fadt-reset-supported");
	check(acpi_read_gas(116, &gas), "fadt-reset-register");
	check(acpi_read_gas(244, &gas), "fadt-sleep-control");
	check(acpi_read_gas(256, &gas), "fadt-sleep-status");
	check(acpi_s5_type() >= 0, "dsdt-s5");
}

static void check_cpu_lists(void)
{
	static struct acpi_ids madt, mp;
	unsigned int i, differ = 0;

	acpi_list_cpus(&madt);
	check(mptable_list_cpus(&mp), "mptable");
	print("# cpus madt %u mptable %u\n", madt.nr, mp.nr);
	check_eq("cpu-lists-same-length", mp.nr, madt.nr);
	for (i = 0; i < madt.nr && i < mp.nr; i++)
		differ += madt.id[i] != mp.id[i];
	check_eq("cpu-lists-same-ids", differ, 0);
}

static void check_initrd(void)
{
	uint64_t sum = 0, i;

	print("# initrd 0x%lx size %lu\n", machine.initrd, machine.initrd_size);
	if (!cmdline_get("initrd"))
		return;
	for (i = 0; i < machine.initrd_size; i++)
		sum += read8(machine.initrd + i);
	check_eq("initrd-bytes", sum, cmdline_num("initrd", 0));
}

static void check_boot_params(void)
{
	uint64_t bp = machine.boot_params, si = machine.start_info;

	if (bp) {
		check_eq("boot-params-header", read32(bp + 0x202), 0x53726448);
		check_eq("boot-params-flag", read16(bp + 0x1fe), 0xaa55);
		check(read8(bp + 0x210), "boot-params-loader-type");
	} else {
		check_eq("start-info-magic", read32(si), 0x336ec578);
		check(read32(si + 4) >= 1, "start-info-version");
	}
}

void guest_main(void)
{
	print("# protocol %s\n# cmdline %s\n", machine.protocol,
	      machine.cmdline);
	check_boot_params();
	check_memory_map();
	check_overlap();
	check_bss();
	check_cpuid();
	check_kvmclock();
	check_acpi();
	check_cpu_lists();
	check_initrd();
}
