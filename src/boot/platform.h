/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform.h - what is booted, on what machine, and how it is entered
 */
#pragma once

#include "boot/layout.h"
#include "mem/gmem.h"

#define BOOT_MAPPED_MAX 24

/* Fewer bytes are copied: that is cheaper than one more mapping. */
#define BOOT_MAP_MIN_BYTES KIB(64)

/**
 * struct boot_image - what to boot
 * @kernel_fd:	open for reading; the paths serve messages only
 * @initrd_fd:	-1: none
 * @cmdline:	as the user gave it; pci=off and device entries are added here
 * @root:	words about the root device, added before those; may be empty
 */
struct boot_image {
	int kernel_fd;
	const char *kernel_path;
	int initrd_fd;
	const char *initrd_path;
	const char *cmdline;
	const char *root;
};

enum boot_prefer {
	BOOT_PREFER_AUTO,    /* PVH when the kernel offers it */
	BOOT_PREFER_PVH,     /* refuse a kernel without it */
	BOOT_PREFER_LINUX64, /* never PVH */
};

/**
 * struct boot_virtio - the virtio-mmio windows of a device
 * @base:	guest address, page aligned, in the hole below 4 GiB: for guests
 *		that go by the command line
 * @acpi_base:	another one, for those that go by ACPI (virtio/mmio.h says why)
 * @len:	bytes, a multiple of 4 KiB
 * @gsi:	its interrupt: edge-triggered
 */
struct boot_virtio {
	uint64_t base;
	uint64_t acpi_base;
	uint32_t len;
	uint32_t gsi;
};

/**
 * struct boot_platform - the machine as the guest is told about it
 * @nr_cpus:	1 to LAYOUT_MAX_CPUS; the local APIC id of CPU i is i
 * @split_irqchip: no PIC and no PIT
 * @has_vmclock:	needs @has_genid, whose event tells of it
 */
struct boot_platform {
	unsigned int nr_cpus;
	bool split_irqchip;
	bool has_serial;
	bool has_i8042;
	bool has_rtc;
	bool has_genid;
	bool has_vmclock;
	unsigned int nr_virtio;
	struct boot_virtio virtio[LAYOUT_VIRTIO_MAX];
	enum boot_prefer prefer;
};

enum boot_entry_mode {
	BOOT_ENTRY_LONG64, /* 64-bit, paging on; rsi = zero page */
	BOOT_ENTRY_PVH32,  /* 32-bit, paging off; ebx = start info */
};

/**
 * struct boot_mapped - guest memory that is a private mapping of a file
 * @path:	borrowed from struct boot_image
 */
struct boot_mapped {
	gpa_t gpa;
	uint64_t len;
	const char *path;
};

/**
 * struct boot_entry - how the boot CPU enters the kernel
 * @ip:		guest physical
 * @arg:	rsi or ebx
 * @cr3:	LONG64 only
 * @gdt:	at LAYOUT_GDT: code 0x10, data 0x18, TSS 0x20
 */
struct boot_entry {
	enum boot_entry_mode mode;
	uint64_t ip;
	uint64_t arg;
	uint64_t cr3;
	uint64_t gdt;
	uint16_t gdt_limit;
	unsigned int nr_mapped;
	struct boot_mapped mapped[BOOT_MAPPED_MAX];
};
