/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - what the loaders of both formats tell about a kernel
 */
#pragma once

#include "boot/file.h"

#include <asm/bootparam.h>

#define KERNEL_MAX_RANGES 32

/**
 * struct kernel - a kernel in guest memory
 * @range:	memory it occupies, or will once it has unpacked itself
 * @entry64:	64-bit Linux entry, guest physical
 * @entry_pvh:	PVH entry; 0: none
 * @hdr:	for the zero page; of a bzImage its own
 * @initrd_end:	the initrd ends at or below this
 * @cmdline_max: bytes without the NUL
 */
struct kernel {
	unsigned int nr_ranges;
	struct {
		gpa_t gpa;
		uint64_t len;
	} range[KERNEL_MAX_RANGES];
	uint64_t entry64;
	uint64_t entry_pvh;
	struct setup_header hdr;
	uint64_t initrd_end;
	uint32_t cmdline_max;
};

/**
 * kernel_add_range() - claim memory for the kernel
 * @part:	what of it, for the message
 *
 * Return: 0; with a sentence -ENOEXEC when it lies below 1 MiB, overlaps what
 * was claimed, or wraps, -ENOMEM when it is not RAM.
 */
int kernel_add_range(struct kernel *kernel, const struct gmem *mem,
		     const struct boot_file *file, const char *part, gpa_t gpa,
		     uint64_t len, struct err *err) __must_check;

/**
 * kernel_find_room() - the highest page-aligned place for an initrd
 *
 * Return: true and *@gpa, in low RAM and clear of the kernel.
 */
bool kernel_find_room(const struct kernel *kernel, const struct gmem *mem,
		      uint64_t len, gpa_t *gpa) __must_check;
