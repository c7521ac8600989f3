// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_bzimage.c - any bytes as a bzImage with a command line and an initrd
 *
 * The input: 8 bytes of control, the command line, the kernel file.
 *   0-1  length of the command line
 *   2-3  KiB of initrd, 0: none; bit 15: one byte less
 *   4    virtio windows
 *   5    bit 0: zeros behind the kernel file; bit 1: full irqchip
 *   6    CPUs
 */
#include "boot_fuzz.h"

#include <asm/bootparam.h>

#define CONTROL_BYTES 8u
#define CMDLINE_BYTES 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the zero page says of the initrd is what is there. */
static void judge_handover(const struct gmem *mem,
			   const struct boot_entry *entry, uint64_t initrd_len)
{
	const struct boot_params *bp = gmem_find(mem, entry->arg, sizeof(*bp));
	const char *cmdline = gmem_find(mem, LAYOUT_CMDLINE, PAGE_SIZE);
	uint64_t from, end;

	if (entry->mode != BOOT_ENTRY_LONG64)
		return;
	fuzz_check(strnlen(cmdline, PAGE_SIZE) < LAYOUT_CMDLINE_MAX);
	fuzz_check(bp && bp->hdr.ramdisk_size == initrd_len);
	from = bp->hdr.ramdisk_image;
	end = from + initrd_len;
	if (initrd_len == 0)
		return;
	fuzz_check(from >= LAYOUT_KERNEL && from % PAGE_SIZE == 0);
	fuzz_check(gmem_find(mem, from, initrd_len));
	fuzz_check(entry->ip < from || entry->ip >= end);
}

static void put_virtio(struct boot_platform *plat, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		plat->virtio[i] = (struct boot_virtio){
			.base = layout_virtio_base(i),
			.acpi_base = layout_virtio_acpi_base(i),
			.len = LAYOUT_VIRTIO_STRIDE,
			.gsi = layout_virtio_gsi(i),
		};
	plat->nr_virtio = nr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char cmdline[CMDLINE_BYTES + 1];
	struct boot_image img = {
		.kernel_path = "kernel",
		.initrd_path = "initrd",
		.initrd_fd = -1,
		.cmdline = cmdline,
	};
	struct boot_platform plat = {.has_serial = true};
	uint64_t cmdline_len, initrd_len;
	struct boot_entry entry;
	struct gmem mem;
	struct err err;
	bool loaded;

	if (size < CONTROL_BYTES)
		return 0;
	cmdline_len = load_le16(data) % CMDLINE_BYTES;
	initrd_len = KIB(load_le16(data + 2) & 0x7fff);
	if (initrd_len > 0)
		initrd_len -= load_le16(data + 2) >> 15;
	put_virtio(&plat, data[4] % (LAYOUT_VIRTIO_MAX + 1));
	plat.split_irqchip = !(data[5] & 2);
	plat.nr_cpus = data[6] % LAYOUT_MAX_CPUS + 1;
	if (cmdline_len > size - CONTROL_BYTES)
		cmdline_len = size - CONTROL_BYTES;
	memcpy(cmdline, data + CONTROL_BYTES, cmdline_len);
	cmdline[cmdline_len] = '\0';
	img.kernel_fd =
		fuzz_file(data + CONTROL_BYTES + cmdline_len,
			  size - CONTROL_BYTES - cmdline_len, data[5] & 1);
	if (initrd_len > 0) {
		img.initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
		fuzz_check(ftruncate(img.initrd_fd, (off_t)initrd_len) == 0);
	}
	fuzz_check(gmem_init(&mem, FUZZ_RAM_BYTES, GMEM_PAGES_DEFAULT, &err) ==
		   0);
	fuzz_load(&mem, &img, &plat, &entry, &loaded);
	if (loaded)
		judge_handover(&mem, &entry, initrd_len);
	gmem_fini(&mem);
	(void)close(img.kernel_fd);
	if (img.initrd_fd >= 0)
		(void)close(img.initrd_fd);
	return 0;
}
