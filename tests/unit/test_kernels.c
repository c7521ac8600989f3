// SPDX-License-Identifier: Apache-2.0
/*
 * test_kernels.c - the loaders on real kernels, where the cache has them
 *
 * tests/kernel/stock puts them there. Every byte that a program
 * header of the file names must be in guest memory, most of it mapped.
 */
#include "boot_kit.h"

#include <elf.h>
#include <stdio.h>
#include <sys/stat.h>

#define SKIPPED   77
#define RAM_BYTES MIB(512)
#define STOCK     "kernel/stock"

static const char *cache_dir(void)
{
	static char path[512];
	const char *dir = getenv("VOLT_CACHE");

	if (dir)
		return dir;
	dir = getenv("XDG_CACHE_HOME");
	if (dir)
		(void)snprintf(path, sizeof(path), "%s/volt", dir);
	else
		(void)snprintf(path, sizeof(path), "%s/.cache/volt",
			       getenv("HOME") ? getenv("HOME") : "");
	return path;
}

/* Opens a file of the stock kernel and maps it; NULL when it is not there. */
static const uint8_t *open_stock(const char *name, int *fd, size_t *size)
{
	char path[1024];
	struct stat st;
	void *p;

	(void)snprintf(path, sizeof(path), "%s/" STOCK "/%s", cache_dir(),
		       name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return NULL;
	assert_int_equal(fstat(*fd, &st), 0);
	*size = (size_t)st.st_size;
	p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, *fd, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

static uint64_t mapped_bytes(const struct boot_entry *entry)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < entry->nr_mapped; i++)
		sum += entry->mapped[i].len;
	return sum;
}

static void load(int fd, enum boot_prefer prefer, struct gmem *mem,
		 struct boot_entry *entry)
{
	struct boot_platform plat = kit_platform();
	struct boot_image img = {
		.kernel_fd = fd,
		.kernel_path = "vmlinux",
		.initrd_fd = -1,
		.cmdline = "console=ttyS0",
	};
	struct err err = {0};

	plat.prefer = prefer;
	kit_memory(mem, RAM_BYTES);
	if (boot_load(mem, &img, &plat, entry, &err) < 0)
		fail_msg("%s", err.text);
}

static void stock_vmlinux_is_whole(void **state)
{
	uint64_t loaded = 0;
	struct boot_entry entry;
	const Elf64_Phdr *p;
	const Elf64_Ehdr *e;
	const uint8_t *file;
	struct gmem mem;
	size_t size;
	int fd;

	(void)state;
	file = open_stock("vmlinux", &fd, &size);
	assert_non_null(file);
	load(fd, BOOT_PREFER_AUTO, &mem, &entry);
	assert_int_equal(entry.mode, BOOT_ENTRY_PVH32);
	e = (const void *)file;
	p = (const void *)(file + e->e_phoff);
	for (unsigned int i = 0; i < e->e_phnum; i++) {
		if (p[i].p_type != PT_LOAD)
			continue;
		assert_memory_equal(
			gmem_find(&mem, p[i].p_paddr, p[i].p_filesz),
			file + p[i].p_offset, p[i].p_filesz);
		loaded += p[i].p_filesz;
	}
	assert_true(mapped_bytes(&entry) > loaded / 100 * 99);
	gmem_fini(&mem);
	load(fd, BOOT_PREFER_LINUX64, &mem, &entry);
	assert_int_equal(entry.mode, BOOT_ENTRY_LONG64);
	assert_int_equal(entry.ip, e->e_entry);
	gmem_fini(&mem);
	(void)munmap((void *)(uintptr_t)file, size);
	(void)close(fd);
}

static void stock_bzimage_is_whole(void **state)
{
	struct boot_entry entry;
	const uint8_t *file;
	struct gmem mem;
	size_t off, len, size;
	int fd;

	(void)state;
	file = open_stock("bzImage", &fd, &size);
	assert_non_null(file);
	load(fd, BOOT_PREFER_AUTO, &mem, &entry);
	off = (file[0x1f1] + 1u) * 512;
	len = (size_t)load_le32(file + 0x1f4) * 16;
	assert_int_equal(entry.mode, BOOT_ENTRY_LONG64);
	assert_int_equal(entry.ip, load_le64(file + 0x258) + 0x200);
	assert_memory_equal(gmem_find(&mem, load_le64(file + 0x258), len),
			    file + off, len);
	if (off % PAGE_SIZE == 0)
		assert_true(mapped_bytes(&entry) > len / 100 * 99);
	gmem_fini(&mem);
	(void)munmap((void *)(uintptr_t)file, size);
	(void)close(fd);
}

/* Every cut of a real kernel is refused with a sentence. */
static void cut_kernels_are_refused(void **state)
{
	static const char *const names[] = {"vmlinux", "bzImage"};
	struct gmem mem;

	(void)state;
	kit_memory(&mem, RAM_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const uint8_t *file;
		size_t size;
		int fd;

		file = open_stock(names[i], &fd, &size);
		assert_non_null(file);
		for (size_t len = 1; len < MIB(12); len = len * 2 + 1) {
			int cut = kit_file(file, len);
			struct boot_entry entry;
			struct err err = {0};

			assert_true(kit_load(&mem, cut, -1, &entry, &err) < 0);
			assert_non_null(strstr(err.text, "/k/kernel"));
			(void)close(cut);
		}
		(void)munmap((void *)(uintptr_t)file, size);
		(void)close(fd);
	}
	gmem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stock_vmlinux_is_whole),
		cmocka_unit_test(stock_bzimage_is_whole),
		cmocka_unit_test(cut_kernels_are_refused),
	};
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/" STOCK "/bzImage", cache_dir());
	if (access(path, R_OK) < 0) {
		(void)printf("skipped: no %s (tests/kernel/stock gets it)\n",
			     path);
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
