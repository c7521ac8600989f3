// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_elf.c - any bytes as an ELF kernel: an answer, nothing out of bounds
 *
 * The input is the file; its last byte is the platform's: bit 0 appends zeros
 * to the file, bits 1 and 2 are the preferred protocol.
 */
#include "boot_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_image img = {
		.kernel_path = "kernel",
		.initrd_fd = -1,
		.cmdline = "quiet",
	};
	struct boot_platform plat = {.nr_cpus = 1, .split_irqchip = true};
	struct boot_entry entry;
	struct gmem mem;
	struct err err;
	bool loaded;

	if (size == 0)
		return 0;
	plat.prefer = (data[size - 1] >> 1 & 3) % 3;
	img.kernel_fd = fuzz_file(data, size, data[size - 1] & 1);
	fuzz_check(gmem_init(&mem, FUZZ_RAM_BYTES, GMEM_PAGES_DEFAULT, &err) ==
		   0);
	fuzz_load(&mem, &img, &plat, &entry, &loaded);
	if (loaded && entry.mode == BOOT_ENTRY_PVH32)
		fuzz_check(plat.prefer != BOOT_PREFER_LINUX64);
	gmem_fini(&mem);
	(void)close(img.kernel_fd);
	return 0;
}
