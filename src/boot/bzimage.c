// SPDX-License-Identifier: Apache-2.0
/*
 * bzimage.c - a bzImage by its 64-bit entry
 *
 * Theory of operation
 *
 * The file is a real-mode part of (setup_sects + 1) * 512 bytes, of which only
 * the setup header counts here, and the protected-mode part, which unpacks the
 * kernel. It goes to its preferred address: the 64-bit entry lies 0x200 behind
 * its start, and from there it needs init_size bytes of memory for unpacking.
 * A relocatable kernel would run higher as well, but never lower, so nothing
 * is gained by moving it.
 *
 * A header of version 2.06 is the oldest that is recognised; the 64-bit entry
 * is promised by XLF_KERNEL_64, which 2.12 brought (Linux 3.8, 2013).
 *
 * Reference: Linux, Documentation/arch/x86/boot.rst.
 */
#include "boot/bzimage.h"

#include <errno.h>

#define HDR_OFFSET      0x1f1u
#define HDR_END_BASE    0x202u /* the byte at 0x201 counts from here */
#define HDR_LENGTH_BYTE 0x201u
#define VERSION_MIN     0x0206u
#define VERSION_XLF     0x020cu
#define ENTRY64         0x200u
#define SECTOR          512u
#define BOOT_FLAG       0xaa55u
#define SECTS_IF_ZERO   4u

static int bzimage_damaged(const struct boot_file *file, const char *what,
			   uint64_t v, struct err *err)
{
	return err_set(err, -ENOEXEC,
		       "The bzImage %s is damaged: %s 0x%llx is not possible",
		       file->path, what, (unsigned long long)v);
}

/* The header is as long as it says, not as we know it. */
static int bzimage_read_header(struct setup_header *hdr, struct boot_file *file,
			       struct err *err)
{
	uint8_t length;
	uint64_t bytes;
	int r = boot_file_read(file, HDR_LENGTH_BYTE, &length, 1, err);

	if (r < 0)
		return r;
	memset(hdr, 0, sizeof(*hdr));
	bytes = HDR_END_BASE + length - HDR_OFFSET;
	if (bytes > sizeof(*hdr))
		bytes = sizeof(*hdr);
	return boot_file_read(file, HDR_OFFSET, hdr, bytes, err);
}

static int bzimage_check_header(const struct setup_header *hdr,
				const struct boot_file *file, struct err *err)
{
	if (hdr->boot_flag != BOOT_FLAG)
		return bzimage_damaged(file, "boot flag", hdr->boot_flag, err);
	if (hdr->version < VERSION_MIN)
		return err_set(err, -ENOEXEC,
			       "%s has a setup header of version %u.%02u: "
			       "2.06 (Linux 2.6.22) is the oldest that can be "
			       "booted",
			       file->path, hdr->version >> 8,
			       hdr->version & 0xff);
	if (!(hdr->loadflags & LOADED_HIGH))
		return err_set(err, -ENOEXEC,
			       "%s is a zImage, which loads below 1 MiB: give "
			       "a bzImage",
			       file->path);
	if (hdr->version < VERSION_XLF || !(hdr->xloadflags & XLF_KERNEL_64))
		return err_set(err, -ENOEXEC,
			       "%s has no 64-bit entry: give an x86-64 kernel "
			       "of Linux 3.8 or newer, or its vmlinux",
			       file->path);
	if (hdr->syssize == 0)
		return bzimage_damaged(file, "size", 0, err);
	/* x & (x - 1): a power of two */
	if (hdr->relocatable_kernel &&
	    (hdr->kernel_alignment == 0 ||
	     !is_aligned(hdr->kernel_alignment, hdr->kernel_alignment) ||
	     !is_aligned(hdr->pref_address, hdr->kernel_alignment)))
		return bzimage_damaged(file, "alignment", hdr->kernel_alignment,
				       err);
	return 0;
}

int bzimage_load(struct kernel *kernel, struct gmem *mem,
		 struct boot_file *file, struct boot_entry *entry,
		 struct err *err)
{
	struct setup_header *hdr = &kernel->hdr;
	uint64_t off, len, need;
	int r;

	memset(kernel, 0, sizeof(*kernel));
	r = bzimage_read_header(hdr, file, err);
	if (r == 0)
		r = bzimage_check_header(hdr, file, err);
	if (r < 0)
		return r;
	off = hdr->setup_sects ? hdr->setup_sects : SECTS_IF_ZERO;
	off = (off + 1) * SECTOR;
	len = (uint64_t)hdr->syssize * 16;
	if (!range_fits(off, len, file->size))
		return err_set(err, -ENOEXEC,
			       "The bzImage %s is truncated: %llu bytes of "
			       "kernel at offset %llu of a file of %llu; fetch "
			       "or build it again",
			       file->path, (unsigned long long)len,
			       (unsigned long long)off,
			       (unsigned long long)file->size);
	if (len <= ENTRY64)
		return bzimage_damaged(file, "size", len, err);
	if (hdr->pref_address >= GIB(4))
		return bzimage_damaged(file, "load address", hdr->pref_address,
				       err);
	need = hdr->init_size > len ? hdr->init_size : len;
	r = kernel_add_range(kernel, mem, file, "the unpacked kernel",
			     hdr->pref_address, need, err);
	if (r == 0)
		r = boot_file_place(file, mem, hdr->pref_address, off, len,
				    entry, err);
	if (r < 0)
		return r;
	hdr->code32_start = (uint32_t)hdr->pref_address;
	kernel->entry64 = hdr->pref_address + ENTRY64;
	kernel->initrd_end = (uint64_t)hdr->initrd_addr_max + 1;
	kernel->cmdline_max = LAYOUT_CMDLINE_MAX - 1;
	if (hdr->cmdline_size < kernel->cmdline_max)
		kernel->cmdline_max = hdr->cmdline_size;
	return 0;
}
