// SPDX-License-Identifier: Apache-2.0
/*
 * test_elf.c - ELF kernels: what loads where, and every lie a header can tell
 */
#include "boot_kit.h"
#include "gmem_kit.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>

#define FILE_BYTES KIB(256)
#define MAX_PHDRS  6

/**
 * struct image - a kernel under construction
 * @data:	the whole file
 */
struct image {
	Elf64_Ehdr e;
	Elf64_Phdr p[MAX_PHDRS];
	uint8_t *data;
	size_t size;
};

static uint8_t pattern(uint64_t off)
{
	return (uint8_t)(off * 7 + (off >> 8) + 1);
}

/*
 * Text: 96 KiB at file offset 0x1000, 1 MiB. Data: ragged on both sides, with
 * bss, at 0x1a345 -> 0x120345.
 */
static void image_init(struct image *img)
{
	memset(img, 0, sizeof(*img));
	img->size = FILE_BYTES;
	img->data = malloc(img->size);
	assert_non_null(img->data);
	for (size_t i = 0; i < img->size; i++)
		img->data[i] = pattern(i);
	memcpy(img->e.e_ident, ELFMAG, SELFMAG);
	img->e.e_ident[EI_CLASS] = ELFCLASS64;
	img->e.e_ident[EI_DATA] = ELFDATA2LSB;
	img->e.e_ident[EI_VERSION] = EV_CURRENT;
	img->e.e_type = ET_EXEC;
	img->e.e_machine = EM_X86_64;
	img->e.e_version = EV_CURRENT;
	img->e.e_entry = 0x100040;
	img->e.e_phoff = sizeof(Elf64_Ehdr);
	img->e.e_ehsize = sizeof(Elf64_Ehdr);
	img->e.e_phentsize = sizeof(Elf64_Phdr);
	img->e.e_phnum = 2;
	img->p[0] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = 0x1000,
		.p_vaddr = 0xffffffff80100000,
		.p_paddr = 0x100000,
		.p_filesz = KIB(96),
		.p_memsz = KIB(96),
	};
	img->p[1] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = 0x1a345,
		.p_vaddr = 0xffffffff80120345,
		.p_paddr = 0x120345,
		.p_filesz = 0x15000,
		.p_memsz = 0x18000,
	};
}

static int image_write(struct image *img)
{
	int fd;

	memcpy(img->data, &img->e, sizeof(img->e));
	memcpy(img->data + sizeof(img->e), img->p, sizeof(img->p));
	fd = kit_file(img->data, img->size);
	free(img->data);
	img->data = NULL;
	return fd;
}

/* A note at @off of the file; returns what it takes. */
static size_t put_note(struct image *img, size_t off, uint32_t type,
		       const char *name, const void *value, uint32_t len)
{
	Elf64_Nhdr n = {
		.n_namesz = (uint32_t)strlen(name) + 1,
		.n_descsz = len,
		.n_type = type,
	};
	size_t name_len = (n.n_namesz + 3u) & ~3u;

	memcpy(img->data + off, &n, sizeof(n));
	memset(img->data + off + sizeof(n), 0, name_len);
	memcpy(img->data + off + sizeof(n), name, n.n_namesz);
	memcpy(img->data + off + sizeof(n) + name_len, value, len);
	return sizeof(n) + name_len + ((len + 3u) & ~3u);
}

/* A note segment with other notes before the PVH one. */
static void add_pvh_note(struct image *img, const void *value, uint32_t len)
{
	size_t off = 0x1800;
	size_t end = off;

	end += put_note(img, end, 3, "GNU", "0123456789012345678", 20);
	end += put_note(img, end, 6, "Xen", "linux", 6);
	end += put_note(img, end, 18, "Not", "12345678", 8);
	end += put_note(img, end, 18, "Xen", value, len);
	img->p[img->e.e_phnum++] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = off,
		.p_filesz = end - off,
		.p_memsz = end - off,
		.p_align = 4,
	};
}

static void same_as_file(const struct gmem *mem, gpa_t gpa, uint64_t off,
			 uint64_t len)
{
	const uint8_t *p = gmem_find(mem, gpa, len);

	assert_non_null(p);
	for (uint64_t i = 0; i < len; i++)
		if (p[i] != pattern(off + i))
			fail_msg("byte 0x%llx", (unsigned long long)(gpa + i));
}

static void all_zero(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	const uint8_t *p = gmem_find(mem, gpa, len);

	assert_non_null(p);
	for (uint64_t i = 0; i < len; i++)
		if (p[i])
			fail_msg("byte 0x%llx", (unsigned long long)(gpa + i));
}

static void segments_land_where_they_belong(void **state)
{
	struct image img;
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.mode, BOOT_ENTRY_LONG64);
	assert_int_equal(entry.ip, 0x100040);
	assert_int_equal(entry.arg, LAYOUT_ZERO_PAGE);
	same_as_file(&mem, 0x100000, 0x1000, KIB(96));
	same_as_file(&mem, 0x120345, 0x1a345, 0x15000);
	/* The ragged edges: nothing of the file beside the segment. */
	all_zero(&mem, 0x120000, 0x345);
	all_zero(&mem, 0x135345, 0x3000 + 0x1000);
	/* All of the first, the inner pages of the second. */
	assert_int_equal(entry.nr_mapped, 2);
	assert_int_equal(entry.mapped[0].gpa, 0x100000);
	assert_int_equal(entry.mapped[0].len, KIB(96));
	assert_int_equal(entry.mapped[1].gpa, 0x121000);
	assert_int_equal(entry.mapped[1].len, 0x14000);
	/* Private: what the guest writes stays with it. */
	assert_int_equal(gmem_fill(&mem, 0x100000, 0, 4096), 0);
	assert_int_equal(pread(fd, &img.e, 1, 0x1000), 1);
	assert_int_equal(img.e.e_ident[0], pattern(0x1000));
	gmem_fini(&mem);
	(void)close(fd);
}

/* A mapping would keep huge pages away: the same bytes, and no mapping. */
static void huge_pages_are_left_whole(void **state)
{
	struct image img;
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	mem.huge = true;
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.nr_mapped, 0);
	assert_int_equal(mem.nr_files, 0);
	same_as_file(&mem, 0x100000, 0x1000, KIB(96));
	same_as_file(&mem, 0x120345, 0x1a345, 0x15000);
	all_zero(&mem, 0x120000, 0x345);
	all_zero(&mem, 0x135345, 0x3000 + 0x1000);
	gmem_fini(&mem);
	(void)close(fd);
}

/* Guest and file offsets differ modulo the page size: copied, not mapped. */
static void unaligned_segment_is_copied(void **state)
{
	struct image img;
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	img.p[0].p_offset = 0x1100;
	img.p[1].p_offset = 0x1a346;
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.nr_mapped, 0);
	same_as_file(&mem, 0x100000, 0x1100, KIB(96));
	same_as_file(&mem, 0x120345, 0x1a346, 0x15000);
	all_zero(&mem, 0x135345, 0x3000);
	gmem_fini(&mem);
	(void)close(fd);
}

/* Huge pages cannot be replaced by pages of a file. */
static void huge_pages_are_filled_by_copy(void **state)
{
	struct image img;
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	mem.pages = GMEM_PAGES_2M;
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.nr_mapped, 0);
	same_as_file(&mem, 0x100000, 0x1000, KIB(96));
	same_as_file(&mem, 0x120345, 0x1a345, 0x15000);
	gmem_fini(&mem);
	(void)close(fd);
}

/* Two segments on one page, in descending order, the first byte 1 MiB up. */
static void segments_may_share_a_page(void **state)
{
	struct image img;
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	img.p[1].p_paddr = 0x100000;
	img.p[1].p_offset = 0x2000;
	img.p[1].p_filesz = 0x10123;
	img.p[1].p_memsz = 0x10123;
	img.p[0].p_paddr = 0x110123;
	img.p[0].p_offset = 0x20123;
	img.p[0].p_filesz = KIB(96);
	img.e.e_entry = 0x110123;
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.nr_mapped, 2);
	same_as_file(&mem, 0x100000, 0x2000, 0x10123);
	same_as_file(&mem, 0x110123, 0x20123, KIB(96));
	gmem_fini(&mem);
	(void)close(fd);
}

static void virtual_entry_is_translated(void **state)
{
	struct image img;
	struct boot_entry entry;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	img.e.e_entry = 0xffffffff80120400;
	img.e.e_type = ET_DYN;
	fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	assert_int_equal(entry.ip, 0x120400);
	gmem_fini(&mem);
	(void)close(fd);
}

static void pvh_note_decides(void **state)
{
	static const uint64_t entry64 = 0x100800;
	struct boot_platform plat = kit_platform();
	struct boot_image src = {
		.kernel_path = "/k/kernel", .initrd_fd = -1, .cmdline = ""};
	struct boot_entry entry;
	struct image img;
	struct gmem mem;
	struct err err = {0};

	(void)state;
	for (uint32_t len = 4; len <= 8; len += 4) {
		image_init(&img);
		add_pvh_note(&img, &entry64, len);
		src.kernel_fd = image_write(&img);
		kit_memory(&mem, MIB(16));
		plat.prefer = BOOT_PREFER_AUTO;
		assert_int_equal(boot_load(&mem, &src, &plat, &entry, &err), 0);
		assert_int_equal(entry.mode, BOOT_ENTRY_PVH32);
		assert_int_equal(entry.ip, entry64);
		assert_int_equal(entry.arg, LAYOUT_PVH_INFO);
		plat.prefer = BOOT_PREFER_LINUX64;
		assert_int_equal(boot_load(&mem, &src, &plat, &entry, &err), 0);
		assert_int_equal(entry.mode, BOOT_ENTRY_LONG64);
		assert_int_equal(entry.ip, 0x100040);
		gmem_fini(&mem);
		(void)close(src.kernel_fd);
	}
	image_init(&img);
	src.kernel_fd = image_write(&img);
	kit_memory(&mem, MIB(16));
	plat.prefer = BOOT_PREFER_PVH;
	assert_int_equal(boot_load(&mem, &src, &plat, &entry, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "no PVH entry note"));
	gmem_fini(&mem);
	(void)close(src.kernel_fd);
}

/* What a mutated header must be answered with. */
struct lie {
	const char *name;
	void (*tell)(struct image *img);
	int rc;
	const char *says;
};

static void wrap(struct image *img)
{
	img->p[1].p_memsz = UINT64_MAX - 0x120000;
}

static void wrap_exactly(struct image *img)
{
	img->p[1].p_paddr = UINT64_MAX - 0xfff;
	img->p[1].p_memsz = 0x1000;
	img->p[1].p_filesz = 0;
}

static void beyond_ram(struct image *img)
{
	img->p[1].p_memsz = MIB(15);
}

static void in_the_hole(struct image *img)
{
	img->p[1].p_paddr = LAYOUT_VIRTIO;
}

static void filesz_above_memsz(struct image *img)
{
	img->p[1].p_filesz = img->p[1].p_memsz + 1;
}

/* Nothing of it would be loaded, and the entry lies in it. */
static void filesz_without_memsz(struct image *img)
{
	img->p[1].p_memsz = 0;
}

static void beyond_file(struct image *img)
{
	img->p[1].p_offset = FILE_BYTES - 0x14fff;
}

static void offset_wraps(struct image *img)
{
	img->p[1].p_offset = UINT64_MAX - 0x100;
}

static void overlap_one_byte(struct image *img)
{
	img->p[1].p_paddr = 0x100000 + KIB(96) - 1;
}

static void overlap_inside(struct image *img)
{
	img->p[1].p_paddr = 0x101000;
	img->p[1].p_filesz = 1;
	img->p[1].p_memsz = 1;
}

static void overlap_around(struct image *img)
{
	img->p[0].p_paddr = 0x121000;
	img->p[0].p_filesz = 16;
	img->p[0].p_memsz = 16;
}

static void over_page_tables(struct image *img)
{
	img->p[1].p_paddr = LAYOUT_PAGE_TABLES;
}

static void over_zero_page_from_below(struct image *img)
{
	img->p[1].p_paddr = 0;
	img->p[1].p_memsz = MIB(1);
}

static void last_low_byte(struct image *img)
{
	img->p[1].p_paddr = 0xfffff;
	img->p[1].p_filesz = 1;
	img->p[1].p_memsz = 1;
}

static void entry_nowhere(struct image *img)
{
	img->e.e_entry = 0x900000;
}

static void entry_in_bss(struct image *img)
{
	img->e.e_entry = 0x135345;
}

static void entry_zero(struct image *img)
{
	img->e.e_entry = 0;
}

static void no_segments(struct image *img)
{
	img->p[0].p_type = PT_NULL;
	img->p[1].p_memsz = 0;
	img->p[1].p_filesz = 0;
}

static void no_phdrs(struct image *img)
{
	img->e.e_phnum = 0;
}

static void many_phdrs(struct image *img)
{
	img->e.e_phnum = 0xffff;
}

static void phentsize(struct image *img)
{
	img->e.e_phentsize = 32;
}

static void phoff_beyond(struct image *img)
{
	img->e.e_phoff = FILE_BYTES - 100;
}

static void phoff_wraps(struct image *img)
{
	img->e.e_phoff = UINT64_MAX - 10;
}

static void class32(struct image *img)
{
	img->e.e_ident[EI_CLASS] = ELFCLASS32;
}

static void big_endian(struct image *img)
{
	img->e.e_ident[EI_DATA] = ELFDATA2MSB;
}

static void arm64(struct image *img)
{
	img->e.e_machine = EM_AARCH64;
}

static void i386(struct image *img)
{
	img->e.e_machine = EM_386;
}

static void module(struct image *img)
{
	img->e.e_type = ET_REL;
}

static void core(struct image *img)
{
	img->e.e_type = ET_CORE;
}

static void class_nonsense(struct image *img)
{
	img->e.e_ident[EI_CLASS] = 7;
}

static void pvh_entry_nowhere(struct image *img)
{
	static const uint64_t entry = 0xfff000;

	add_pvh_note(img, &entry, 8);
}

static void pvh_entry_zero(struct image *img)
{
	static const uint64_t entry;

	add_pvh_note(img, &entry, 8);
}

static void pvh_entry_short(struct image *img)
{
	add_pvh_note(img, "\1\2", 2);
}

static void notes_beyond_file(struct image *img)
{
	pvh_entry_nowhere(img);
	img->p[2].p_offset = FILE_BYTES - 4;
}

static void notes_huge(struct image *img)
{
	pvh_entry_nowhere(img);
	img->p[2].p_filesz = KIB(64) + 1;
}

static void truncated_in_header(struct image *img)
{
	img->size = 40;
}

static void truncated_in_phdrs(struct image *img)
{
	img->size = 100;
}

static void truncated_in_data(struct image *img)
{
	img->size = 0x2f344;
}

static const struct lie lies[] = {
	{"wrap", wrap, -ENOEXEC, "wraps around"},
	{"wrap to 0", wrap_exactly, -ENOEXEC, "wraps around"},
	{"RAM", beyond_ram, -ENOMEM, "give it more memory"},
	{"hole", in_the_hole, -ENOMEM, "does not fit guest memory"},
	{"filesz", filesz_above_memsz, -ENOEXEC, "in the file but"},
	{"no-memsz", filesz_without_memsz, -ENOEXEC, "in the file but"},
	{"file", beyond_file, -ENOEXEC, "is truncated"},
	{"offset", offset_wraps, -ENOEXEC, "is truncated"},
	{"overlap 1", overlap_one_byte, -ENOEXEC, "overlaps the one at"},
	{"overlap in", overlap_inside, -ENOEXEC, "overlaps the one at"},
	{"overlap out", overlap_around, -ENOEXEC, "overlaps the one at"},
	{"page tables", over_page_tables, -ENOEXEC, "below 1 MiB"},
	{"zero page", over_zero_page_from_below, -ENOEXEC, "below 1 MiB"},
	{"low byte", last_low_byte, -ENOEXEC, "below 1 MiB"},
	{"entry", entry_nowhere, -ENOEXEC, "its entry 0x900000 lies in none"},
	{"entry bss", entry_in_bss, -ENOEXEC, "its entry"},
	{"entry 0", entry_zero, -ENOEXEC, "its entry"},
	{"nothing", no_segments, -ENOEXEC, "nothing to load"},
	{"phnum 0", no_phdrs, -ENOEXEC, "0 program headers"},
	{"phnum", many_phdrs, -ENOEXEC, "65535 program headers"},
	{"phentsize", phentsize, -ENOEXEC, "of 32 bytes"},
	{"phoff", phoff_beyond, -ENOEXEC, "is truncated"},
	{"phoff wrap", phoff_wraps, -ENOEXEC, "is truncated"},
	{"32-bit", class32, -ENOEXEC, "32-bit ELF"},
	{"endian", big_endian, -ENOEXEC, "big-endian"},
	{"arm64", arm64, -ENOEXEC, "for arm64"},
	{"i386", i386, -ENOEXEC, "another machine"},
	{"module", module, -ENOEXEC, "kernel module"},
	{"core", core, -ENOEXEC, "core dump"},
	{"class", class_nonsense, -ENOEXEC, "makes no sense"},
	{"PVH", pvh_entry_nowhere, -ENOEXEC, "its PVH entry 0xfff000"},
	{"PVH 0", pvh_entry_zero, -ENOEXEC, "its PVH entry is 0"},
	{"PVH size", pvh_entry_short, -ENOEXEC, "2 bytes instead of 4 or 8"},
	{"notes", notes_beyond_file, -ENOEXEC, "bytes of notes"},
	{"notes size", notes_huge, -ENOEXEC, "bytes of notes"},
	{"cut 40", truncated_in_header, -ENOEXEC, "is truncated"},
	{"cut 100", truncated_in_phdrs, -ENOEXEC, "is truncated"},
	{"cut data", truncated_in_data, -ENOEXEC, "is truncated"},
};

/* H1: p_paddr/p_memsz wrap, overlap with page tables, beyond RAM, and more. */
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
		assert_int_equal(err.rc, r);
		assert_int_equal(entry.ip, 42);
		/* Refused before a byte of it went into guest memory. */
		all_zero(&mem, 0, MIB(16));
		gmem_fini(&mem);
		(void)close(fd);
	}
}

/* H8's edge values in every number of the headers: an answer, no crash. */
static void h8_edge_values_everywhere(void **state)
{
	static const uint64_t edge[] = {
		0,          1,          0xfff,       0x1000,
		0xfffff,    0x100000,   MIB(16) - 1, MIB(16),
		INT32_MAX,  1ull << 31, UINT32_MAX,  GIB(4),
		1ull << 53, INT64_MAX,  1ull << 63,  UINT64_MAX - 0xfff,
		UINT64_MAX,
	};
	const size_t end = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
	struct image img;
	uint8_t *file;
	struct gmem mem;
	int fd;

	(void)state;
	image_init(&img);
	fd = image_write(&img);
	file = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    0);
	assert_true(file != MAP_FAILED);
	for (size_t off = EI_NIDENT; off + 8 <= end; off += 4) {
		for (size_t i = 0; i < ARRAY_SIZE(edge); i++) {
			struct boot_entry entry;
			struct err err = {0};
			uint64_t old = load_le64(file + off);
			int r;

			store_le64(file + off, edge[i]);
			kit_memory(&mem, MIB(16));
			r = kit_load(&mem, fd, -1, &entry, &err);
			assert_true(r == 0 || (r < 0 && err.text[0]));
			gmem_fini(&mem);
			store_le64(file + off, old);
		}
	}
	(void)munmap(file, FILE_BYTES);
	(void)close(fd);
}

/* A segment above 4 GiB is fine, an entry there is not. */
static void memory_above_the_hole(void **state)
{
	struct boot_entry entry;
	struct image img;
	struct gmem mem;
	struct err err = {0};
	int fd;

	(void)state;
	image_init(&img);
	img.p[1].p_paddr = GIB(4) + 0x345;
	fd = image_write(&img);
	kit_memory(&mem, GIB(4));
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), 0);
	same_as_file(&mem, GIB(4) + 0x345, 0x1a345, 0x15000);
	(void)close(fd);
	image_init(&img);
	img.p[1].p_paddr = GIB(4) + 0x345;
	img.e.e_entry = GIB(4) + 0x400;
	fd = image_write(&img);
	assert_int_equal(kit_load(&mem, fd, -1, &entry, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "below 4 GiB"));
	gmem_fini(&mem);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_land_where_they_belong),
		cmocka_unit_test(huge_pages_are_left_whole),
		cmocka_unit_test(unaligned_segment_is_copied),
		cmocka_unit_test(huge_pages_are_filled_by_copy),
		cmocka_unit_test(segments_may_share_a_page),
		cmocka_unit_test(virtual_entry_is_translated),
		cmocka_unit_test(pvh_note_decides),
		cmocka_unit_test(h1_lies_are_named),
		cmocka_unit_test(h8_edge_values_everywhere),
		cmocka_unit_test(memory_above_the_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
