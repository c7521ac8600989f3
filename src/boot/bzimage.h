/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzimage.h - a bzImage by its 64-bit entry
 */
#pragma once

#include "boot/kernel.h"

/* @file has "HdrS" at offset 0x202. Return: 0 or -errno with a sentence. */
int bzimage_load(struct kernel *kernel, struct gmem *mem,
		 struct boot_file *file, struct boot_entry *entry,
		 struct err *err) __must_check;
