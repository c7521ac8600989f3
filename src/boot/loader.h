/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.h - a kernel, its initrd and its command line into guest memory
 *
 * Theory of operation
 *
 * boot_load() does all that firmware and a boot loader would have done: it
 * finds out what the kernel file is (format.h), checks every number in it
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
 * Where huge pages back the memory (gmem_set_policy()) the files are copied.
 * A Linux guest patches most pages of its kernel as it boots, and frees its
 * initrd: of 2,560 pages of both that it touched 386 were still the file's at
 * init, and they had cost 5,700 faults where seven huge pages cost seven.
 *
 * Two protocols: PVH (Xen's start_info: 32-bit, paging off) when an ELF kernel
 * carries the PVH note, else the 64-bit Linux protocol (boot_params, paging
 * on, as Documentation/arch/x86/boot.rst has it). bzImage: always the latter.
 */
#pragma once

#include "boot/platform.h"

/**
 * boot_load() - load @img into @mem and describe @plat to it
 *
 * On failure @mem may hold parts of the image: it is of no further use.
 *
 * Return: 0, or -errno and a sentence that names the file, what is wrong with
 * it and what to do, behind Firecracker's prefix (err_for_person()).
 */
int boot_load(struct gmem *mem, const struct boot_image *img,
	      const struct boot_platform *plat, struct boot_entry *entry,
	      struct err *err) __must_check;
