/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.c - what the boot protocol hands over, copied out of harm's way
 *
 * Theory of operation: the 64-bit Linux protocol passes boot_params (Linux,
 * Documentation/arch/x86/zero-page.rst), PVH passes hvm_start_info (Xen,
 * public/arch-x86/hvm/start_info.h). Both give a command line, a memory map,
 * an initrd and the RSDP. They are copied first of all: the SMP trampoline
 * and the memory test may overwrite the originals.
 */
#include "guest.h"

enum {
	BP_RSDP = 0x070,
	BP_EXT_RAMDISK_IMAGE = 0x0c0,
	BP_EXT_RAMDISK_SIZE = 0x0c4,
	BP_EXT_CMDLINE = 0x0c8,
	BP_E820_ENTRIES = 0x1e8,
	BP_RAMDISK_IMAGE = 0x218,
	BP_RAMDISK_SIZE = 0x21c,
	BP_CMDLINE = 0x228,
	BP_E820_TABLE = 0x2d0,

	SI_NR_MODULES = 12,
	SI_MODULES = 16,
	SI_CMDLINE = 24,
	SI_RSDP = 32,
	SI_MEMMAP = 40,
	SI_MEMMAP_ENTRIES = 48,
};

struct machine machine;

static void copy_cmdline(uint64_t addr)
{
	const char *src = (const char *)addr;
	size_t i;

	if (!addr)
		return;
	for (i = 0; i < sizeof(machine.cmdline) - 1 && src[i]; i++)
		machine.cmdline[i] = src[i];
}

static void copy_memmap(uint64_t table, uint32_t nr, unsigned int stride)
{
	struct e820_range *r;

	if (nr > ARRAY_SIZE(machine.e820))
		nr = ARRAY_SIZE(machine.e820);
	for (; machine.nr_e820 < nr; table += stride) {
		r = &machine.e820[machine.nr_e820++];
		r->addr = read64(table);
		r->size = read64(table + 8);
		r->type = read32(table + 16);
	}
}

static void read_boot_params(uint64_t bp)
{
	machine.protocol = "linux64";
	machine.boot_params = bp;
	machine.rsdp = read64(bp + BP_RSDP);
	copy_cmdline(read32(bp + BP_CMDLINE) |
		     (uint64_t)read32(bp + BP_EXT_CMDLINE) << 32);
	copy_memmap(bp + BP_E820_TABLE, read8(bp + BP_E820_ENTRIES), 20);
	machine.initrd = read32(bp + BP_RAMDISK_IMAGE) |
			 (uint64_t)read32(bp + BP_EXT_RAMDISK_IMAGE) << 32;
	machine.initrd_size = read32(bp + BP_RAMDISK_SIZE) |
			      (uint64_t)read32(bp + BP_EXT_RAMDISK_SIZE) << 32;
}

static void read_start_info(uint64_t si)
{
	uint64_t module;

	machine.protocol = "pvh";
	machine.start_info = si;
	machine.rsdp = read64(si + SI_RSDP);
	copy_cmdline(read64(si + SI_CMDLINE));
	copy_memmap(read64(si + SI_MEMMAP), read32(si + SI_MEMMAP_ENTRIES), 24);
	if (read32(si + SI_NR_MODULES)) {
		module = read64(si + SI_MODULES);
		machine.initrd = read64(module);
		machine.initrd_size = read64(module + 8);
	}
}

/**
 * guest_enter() - First C code of a guest, from start.S.
 * @boot_params: zero page, 0 with PVH
 * @start_info: hvm_start_info, 0 with the Linux protocol
 */
void guest_enter(uint64_t boot_params, uint64_t start_info)
{
	if (boot_params)
		read_boot_params(boot_params);
	else
		read_start_info(start_info);
	idt_init();
	guest_main();
	guest_done();
}

/* The word of the command line that starts with @s and ends as @end says. */
static const char *find_word(const char *s, char end)
{
	const char *p = machine.cmdline;
	size_t len = strlen(s);

	while (*p) {
		while (*p == ' ')
			p++;
		if (!memcmp(p, s, len) &&
		    (p[len] == end || (end == ' ' && !p[len])))
			return p + len;
		while (*p && *p != ' ')
			p++;
	}
	return NULL;
}

bool cmdline_has(const char *word)
{
	return find_word(word, ' ');
}

const char *cmdline_get(const char *key)
{
	const char *p = find_word(key, '=');

	return p ? p + 1 : NULL;
}

bool cmdline_is(const char *key, const char *value)
{
	const char *p = cmdline_get(key);
	size_t len = strlen(value);

	return p && !memcmp(p, value, len) && (!p[len] || p[len] == ' ');
}

uint64_t cmdline_num(const char *key, uint64_t missing)
{
	const char *p = cmdline_get(key);
	uint64_t val = 0;

	if (!p)
		return missing;
	while (*p >= '0' && *p <= '9')
		val = val * 10 + (uint64_t)(*p++ - '0');
	return val;
}
