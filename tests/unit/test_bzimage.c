// SPDX-License-Identifier: Apache-2.0
/*
 * test_bzimage.c - bzImages, and what people give instead of a kernel
 */
#include "boot_kit.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <sys/stat.h>

#define SETUP_BYTES  KIB(16)
#define KERNEL_BYTES KIB(128)
#define FILE_BYTES   (SETUP_BYTES + KERNEL_BYTES)

static uint8_t pattern(uint64_t off)
{
	return (uint8_t)(off * 11 + (off >> 9) + 3);
}

/**
 * struct image - a bzImage under construction
 * @header_end:	the byte at 0x201
 */
struct image {
	struct setup_header h;
	uint8_t header_end;
	size_t size;
};

static void image_init(struct image *img)
{
	memset(img, 0, sizeof(*img));
	img->size = FILE_BYTES;
	img->header_end = 0x6a;
	img->h = (struct setup_header){
		.setup_sects = SETUP_BYTES / 512 - 1,
		.syssize = KERNEL_BYTES / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = MIB(2),
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = MIB(4),
		.init_size = MIB(2),
	};
}

static int image_write(const struct image *img)
{
	static uint8_t file[FILE_BYTES];

	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = pattern(i);
	memcpy(file + 0x1f1, &img->h, sizeof(img->h));
	file[0x201] = img->header_end;
	return kit_file(file, img->size);
}

static void kernel_lands_at_its_address(void **state)
{
	const struct boot_params *bp;
	struct boot_entry entry;
	struct image img;
	const uint8_t *p;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.mode, BOOT_ENTRY_LONG64);
	assert_int_equal(entry.ip, MIB(4) + 0x200);
	assert_int_equal(entry.nr_mapped, 1);
	assert_int_equal(entry.mapped[0].gpa, MIB(4));
	assert_int_equal(entry.mapped[0].len, KERNEL_BYTES);
	p = gmem_find(&mem, MIB(4), KERNEL_BYTES + 16);
	for (size_t i = 0; i < KERNEL_BYTES; i++)
		assert_int_equal(p[i], pattern(SETUP_BYTES + i));
	assert_int_equal(p[KERNEL_BYTES], 0);
	bp = gmem_find(&mem, entry.arg, sizeof(*bp));
	assert_int_equal(bp->hdr.version, 0x020f);
	assert_int_equal(bp->hdr.init_size, MIB(2));
	assert_int_equal(bp->hdr.code32_start, MIB(4));
	assert_int_equal(bp->hdr.type_of_loader, 0xff);
	assert_int_equal(bp->hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	gmem_fini(&mem);
	(void)close(fd);
}

/* setup_sects 0 means 4; the kernel then lies off the page grid: copied. */
static void setup_sects_zero_is_four(void **state)
{
	struct boot_entry entry;
	struct image img;
	const uint8_t *p;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	img.h.setup_sects = 0;
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.nr_mapped, 0);
	p = gmem_find(&mem, MIB(4), KERNEL_BYTES);
	assert_int_equal(p[0], pattern(5 * 512));
	assert_int_equal(p[KERNEL_BYTES - 1],
			 pattern(5 * 512 + KERNEL_BYTES - 1));
	gmem_fini(&mem);
	(void)close(fd);
}

/* Only what the header has: bytes behind its end are not ours to read. */
static void header_is_as_long_as_it_says(void **state)
{
	struct boot_entry entry;
	struct image img;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	img.header_end = 0x264 - 0x202; /* init_size is its last field */
	img.h.init_size = MIB(64);
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), -ENOMEM);
	(void)close(fd);
	img.header_end = 0x260 - 0x202; /* init_size is not part of it */
	fd = image_write(&img);
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	gmem_fini(&mem);
	(void)close(fd);
}

static void initrd_respects_the_kernels_limit(void **state)
{
	const struct boot_params *bp;
	struct boot_entry entry;
	struct image img;
	struct gmem mem;
	struct err err = {0};
	int fd, initrd = kit_file("0123", 4);

	(void)state;
	image_init(&img);
	img.h.initrd_addr_max = MIB(12) + 0x7ff;
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, initrd, &entry, &err), 0);
	bp = gmem_find(&mem, entry.arg, sizeof(*bp));
	assert_int_equal(bp->hdr.ramdisk_image, MIB(12));
	(void)close(fd);
	/* The room for unpacking (4 to 6 MiB) is not free for an initrd. */
	img.h.initrd_addr_max = MIB(6) - 1;
	fd = image_write(&img);
	assert_int_equal(kit_load(&mem, fd, initrd, &entry, &err), 0);
	assert_int_equal(bp->hdr.ramdisk_image, MIB(4) - 4096);
	gmem_fini(&mem);
	(void)close(fd);
	(void)close(initrd);
}

static void version_below_206(struct image *img)
{
	img->h.version = 0x0205;
}

static void no_xloadflags_yet(struct image *img)
{
	img->h.version = 0x020b;
}

static void no_64bit_entry(struct image *img)
{
	img->h.xloadflags = 0;
}

static void zimage(struct image *img)
{
	img->h.loadflags = 0;
}

static void boot_flag(struct image *img)
{
	img->h.boot_flag = 0xaa56;
}

static void cut_in_header(struct image *img)
{
	img->size = 0x210;
}

static void cut_in_setup(struct image *img)
{
	img->size = SETUP_BYTES - 1;
}

static void cut_in_kernel(struct image *img)
{
	img->size = FILE_BYTES - 1;
}

static void syssize_lies(struct image *img)
{
	img->h.syssize = UINT32_MAX;
}

static void syssize_zero(struct image *img)
{
	img->h.syssize = 0;
}

static void syssize_tiny(struct image *img)
{
	img->h.syssize = 0x20;
}

static void init_size_beyond_ram(struct image *img)
{
	img->h.init_size = (uint32_t)MIB(12) + 1;
}

static void init_size_max(struct image *img)
{
	img->h.init_size = UINT32_MAX;
}

static void pref_below_1mib(struct image *img)
{
	img->h.kernel_alignment = 0x1000;
	img->h.pref_address = LAYOUT_PAGE_TABLES;
}

static void pref_zero(struct image *img)
{
	img->h.pref_address = 0;
}

static void pref_beyond_ram(struct image *img)
{
	img->h.pref_address = MIB(16);
}

static void pref_in_hole(struct image *img)
{
	img->h.pref_address = LAYOUT_VIRTIO;
}

static void pref_above_4g(struct image *img)
{
	img->h.pref_address = GIB(4);
}

static void pref_wraps(struct image *img)
{
	img->h.pref_address = UINT64_MAX & ~(MIB(2) - 1);
}

static void pref_unaligned(struct image *img)
{
	img->h.pref_address = MIB(5);
}

static void alignment_zero(struct image *img)
{
	img->h.kernel_alignment = 0;
}

static void alignment_odd(struct image *img)
{
	img->h.kernel_alignment = 3;
}

static void cmdline_short(struct image *img)
{
	img->h.cmdline_size = 12; /* "console=ttyS0" is 13 */
}

static const struct {
	const char *name;
	void (*tell)(struct image *img);
	int rc;
	const char *says;
} lies[] = {
	{"2.05", version_below_206, -ENOEXEC, "version 2.05"},
	{"2.11", no_xloadflags_yet, -ENOEXEC, "no 64-bit entry"},
	{"32-bit", no_64bit_entry, -ENOEXEC, "no 64-bit entry"},
	{"zImage", zimage, -ENOEXEC, "is a zImage"},
	{"boot flag", boot_flag, -ENOEXEC, "boot flag 0xaa56"},
	{"cut header", cut_in_header, -ENOEXEC, "is truncated"},
	{"cut setup", cut_in_setup, -ENOEXEC, "is truncated"},
	{"cut kernel", cut_in_kernel, -ENOEXEC, "is truncated"},
	{"syssize", syssize_lies, -ENOEXEC, "is truncated"},
	{"syssize 0", syssize_zero, -ENOEXEC, "size 0x0"},
	{"syssize 512", syssize_tiny, -ENOEXEC, "size 0x200"},
	{"init_size", init_size_beyond_ram, -ENOMEM, "give it more memory"},
	{"init_size max", init_size_max, -ENOMEM, "give it more memory"},
	{"page tables", pref_below_1mib, -ENOEXEC, "below 1 MiB"},
	{"address 0", pref_zero, -ENOEXEC, "below 1 MiB"},
	{"RAM", pref_beyond_ram, -ENOMEM, "give it more memory"},
	{"hole", pref_in_hole, -ENOMEM, "does not fit guest memory"},
	{"4 GiB", pref_above_4g, -ENOEXEC, "load address 0x100000000"},
	{"wrap", pref_wraps, -ENOEXEC, "load address"},
	{"unaligned", pref_unaligned, -ENOEXEC, "alignment"},
	{"alignment 0", alignment_zero, -ENOEXEC, "alignment 0x0"},
	{"alignment 3", alignment_odd, -ENOEXEC, "alignment 0x3"},
};

/* H1: a header that lies is named, and nothing of it is loaded. */
static void h1_lies_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct boot_entry entry = {.ip = 42};
		struct err err = {0};
		struct image img;
		struct gmem mem;
		int fd, r;

		image_init(&img);
		lies[i].tell(&img);
		fd = image_write(&img);
		kit_memory(&mem, MIB(16));
		r = kit_load(&mem, fd, -1, &entry, &err);
		if (r != lies[i].rc || !strstr(err.text, lies[i].says) ||
		    !strstr(err.text, "/k/kernel"))
			fail_msg("%s: %d %s", lies[i].name, r, err.text);
		assert_int_equal(entry.ip, 42);
		gmem_fini(&mem);
		(void)close(fd);
	}
}

static void h1_cmdline_above_the_kernels_limit(void **state)
{
	struct boot_entry entry;
	struct image img;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	cmdline_short(&img);
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), -E2BIG);
	assert_non_null(strstr(err.text, "12 bytes"));
	gmem_fini(&mem);
	(void)close(fd);
}

/* H8's edge values at every offset of the header: an answer, no crash. */
static void h8_edge_values_everywhere(void **state)
{
	static const uint32_t edge[] = {
		0,         1,          0xff,         0xffff,     0xfffff,
		0x100000,  (1u << 31), 0x7fffffff,   UINT32_MAX, 0xfffff000,
		0xd000000, 0xcc00cc,   LAYOUT_CHIPS,
	};
	struct image img;
	uint8_t *file;
	int fd;

	(void)state;
	image_init(&img);
	fd = image_write(&img);
	file = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    0);
	assert_true(file != MAP_FAILED);
	for (size_t off = 0x1f1; off + 4 <= 0x26c; off++) {
		for (size_t i = 0; i < ARRAY_SIZE(edge); i++) {
			struct boot_entry entry;
			struct err err = {0};
			struct gmem mem;
			uint32_t old = load_le32(file + off);
			int r;

			store_le32(file + off, edge[i]);
			kit_memory(&mem, MIB(16));
			r = kit_load(&mem, fd, -1, &entry, &err);
			assert_true(r == 0 || (r < 0 && err.text[0]));
			gmem_fini(&mem);
			store_le32(file + off, old);
		}
	}
	(void)munmap(file, FILE_BYTES);
	(void)close(fd);
}

static const struct {
	const char *bytes;
	size_t len;
	const char *says;
} foreign[] = {
	{"\x1f\x8b\x08", 3, "is compressed with gzip: decompress it first"},
	{"\xfd"
	 "7zXZ\0",
	 6, "compressed with xz"},
	{"BZh91AY", 7, "compressed with bzip2"},
	{"\x28\xb5\x2f\xfd", 4, "compressed with zstd"},
	{"\x04\x22\x4d\x18", 4, "compressed with lz4"},
	{"\x02\x21\x4c\x18", 4, "compressed with lz4"},
	{"\x5d\0\0\x80", 4, "compressed with lzma"},
	{"0707010000", 10, "a cpio archive: that is an initrd"},
	{"QFI\xfb\0", 5, "a qcow2 disk image"},
	{"#!/bin/sh\n", 10, "a script"},
	{"MZ\x90", 3, "an EFI program"},
	{"This is a text file, no kernel.\n", 32, "is a text file"},
	{"\0\0\0\0\0\0\0\0", 8, "it starts with zeros"},
	{"\1\2\3\4", 4, "neither an ELF vmlinux nor a bzImage"},
	{"\x7f", 1, "neither an ELF vmlinux nor a bzImage"},
	{"\x7f"
	 "ELF",
	 4, "is truncated"},
};

/* The prefix is Firecracker's own text for a file that is no kernel. */
static void foreign_files_are_named(void **state)
{
	static const char prefix[] =
		"System configuration error: Cannot load kernel due to "
		"invalid memory configuration or invalid kernel image: "
		"Kernel Loader: failed to load bzImage kernel image: Kernel "
		"Loader: Invalid bzImage";
	struct gmem mem;

	(void)state;
	kit_memory(&mem, MIB(16));
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		int fd = kit_file(foreign[i].bytes, foreign[i].len);
		bool elf = foreign[i].len >= 4 && foreign[i].bytes[1] == 'E';
		struct boot_entry entry;
		struct err err = {0};

		assert_int_equal(kit_load(&mem, fd, -1, &entry, &err),
				 -ENOEXEC);
		if (!strstr(err.text, foreign[i].says) ||
		    !strstr(err.text, "/k/kernel"))
			fail_msg("%zu: %s", i, err.text);
		assert_int_equal(strncmp(err.text, prefix, strlen(prefix)) == 0,
				 !elf);
		assert_null(strstr(err_for_person(&err), "Loader"));
		(void)close(fd);
	}
	gmem_fini(&mem);
}

/* Not files at all. */
static void things_that_are_no_file(void **state)
{
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};
	int fd, pipes[2];

	(void)state;
	kit_memory(&mem, MIB(16));
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), -EISDIR);
	assert_string_equal(err_for_person(&err),
			    "/k/kernel is a directory: give the kernel file in "
			    "it");
	(void)close(fd);
	fd = memfd_create("empty", MFD_CLOEXEC);
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is an empty file"));
	(void)close(fd);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a regular file"));
	(void)close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(kit_load(&mem, pipes[0], -1, &entry, &err), -EINVAL);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	assert_int_equal(kit_load(&mem, -1, -1, &entry, &err), -EBADF);
	gmem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_lands_at_its_address),
		cmocka_unit_test(setup_sects_zero_is_four),
		cmocka_unit_test(header_is_as_long_as_it_says),
		cmocka_unit_test(initrd_respects_the_kernels_limit),
		cmocka_unit_test(h1_lies_are_named),
		cmocka_unit_test(h1_cmdline_above_the_kernels_limit),
		cmocka_unit_test(h8_edge_values_everywhere),
		cmocka_unit_test(foreign_files_are_named),
		cmocka_unit_test(things_that_are_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
