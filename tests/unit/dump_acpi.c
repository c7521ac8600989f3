// SPDX-License-Identifier: Apache-2.0
/*
 * dump_acpi.c - the ACPI tables of a machine as files, for iasl to judge
 *
 * Usage: dump_acpi DIRECTORY NR_CPUS NR_VIRTIO LEGACY SPLIT
 * Writes <signature>.dat for each table that the XSDT leads to, and the DSDT.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "boot/tables.h"

#define XSDT_AT    24u
#define XSDT_ENTRY 36u
#define DSDT_AT    140u
#define TABLE_LEN  4u

static int write_table(const struct gmem *mem, const char *dir, gpa_t gpa)
{
	const uint8_t *p = gmem_find(mem, gpa, XSDT_ENTRY);
	char path[256];
	cleanup_fd int fd = -1;

	if (!p || !gmem_find(mem, gpa, load_le32(p + TABLE_LEN)))
		return -EFAULT;
	(void)snprintf(path, sizeof(path), "%s/%.4s.dat", dir, (const char *)p);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	return fd_write_full(fd, p, load_le32(p + TABLE_LEN));
}

static int write_all(const struct gmem *mem, const char *dir)
{
	const uint8_t *rsdp = gmem_find(mem, LAYOUT_ACPI, XSDT_ENTRY);
	gpa_t xsdt = load_le64(rsdp + XSDT_AT);
	const uint8_t *x = gmem_find(mem, xsdt, XSDT_ENTRY);
	int r = write_table(mem, dir, xsdt);

	for (uint32_t i = XSDT_ENTRY; r == 0 && i < load_le32(x + TABLE_LEN);
	     i += 8) {
		gpa_t at = load_le64(x + i);
		const uint8_t *t = gmem_find(mem, at, DSDT_AT + 8);

		r = write_table(mem, dir, at);
		if (r == 0 && memcmp(t, "FACP", 4) == 0)
			r = write_table(mem, dir, load_le64(t + DSDT_AT));
	}
	return r;
}

static unsigned int number(const char *text)
{
	return (unsigned int)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	struct boot_platform plat = {0};
	struct gmem mem;
	struct err err;
	int r;

	if (argc != 6)
		return 2;
	plat.nr_cpus = number(argv[2]);
	plat.nr_virtio = number(argv[3]);
	plat.has_serial = number(argv[4]) != 0;
	plat.has_i8042 = plat.has_rtc = plat.has_serial;
	plat.has_genid = plat.has_vmclock = plat.has_serial;
	plat.split_irqchip = number(argv[5]) != 0;
	for (unsigned int i = 0; i < plat.nr_virtio; i++)
		plat.virtio[i] = (struct boot_virtio){
			.base = layout_virtio_base(i),
			.acpi_base = layout_virtio_acpi_base(i),
			.len = LAYOUT_VIRTIO_STRIDE,
			.gsi = layout_virtio_gsi(i),
		};
	r = gmem_init(&mem, MIB(16), GMEM_PAGES_DEFAULT, &err);
	if (r == 0)
		r = acpi_write(&mem, &plat);
	if (r == 0)
		r = write_all(&mem, argv[1]);
	if (r < 0)
		(void)fprintf(stderr, "dump_acpi: %s\n", err_name(r));
	return r < 0;
}
