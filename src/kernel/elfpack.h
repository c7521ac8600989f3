/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elfpack.h - a vmlinux as the VMM likes it: what is loaded, on whole pages
 *
 * Theory of operation
 *
 * volt-vmm maps a segment of a kernel instead of reading it where its place in
 * the file and its place in memory agree modulo the page size; all VMs of that
 * kernel then share its pages. A vmlinux holds more than what is loaded (names,
 * debug information: up to half a gigabyte), and how it is laid out is its
 * linker's choice. So the store keeps none as it came, but writes one with the
 * same program headers, whose segments lie on whole pages, and which has no
 * sections. What is loaded and where it is entered stays the same, to the byte.
 *
 * The same kernel gives the same file whether it came as a vmlinux, stripped or
 * not, or as a bzImage.
 *
 * Pages of zeros become holes.
 */
#pragma once

#include "base/err.h"

#define ELFPACK_PHDRS_MAX 32

/**
 * elfpack() - write the loaded parts of ELF file @from into @to
 * @to:		an empty regular file
 *
 * @from is somebody else's: each number is read once and checked. What a kernel
 * must be is the loader's business (boot/kernel.h).
 *
 * Return: 0; -ENOEXEC with the rest of a sentence ("is cut off ..."), -EFBIG,
 * -errno of reading or writing.
 */
int elfpack(int from, uint64_t size, int to, struct err *err) __must_check;
