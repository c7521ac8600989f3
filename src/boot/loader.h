/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.h - a kernel, its initrd and its command line into guest memory
 *
 * Theory of operation
 *
 * boot_load() does all that firmware and a boot loader would have done: it
 * finds out what the kernel file is (image.h), checks every number in it
 * before it is used, puts kernel and initrd into guest memory, writes the
 * tables that describe the machine (layout.h says where) and answers with the
 * state in which the boot CPU enters the kernel. It is called once, on fresh
 * (zero) memory, before KVM knows that memory; it makes no ioctl.
 *
 * Whole pages of the files are mapped MAP_PRIVATE, so that all VMs of one
 * kernel share its page cache; only ragged edges are read. What is mapped is
 * listed in struct boot_entry: when such a file shrinks later, the access that
 * faults can be named.
 *
 * Where huge pages back the memory (gmem_ask_policy()) the files are copied.
 * A Linux guest patches most pages of its kernel as it boots, and frees its
 * initrd: of 2,560 pages of both that it touched 386 were still the file's at
 * init, and they had cost 5,700 faults where seven huge pages cost seven.
 *
 * Two protocols: PVH (Xen's start_info: 32-bit, paging off) when an ELF kernel
 * carries the PVH note, else the 64-bit Linux protocol (boot_params, paging
 * on, as Documentation/arch/x86/boot.rst has it). bzImage: always the latter.
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
 */
struct boot_platform {
	unsigned int nr_cpus;
	bool split_irqchip;
	bool has_serial;
	bool has_i8042;
	bool has_rtc;
	bool has_genid;
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

/**
 * boot_load() - load @img into @mem and describe @plat to it
 *
 * On failure @mem may hold parts of the image: it is of no further use.
 *
 * Return: 0, or -errno and a sentence that names the file, what is wrong with
 * it and what to do, behind Firecracker's prefix (see boot_err_plain()).
 */
int boot_load(struct gmem *mem, const struct boot_image *img,
	      const struct boot_platform *plat, struct boot_entry *entry,
	      struct err *err) __must_check;

/**
 * boot_err_plain() - the text of a boot_load() failure for a person
 *
 * The API has to start as Firecracker's does ("System configuration error:
 * Cannot load kernel ..."); a terminal has no need of that.
 *
 * Return: the part of @text behind the prefix; @text when there is none.
 */
const char *boot_err_plain(const char *text);

/**
 * boot_mapped_at() - the file behind a guest address (for SIGBUS)
 *
 * Return: its path, NULL when @gpa is plain memory. Async-signal-safe.
 */
const char *boot_mapped_at(const struct boot_entry *entry, gpa_t gpa);
