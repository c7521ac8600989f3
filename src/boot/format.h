/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.h - what kind of file a kernel is, and who loads it
 */
#pragma once

#include "boot/kernel.h"

/**
 * kernel_load() - find out what the file is and load it
 *
 * Return: 0, or -errno with a sentence behind Firecracker's prefix.
 */
int kernel_load(struct kernel *kernel, struct gmem *mem, struct boot_file *file,
		enum boot_prefer prefer, struct boot_entry *entry,
		struct err *err) __must_check;

/* Firecracker's words in front of a kernel failure. */
void kernel_err_prefix(struct err *err);
