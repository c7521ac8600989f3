/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot_kit.h - files, memory and a machine for the tests of boot/
 */
#pragma once

#include "unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/loader.h"

/* A file of these bytes; the caller closes it. */
static inline int kit_file(const void *data, size_t len)
{
	int fd = memfd_create("boot", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, 0), (ssize_t)len);
	return fd;
}

/* Fresh RAM; a test that fails leaks it. */
static inline void kit_memory(struct gmem *mem, uint64_t size)
{
	struct err err = {0};

	assert_int_equal(gmem_init(mem, size, GMEM_PAGES_DEFAULT, &err), 0);
}

/* One CPU, all legacy devices, split irqchip, nothing else. */
static inline struct boot_platform kit_platform(void)
{
	return (struct boot_platform){
		.nr_cpus = 1,
		.split_irqchip = true,
		.has_serial = true,
		.has_i8042 = true,
		.has_rtc = true,
		.has_genid = true,
		.has_vmclock = true,
	};
}

static inline void kit_add_virtio(struct boot_platform *plat, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		plat->virtio[plat->nr_virtio++] = (struct boot_virtio){
			.base = layout_virtio_base(i),
			.acpi_base = layout_virtio_acpi_base(i),
			.len = LAYOUT_VIRTIO_STRIDE,
			.gsi = layout_virtio_gsi(i),
		};
}

/* boot_load() of a kernel (and an initrd, -1: none) with a plain machine. */
static inline int kit_load(struct gmem *mem, int kernel, int initrd,
			   struct boot_entry *entry, struct err *err)
{
	struct boot_platform plat = kit_platform();
	struct boot_image img = {
		.kernel_fd = kernel,
		.kernel_path = "/k/kernel",
		.initrd_fd = initrd,
		.initrd_path = "/k/initrd",
		.cmdline = "console=ttyS0",
	};

	return boot_load(mem, &img, &plat, entry, err);
}

/* The sum of a range is 0: how every firmware table is checked. */
static inline void kit_sum_is_zero(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	assert_int_equal(sum, 0);
}
