// SPDX-License-Identifier: Apache-2.0
/*
 * test_bootparams.c - what a kernel is handed: memory map, zero page, PVH start
 * info, page tables, GDT, initrd
 */
#include "boot_kit.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>

#define KERNEL_BYTES 0x3000

/* A minimal kernel of @memsz bytes at @paddr, with a PVH note if @pvh. */
static int kernel_file(gpa_t paddr, uint64_t memsz, bool pvh)
{
	static uint8_t file[KERNEL_BYTES];
	Elf64_Ehdr e = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_entry = paddr,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = pvh ? 2 : 1,
	};
	Elf64_Phdr p[2] = {
		{
			.p_type = PT_LOAD,
			.p_offset = 0x1000,
			.p_paddr = paddr,
			.p_filesz = 0x2000,
			.p_memsz = memsz,
		},
		{.p_type = PT_NOTE, .p_offset = 0x200, .p_filesz = 24},
	};
	struct {
		uint32_t head[3];
		char name[4];
		uint64_t entry;
	} note = {{4, 8, 18}, "Xen", paddr + 16};

	memset(file, 0xcc, sizeof(file));
	memcpy(file, &e, sizeof(e));
	memcpy(file + sizeof(e), p, sizeof(p));
	memcpy(file + 0x200, &note, sizeof(note));
	return kit_file(file, sizeof(file));
}

struct range {
	uint64_t addr, size;
	uint32_t type;
};

static const struct range below_1mib[] = {
	{0, 0x9fc00, 1},
	{0x9fc00, 0x400, 2},
	{0xe0000, 0x20000, 2},
};

static const struct {
	uint64_t ram;
	unsigned int nr;
	struct range range[3];
} maps[] = {
	{MIB(16), 2, {{MIB(1), MIB(15), 1}, {0xfec00000, MIB(20), 2}}},
	{MIB(128), 2, {{MIB(1), MIB(127), 1}, {0xfec00000, MIB(20), 2}}},
	{GIB(3), 2, {{MIB(1), MIB(3071), 1}, {0xfec00000, MIB(20), 2}}},
	{GIB(3) + MIB(1),
	 3,
	 {{MIB(1), MIB(3071), 1},
	  {0xfec00000, MIB(20), 2},
	  {GIB(4), MIB(1), 1}}},
	{GIB(5),
	 3,
	 {{MIB(1), MIB(3071), 1},
	  {0xfec00000, MIB(20), 2},
	  {GIB(4), GIB(2), 1}}},
};

/* Entry @i of the map as it must be for row @row. */
static struct range want(size_t row, unsigned int i)
{
	if (i < ARRAY_SIZE(below_1mib))
		return below_1mib[i];
	return maps[row].range[i - ARRAY_SIZE(below_1mib)];
}

static void zero_page_is_complete(void **state)
{
	int fd = kernel_file(MIB(2), 0x2000, false);

	(void)state;
	for (size_t row = 0; row < ARRAY_SIZE(maps); row++) {
		const struct boot_params *bp;
		struct boot_entry entry;
		struct gmem mem;
		struct err err;

		kit_memory(&mem, maps[row].ram);
		assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
		assert_int_equal(entry.mode, BOOT_ENTRY_LONG64);
		assert_int_equal(entry.ip, MIB(2));
		bp = gmem_find(&mem, entry.arg, sizeof(*bp));
		assert_non_null(bp);
		assert_int_equal(bp->hdr.boot_flag, 0xaa55);
		assert_int_equal(bp->hdr.header, 0x53726448);
		assert_int_equal(bp->hdr.type_of_loader, 0xff);
		assert_true(bp->hdr.loadflags & LOADED_HIGH);
		assert_int_equal(bp->hdr.cmd_line_ptr, LAYOUT_CMDLINE);
		assert_int_equal(bp->ext_cmd_line_ptr, 0);
		assert_int_equal(bp->acpi_rsdp_addr, LAYOUT_ACPI);
		assert_int_equal(bp->hdr.ramdisk_size, 0);
		assert_int_equal(bp->sentinel, 0);
		assert_int_equal(bp->e820_entries, 3 + maps[row].nr);
		for (unsigned int i = 0; i < bp->e820_entries; i++) {
			const struct boot_e820_entry *e = &bp->e820_table[i];

			assert_int_equal(e->addr, want(row, i).addr);
			assert_int_equal(e->size, want(row, i).size);
			assert_int_equal(e->type, want(row, i).type);
		}
		assert_string_equal(gmem_find(&mem, LAYOUT_CMDLINE, 2048),
				    "console=ttyS0 pci=off");
		gmem_fini(&mem);
	}
	(void)close(fd);
}

static void start_info_is_complete(void **state)
{
	int fd = kernel_file(MIB(2), 0x2000, true);
	int initrd = kit_file("initrd bytes", 12);

	(void)state;
	for (size_t row = 0; row < ARRAY_SIZE(maps); row++) {
		const uint8_t *si, *module, *map;
		struct boot_entry entry;
		struct gmem mem;
		struct err err;

		kit_memory(&mem, maps[row].ram);
		assert_int_equal(kit_load(&mem, fd, initrd, &entry, &err), 0);
		assert_int_equal(entry.mode, BOOT_ENTRY_PVH32);
		assert_int_equal(entry.ip, MIB(2) + 16);
		assert_int_equal(entry.cr3, 0);
		si = gmem_find(&mem, entry.arg, 56);
		assert_int_equal(load_le32(si), 0x336ec578);
		assert_int_equal(load_le32(si + 4), 1);
		assert_int_equal(load_le32(si + 8), 0);
		assert_int_equal(load_le32(si + 12), 1);
		module = gmem_find(&mem, load_le64(si + 16), 32);
		assert_int_equal(load_le64(module + 8), 12);
		assert_memory_equal(gmem_find(&mem, load_le64(module), 12),
				    "initrd bytes", 12);
		assert_string_equal(gmem_find(&mem, load_le64(si + 24), 2048),
				    "console=ttyS0 pci=off");
		assert_int_equal(load_le64(si + 32), LAYOUT_ACPI);
		map = gmem_find(&mem, load_le64(si + 40), 24 * 8);
		assert_int_equal(load_le32(si + 48), 3 + maps[row].nr);
		for (unsigned int i = 0; i < 3 + maps[row].nr; i++) {
			const uint8_t *e = map + (size_t)i * 24;

			assert_int_equal(load_le64(e), want(row, i).addr);
			assert_int_equal(load_le64(e + 8), want(row, i).size);
			assert_int_equal(load_le32(e + 16), want(row, i).type);
		}
		gmem_fini(&mem);
	}
	(void)close(fd);
	(void)close(initrd);
}

/* What a CPU would do with @cr3. */
static uint64_t translate(const struct gmem *mem, uint64_t cr3, uint64_t v)
{
	uint64_t table = cr3;

	for (unsigned int shift = 39; shift >= 21; shift -= 9) {
		const uint8_t *p =
			gmem_find(mem, table + (v >> shift & 511) * 8, 8);
		uint64_t e;

		assert_non_null(p);
		e = load_le64(p);
		assert_int_equal(e & 3, 3);
		if (shift == 21) {
			assert_int_equal(e & 0x80, 0x80);
			return (e & 0x000fffffffe00000) | (v & 0x1fffff);
		}
		assert_int_equal(e & 0x80, 0);
		table = e & 0x000ffffffffff000;
	}
	return 0;
}

static void page_tables_are_identity(void **state)
{
	int fd = kernel_file(MIB(2), 0x2000, false);
	struct boot_entry entry;
	struct gmem mem;
	struct err err;

	(void)state;
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	for (uint64_t v = 0; v < GIB(4); v += MIB(2) - 1)
		assert_int_equal(translate(&mem, entry.cr3, v), v);
	assert_int_equal(translate(&mem, entry.cr3, GIB(4) - 1), GIB(4) - 1);
	gmem_fini(&mem);
	(void)close(fd);
}

static void gdt_matches_the_mode(void **state)
{
	(void)state;
	for (int pvh = 0; pvh < 2; pvh++) {
		int fd = kernel_file(MIB(2), 0x2000, pvh);
		struct boot_entry entry;
		const uint8_t *gdt;
		struct gmem mem;
		struct err err;

		kit_memory(&mem, MIB(16));
		assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
		gdt = gmem_find(&mem, entry.gdt, entry.gdt_limit + 1u);
		assert_non_null(gdt);
		assert_true(entry.gdt_limit >= 0x2f);
		assert_int_equal(load_le64(gdt), 0);
		/* Present code and data; L or D as the mode has it. */
		assert_int_equal(gdt[0x15], 0x9b);
		assert_int_equal(gdt[0x16], pvh ? 0xcf : 0xaf);
		assert_int_equal(gdt[0x1d], 0x93);
		assert_int_equal(gdt[0x25], 0x8b);
		gmem_fini(&mem);
		(void)close(fd);
	}
}

/* An initrd of @len bytes that are their own offsets. */
static int initrd_file(uint64_t len)
{
	int fd = memfd_create("initrd", MFD_CLOEXEC);
	uint32_t *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	for (uint64_t i = 0; i < len / 4; i++)
		p[i] = (uint32_t)i;
	(void)munmap(p, len);
	return fd;
}

static void initrd_lies_high_and_is_mapped(void **state)
{
	static const uint64_t lens[] = {4, 4096, KIB(64) + 4, MIB(4), MIB(9)};
	int fd = kernel_file(MIB(2), MIB(1), false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		int initrd = initrd_file(lens[i]);
		const struct boot_params *bp;
		struct boot_entry entry;
		const uint8_t *p;
		struct gmem mem;
		struct err err;

		kit_memory(&mem, MIB(16));
		assert_int_equal(kit_load(&mem, fd, initrd, &entry, &err), 0);
		bp = gmem_find(&mem, entry.arg, sizeof(*bp));
		assert_int_equal(bp->hdr.ramdisk_size, lens[i]);
		assert_int_equal(bp->hdr.ramdisk_image % 4096, 0);
		assert_true(bp->hdr.ramdisk_image + lens[i] > MIB(16) - 4096);
		p = gmem_find(&mem, bp->hdr.ramdisk_image, lens[i]);
		assert_non_null(p);
		for (uint64_t off = 0; off < lens[i]; off += 4)
			if (load_le32(p + off) != off / 4)
				fail_msg("at 0x%llx", (unsigned long long)off);
		if (lens[i] < KIB(64)) {
			assert_int_equal(entry.nr_mapped, 0);
		} else {
			assert_int_equal(entry.nr_mapped, 1);
			assert_int_equal(entry.mapped[0].len,
					 align_down(lens[i], 4096));
			assert_string_equal(entry.mapped[0].path, "/k/initrd");
		}
		gmem_fini(&mem);
		(void)close(initrd);
	}
	(void)close(fd);
}

/* A kernel at the top of memory: the initrd goes below it. */
static void initrd_goes_around_the_kernel(void **state)
{
	int fd = kernel_file(MIB(15), MIB(1), false);
	int initrd = initrd_file(MIB(1) + 4);
	const struct boot_params *bp;
	struct boot_entry entry;
	struct gmem mem;
	struct err err;

	(void)state;
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, initrd, &entry, &err), 0);
	bp = gmem_find(&mem, entry.arg, sizeof(*bp));
	assert_int_equal(bp->hdr.ramdisk_image, MIB(15) - MIB(1) - 4096);
	gmem_fini(&mem);
	(void)close(fd);
	(void)close(initrd);
}

/* Above 3 GiB of RAM it stays below the hole. */
static void initrd_stays_in_low_memory(void **state)
{
	int fd = kernel_file(MIB(2), MIB(1), false);
	int initrd = initrd_file(MIB(1));
	const struct boot_params *bp;
	struct boot_entry entry;
	struct gmem mem;
	struct err err;

	(void)state;
	kit_memory(&mem, GIB(5));
	assert_int_equal(kit_load(&mem, fd, initrd, &entry, &err), 0);
	bp = gmem_find(&mem, entry.arg, sizeof(*bp));
	assert_int_equal(bp->hdr.ramdisk_image, GIB(3) - MIB(1));
	assert_int_equal(bp->ext_ramdisk_image, 0);
	gmem_fini(&mem);
	(void)close(fd);
	(void)close(initrd);
}

/* H1: initrd larger than RAM, or than what the kernel leaves of it. */
static void h1_initrd_too_big(void **state)
{
	static const uint64_t lens[] = {MIB(13) + 4, MIB(15), MIB(16), MIB(20),
					GIB(6)};
	int fd = kernel_file(MIB(2), MIB(1), false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		int initrd = memfd_create("initrd", MFD_CLOEXEC);
		struct boot_entry entry;
		struct gmem mem;
		struct err err = {0};

		assert_int_equal(ftruncate(initrd, (off_t)lens[i]), 0);
		kit_memory(&mem, MIB(16));
		assert_int_equal(kit_load(&mem, fd, initrd, &entry, &err),
				 -ENOMEM);
		assert_non_null(strstr(err.text, "The initrd /k/initrd of"));
		assert_ptr_equal(strstr(err.text, "Cannot load initrd due to "
						  "an invalid image: "),
				 err.text);
		assert_ptr_equal(strstr(err_for_person(&err), "The initrd"),
				 err_for_person(&err));
		gmem_fini(&mem);
		(void)close(initrd);
	}
	(void)close(fd);
}

static void initrd_that_is_no_file(void **state)
{
	int fd = kernel_file(MIB(2), MIB(1), false);
	int empty = memfd_create("initrd", MFD_CLOEXEC);
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};

	(void)state;
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, empty, &entry, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/k/initrd is an empty file"));
	assert_int_equal(kit_load(&mem, fd, dir, &entry, &err), -EISDIR);
	assert_non_null(strstr(err.text, "/k/initrd is a directory"));
	gmem_fini(&mem);
	(void)close(fd);
	(void)close(empty);
	(void)close(dir);
}

/* pci=off in front of what else is added, but for who says more of PCI. */
static void a_kernel_is_told_that_there_is_no_pci(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{"", "pci=off root=/dev/vda"},
		{"quiet", "quiet pci=off root=/dev/vda"},
		{"quiet -- pci=x", "quiet pci=off root=/dev/vda -- pci=x"},
		{"pci=conf1", "pci=conf1 root=/dev/vda"},
	};
	struct boot_platform plat = kit_platform();
	struct boot_image img = {
		.kernel_fd = kernel_file(MIB(2), MIB(1), false),
		.kernel_path = "/k/kernel",
		.initrd_fd = -1,
		.root = "root=/dev/vda",
	};
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};

	(void)state;
	kit_memory(&mem, MIB(16));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		img.cmdline = rows[i].text;
		assert_int_equal(boot_load(&mem, &img, &plat, &entry, &err), 0);
		assert_string_equal(gmem_find(&mem, LAYOUT_CMDLINE, 2048),
				    rows[i].want);
	}
	gmem_fini(&mem);
	(void)close(img.kernel_fd);
}

/* H1: a command line at the limit, and one byte more because of a device;
 * where there is no room for pci=off it is left out. */
static void h1_cmdline_at_the_limit(void **state)
{
	struct boot_platform plat = kit_platform();
	static char text[2049];
	struct boot_image img = {
		.kernel_fd = kernel_file(MIB(2), MIB(1), false),
		.kernel_path = "/k/kernel",
		.initrd_fd = -1,
		.cmdline = text,
	};
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};

	(void)state;
	memset(text, 'x', 2047);
	kit_memory(&mem, MIB(16));
	assert_int_equal(boot_load(&mem, &img, &plat, &entry, &err), 0);
	assert_string_equal(gmem_find(&mem, LAYOUT_CMDLINE, 2048), text);
	kit_add_virtio(&plat, 1);
	assert_int_equal(boot_load(&mem, &img, &plat, &entry, &err), -E2BIG);
	assert_non_null(strstr(err.text, "2047 bytes"));
	/* " virtio_mmio.device=4K@0xd0000000:5" */
	text[2047 - 35] = '\0';
	assert_int_equal(boot_load(&mem, &img, &plat, &entry, &err), 0);
	assert_int_equal(strlen(gmem_find(&mem, LAYOUT_CMDLINE, 2048)), 2047);
	gmem_fini(&mem);
	(void)close(img.kernel_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_page_is_complete),
		cmocka_unit_test(start_info_is_complete),
		cmocka_unit_test(page_tables_are_identity),
		cmocka_unit_test(gdt_matches_the_mode),
		cmocka_unit_test(initrd_lies_high_and_is_mapped),
		cmocka_unit_test(initrd_goes_around_the_kernel),
		cmocka_unit_test(initrd_stays_in_low_memory),
		cmocka_unit_test(h1_initrd_too_big),
		cmocka_unit_test(initrd_that_is_no_file),
		cmocka_unit_test(a_kernel_is_told_that_there_is_no_pci),
		cmocka_unit_test(h1_cmdline_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
