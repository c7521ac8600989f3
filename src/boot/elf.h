/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf.h - an ELF64 x86-64 kernel
 */
#pragma once

#include "boot/kernel.h"

/* @file starts with the ELF magic. Return: 0 or -errno with a sentence. */
int elf_load(struct kernel *kernel, struct gmem *mem, struct boot_file *file,
	     struct boot_entry *entry, struct err *err) __must_check;
