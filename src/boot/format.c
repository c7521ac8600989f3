// SPDX-License-Identifier: Apache-2.0
/*
 * format.c - what kind of file a kernel is, and who loads it
 */
#include "boot/format.h"

#include "boot/bzimage.h"
#include "boot/elf.h"

#include <errno.h>

#define HDRS_OFFSET 0x202u
#define MAGIC_MAX   8
#define TEXT_MIN    16
#define PREFIX_KERNEL                                                    \
	"System configuration error: Cannot load kernel due to invalid " \
	"memory configuration or invalid kernel image: Kernel Loader: "
#define PREFIX_ELF PREFIX_KERNEL "failed to load ELF kernel image: "
#define PREFIX_BZIMAGE                                        \
	PREFIX_KERNEL "failed to load bzImage kernel image: " \
		      "Kernel Loader: Invalid bzImage: "

/* Files that people take for kernels, by their first bytes. */
static const struct {
	uint8_t off;
	uint8_t len;
	char magic[MAGIC_MAX];
	const char *is;
	const char *advice;
} format_foreign[] = {
	{0, 2, "\x1f\x8b", "compressed with gzip",
	 "decompress it first (gzip -d)"},
	{0, 6, "\xfd\x37zXZ", "compressed with xz",
	 "decompress it first (xz -d)"},
	{0, 3, "BZh", "compressed with bzip2",
	 "decompress it first (bzip2 -d)"},
	{0, 4, "\x28\xb5\x2f\xfd", "compressed with zstd",
	 "decompress it first (zstd -d)"},
	{0, 4, "\x04\x22\x4d\x18", "compressed with lz4",
	 "decompress it first (lz4 -d)"},
	{0, 4, "\x02\x21\x4c\x18", "compressed with lz4",
	 "decompress it first (lz4 -d)"},
	{0, 3, "\x5d\0", "compressed with lzma",
	 "decompress it first (xz --format=lzma -d)"},
	{0, 6, "070701", "a cpio archive", "that is an initrd, not a kernel"},
	{0, 4, "QFI\xfb", "a qcow2 disk image", "give a kernel"},
	{56, 4, "ARM\x64", "an arm64 kernel",
	 "give one that was built for x86-64"},
	{0, 4, "\xd0\x0d\xfe\xed", "a device tree or FIT image",
	 "give an x86-64 vmlinux or bzImage"},
	{0, 2, "#!", "a script", "give a kernel"},
	{0, 2, "MZ", "an EFI program without a Linux boot header",
	 "give an x86-64 vmlinux or bzImage"},
};

/*
 * The API's texts start as Firecracker's; which of its two loaders a file is
 * for, it decides by the ELF magic alone.
 */
void kernel_err_prefix(struct err *err)
{
	(void)err_prefix_api(err, "%s", PREFIX_BZIMAGE);
}

static bool is_text(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((p[i] < 0x20 || p[i] > 0x7e) && p[i] != '\n' &&
		    p[i] != '\t' && p[i] != '\r')
			return false;
	return len >= TEXT_MIN;
}

static bool format_is_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* Neither ELF nor bzImage: say what it is instead. */
static int format_refuse(const struct boot_file *file, const uint8_t *head,
			 size_t len, struct err *err)
{
	const char *is = "neither an ELF vmlinux nor a bzImage";
	const char *advice = "give an x86-64 Linux kernel";

	for (size_t i = 0; i < ARRAY_SIZE(format_foreign); i++) {
		if (!range_fits(format_foreign[i].off, format_foreign[i].len,
				len) ||
		    memcmp(head + format_foreign[i].off,
			   format_foreign[i].magic, format_foreign[i].len) != 0)
			continue;
		return err_set(err, -ENOEXEC, "%s is %s: %s", file->path,
			       format_foreign[i].is, format_foreign[i].advice);
	}
	if (format_is_zero(head, len))
		is = "not a kernel: it starts with zeros";
	else if (is_text(head, len))
		is = "a text file";
	return err_set(err, -ENOEXEC, "%s is %s; %s", file->path, is, advice);
}

int kernel_load(struct kernel *kernel, struct gmem *mem, struct boot_file *file,
		enum boot_prefer prefer, struct boot_entry *entry,
		struct err *err)
{
	uint8_t head[BOOT_FILE_WINDOW_BYTES] = {0};
	size_t len = file->size < sizeof(head) ? file->size : sizeof(head);
	int r = boot_file_read(file, 0, head, len, err);

	if (r == 0 && memcmp(head,
			     "\x7f"
			     "ELF",
			     4) == 0) {
		r = elf_load(kernel, mem, file, entry, err);
		if (r == 0 && prefer == BOOT_PREFER_PVH && !kernel->entry_pvh)
			r = err_set(err, -ENOEXEC,
				    "%s has no PVH entry note: build it with "
				    "CONFIG_PVH, or use the 64-bit entry",
				    file->path);
		if (r < 0)
			(void)err_prefix_api(err, "%s", PREFIX_ELF);
		return r;
	}
	if (r == 0 && memcmp(head + HDRS_OFFSET, "HdrS", 4) != 0)
		r = format_refuse(file, head, len, err);
	if (r == 0)
		r = bzimage_load(kernel, mem, file, entry, err);
	if (r == 0 && prefer == BOOT_PREFER_PVH)
		r = err_set(err, -ENOEXEC,
			    "%s is a bzImage, which has no PVH entry: give the "
			    "vmlinux inside it",
			    file->path);
	if (r < 0)
		kernel_err_prefix(err);
	return r;
}
