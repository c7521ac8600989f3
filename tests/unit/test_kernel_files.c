// SPDX-License-Identifier: Apache-2.0
/*
 * test_kernel_files.c - what reads kernels, packages and modules for the store
 *
 * Each compression packs by its own library and comes back; cut off anywhere,
 * or with any byte changed, it is refused or harmless, never more than it was.
 */
#include "unit.h"

#include "kernel/aptget.h"
#include "kernel/cpio.h"
#include "kernel/deb.h"
#include "kernel/elfpack.h"
#include "kernel/facts.h"
#include "kernel/initramfs.h"
#include "kernel/kconfig.h"
#include "kernel/module.h"
#include "kernel/payload.h"
#include "kernel/unpack.h"
#include "store/program.h"

#include "base/fd.h"

#include <bzlib.h>
#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define TEXT_BYTES 100000u

/* Compresses, but not to nothing. */
static void make_text(uint8_t *text)
{
	uint32_t x = 1;

	for (size_t i = 0; i < TEXT_BYTES; i++) {
		x = x * 1103515245u + 12345u;
		text[i] = i % 9 ? (uint8_t)(i >> 8) : (uint8_t)(x >> 28);
	}
}

static size_t pack_gzip(const uint8_t *in, size_t len, uint8_t *out, size_t max)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)in,
		      .avail_in = (uInt)len,
		      .next_out = out,
		      .avail_out = (uInt)max};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&z);
	return max - z.avail_out;
}

static size_t pack_bzip2(const uint8_t *in, size_t len, uint8_t *out,
			 size_t max)
{
	unsigned int n = (unsigned int)max;

	assert_int_equal(BZ2_bzBuffToBuffCompress((char *)out, &n,
						  (char *)(uintptr_t)in,
						  (unsigned int)len, 9, 0, 0),
			 BZ_OK);
	return n;
}

static size_t pack_xz(const uint8_t *in, size_t len, uint8_t *out, size_t max)
{
	size_t n = 0;

	assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, in,
						 len, out, &n, max),
			 LZMA_OK);
	return n;
}

static size_t pack_lzma(const uint8_t *in, size_t len, uint8_t *out, size_t max)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma o;

	assert_false(lzma_lzma_preset(&o, 6));
	assert_int_equal(lzma_alone_encoder(&z, &o), LZMA_OK);
	z.next_in = in;
	z.avail_in = len;
	z.next_out = out;
	z.avail_out = max;
	assert_int_equal(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
	max -= z.avail_out;
	lzma_end(&z);
	return max;
}

static size_t pack_zstd(const uint8_t *in, size_t len, uint8_t *out, size_t max)
{
	size_t n = ZSTD_compress(out, max, in, len, 19);

	assert_false(ZSTD_isError(n));
	return n;
}

/* The legacy frame, in blocks of 64 KiB. */
static size_t pack_lz4(const uint8_t *in, size_t len, uint8_t *out, size_t max)
{
	size_t at = 4;

	store_le32(out, 0x184c2102);
	for (size_t off = 0; off < len; off += KIB(64)) {
		size_t part = len - off < KIB(64) ? len - off : KIB(64);
		int n = LZ4_compress_default((const char *)in + off,
					     (char *)out + at + 4, (int)part,
					     (int)(max - at - 4));

		assert_true(n > 0);
		store_le32(out + at, (uint32_t)n);
		at += 4 + (size_t)n;
	}
	return at;
}

/* By lzop, which is not everywhere. */
static bool has_lzop(void)
{
	static const char *const argv[] = {"lzop", "--version", NULL};
	const struct program program = {.argv = argv};
	cleanup_buf struct buf out = {0};

	return program_run(&program, &out, NULL) == 0;
}

static size_t pack_lzop(const uint8_t *in, size_t len, uint8_t *out, size_t max)
{
	static const char *const argv[] = {"lzop", "-9", "-c", NULL};
	int fd = memfd_create("text", MFD_CLOEXEC);
	const struct program program = {.argv = argv, .input = fd};
	cleanup_buf struct buf packed = {0};
	size_t n;

	assert_int_equal(fd_write_full(fd, in, len), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(program_run(&program, &packed, NULL), 0);
	fd_close(&fd);
	n = packed.len - 1; /* a NUL is behind it */
	assert_true(n <= max);
	memcpy(out, packed.data, n);
	return n;
}

static const struct {
	enum unpack_kind kind;
	size_t (*pack)(const uint8_t *in, size_t len, uint8_t *out, size_t max);
	bool has_end; /* cut off between blocks, lz4 is whole */
} packers[] = {
	{UNPACK_GZIP, pack_gzip, true}, {UNPACK_BZIP2, pack_bzip2, true},
	{UNPACK_XZ, pack_xz, true},     {UNPACK_LZMA, pack_lzma, true},
	{UNPACK_LZ4, pack_lz4, false},  {UNPACK_ZSTD, pack_zstd, true},
	{UNPACK_LZO, pack_lzop, true},
};

/* All of them, or all but the last one. */
static size_t nr_packers(void)
{
	if (has_lzop())
		return ARRAY_SIZE(packers);
	(void)printf("skipped: lzo, for lzop is not installed\n");
	return ARRAY_SIZE(packers) - 1;
}

struct to_memory {
	struct unpack_sink sink;
	uint8_t data[TEXT_BYTES];
	size_t len;
	size_t max;
};

static int write_memory(struct unpack_sink *sink, const void *data, size_t len)
{
	struct to_memory *to = container_of(sink, struct to_memory, sink);

	if (len > to->max - to->len)
		return -ENOSPC;
	memcpy(to->data + to->len, data, len);
	to->len += len;
	return 0;
}

static struct to_memory *new_memory(size_t max)
{
	struct to_memory *to = calloc(1, sizeof(*to));

	assert_non_null(to);
	to->sink.write = write_memory;
	to->max = max;
	return to;
}

static void each_compression_comes_back(void **state)
{
	uint8_t *text = malloc(TEXT_BYTES), *packed = malloc(2 * TEXT_BYTES);
	const size_t nr = nr_packers();

	(void)state;
	make_text(text);
	for (size_t i = 0; i < nr; i++) {
		struct to_memory *to = new_memory(TEXT_BYTES);
		struct err err = {0};
		size_t n = packers[i].pack(text, TEXT_BYTES, packed,
					   2 * TEXT_BYTES);

		assert_int_equal(unpack_recognize(packed, n), packers[i].kind);
		assert_int_equal(
			unpack(packers[i].kind, packed, n, &to->sink, &err), 0);
		assert_int_equal(to->len, TEXT_BYTES);
		assert_memory_equal(to->data, text, TEXT_BYTES);
		/* The sink has the last word. */
		to->len = 0;
		to->max = TEXT_BYTES - 1;
		assert_int_equal(
			unpack(packers[i].kind, packed, n, &to->sink, &err),
			-ENOSPC);
		free(to);
	}
	free(text);
	free(packed);
}

static void what_is_cut_off_is_refused(void **state)
{
	uint8_t *text = malloc(TEXT_BYTES), *packed = malloc(2 * TEXT_BYTES);
	const size_t nr = nr_packers();

	(void)state;
	make_text(text);
	for (size_t i = 0; i < nr; i++) {
		size_t n = packers[i].pack(text, TEXT_BYTES, packed,
					   2 * TEXT_BYTES);

		for (size_t cut = 1; cut < n; cut += n / 37) {
			struct to_memory *to = new_memory(TEXT_BYTES);
			struct err err = {0};
			int r = unpack(packers[i].kind, packed, n - cut,
				       &to->sink, &err);

			assert_true(r < 0 || !packers[i].has_end);
			assert_true(r == 0 || err.text[0]);
			assert_true(to->len < TEXT_BYTES || r < 0);
			free(to);
		}
	}
	free(text);
	free(packed);
}

static void what_is_changed_harms_nothing(void **state)
{
	uint8_t *text = malloc(TEXT_BYTES), *packed = malloc(2 * TEXT_BYTES);
	const size_t nr = nr_packers();

	(void)state;
	make_text(text);
	for (size_t i = 0; i < nr; i++) {
		size_t n = packers[i].pack(text, TEXT_BYTES, packed,
					   2 * TEXT_BYTES);

		for (size_t at = 0; at < n; at += n / 101 + 1) {
			struct to_memory *to = new_memory(TEXT_BYTES);
			struct err err = {0};
			int r;

			packed[at] ^= 0x5a;
			r = unpack(packers[i].kind, packed, n, &to->sink, &err);
			assert_true(r <= 0 &&
				    (r == 0 || err.text[0] || r == -ENOSPC));
			packed[at] ^= 0x5a;
			free(to);
		}
	}
	free(text);
	free(packed);
}

static void without_lzop_its_package_is_named(void **state)
{
	static const uint8_t head[64] = "\x89LZO\0\r\n\x1a\n";
	struct to_memory *to = new_memory(TEXT_BYTES);
	const char *path = getenv("PATH");
	char *before = path ? strdup(path) : NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
	assert_int_equal(
		unpack(UNPACK_LZO, head, sizeof(head), &to->sink, &err),
		-ENOENT);
	assert_string_equal(err.text, "is compressed by lzop, which is not "
				      "here: apt-get install lzop");
	if (before)
		assert_int_equal(setenv("PATH", before, 1), 0);
	free(before);
	free(to);
}

/* A bzImage around @packed. */
static size_t make_bzimage(uint8_t *out, const uint8_t *packed, size_t n,
			   uint32_t size, bool gzip)
{
	const size_t start = 5 * 512 + 0x40;

	memset(out, 0, start);
	out[0x1f1] = 4;
	memcpy(out + 0x202, "HdrS", 4);
	store_le16(out + 0x206, 0x020f);
	store_le32(out + 0x248, 0x40);
	store_le32(out + 0x24c, (uint32_t)(gzip ? n : n + 4));
	memcpy(out + start, packed, n);
	if (!gzip)
		store_le32(out + start + n, size);
	return start + n + (gzip ? 0 : 4);
}

static int unpack_to_memfd(const uint8_t *image, size_t len, int *fd,
			   struct err *err)
{
	*fd = memfd_create("to", MFD_CLOEXEC);
	assert_true(*fd >= 0);
	return payload_unpack(image, len, *fd, NULL, err);
}

static void bzimages_of_each_compression(void **state)
{
	uint8_t *text = malloc(TEXT_BYTES), *packed = malloc(2 * TEXT_BYTES);
	uint8_t *image = malloc(3 * TEXT_BYTES), *back = malloc(TEXT_BYTES);
	const size_t nr = nr_packers();

	(void)state;
	make_text(text);
	for (size_t i = 0; i < nr; i++) {
		bool gzip = packers[i].kind == UNPACK_GZIP;
		struct err err = {0};
		size_t n = packers[i].pack(text, TEXT_BYTES, packed,
					   2 * TEXT_BYTES);
		size_t len = make_bzimage(image, packed, n, TEXT_BYTES, gzip);
		int fd;

		assert_true(payload_is_bzimage(image, len));
		assert_int_equal(unpack_to_memfd(image, len, &fd, &err), 0);
		assert_int_equal(fd_read_full(fd, back, TEXT_BYTES, 0), 0);
		assert_memory_equal(back, text, TEXT_BYTES);
		fd_close(&fd);
		assert_int_equal(unpack_to_memfd(image, len - 1, &fd, &err),
				 -ENODATA);
		assert_non_null(strstr(err.text, "is cut off"));
		fd_close(&fd);
		/* The kernel is whole, and what unpacks it is not. */
		store_le32(image + 0x1f4, (uint32_t)((len - 5 * 512) / 16 + 1));
		assert_int_equal(unpack_to_memfd(image, len, &fd, &err),
				 -ENODATA);
		fd_close(&fd);
		if (gzip)
			continue;
		/* It states more, or less, than there is. */
		make_bzimage(image, packed, n, TEXT_BYTES + 1, false);
		assert_int_equal(unpack_to_memfd(image, len, &fd, &err),
				 -EBADMSG);
		fd_close(&fd);
		make_bzimage(image, packed, n, TEXT_BYTES - 1, false);
		assert_int_equal(unpack_to_memfd(image, len, &fd, &err),
				 -EFBIG);
		fd_close(&fd);
	}
	free(text);
	free(packed);
	free(image);
	free(back);
}

/* A vmlinux of two segments, unaligned in the file, with a note in the first
 * and a section that nothing loads. */
static int make_elf(uint64_t *size)
{
	static uint8_t file[20000];
	Elf64_Ehdr *e = (void *)file;
	Elf64_Phdr *p = (void *)(file + sizeof(*e));
	int fd = memfd_create("elf", MFD_CLOEXEC);

	memset(file, 0, sizeof(file));
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_ident[EI_DATA] = ELFDATA2LSB;
	e->e_type = ET_EXEC;
	e->e_machine = EM_X86_64;
	e->e_entry = 0x1000010;
	e->e_phoff = sizeof(*e);
	e->e_phentsize = sizeof(*p);
	e->e_phnum = 4;
	p[0] = (Elf64_Phdr){.p_type = PT_LOAD,
			    .p_offset = 0x777,
			    .p_paddr = 0x1000000,
			    .p_vaddr = 0x1000000,
			    .p_filesz = 9000,
			    .p_memsz = 9000};
	p[1] = (Elf64_Phdr){.p_type = PT_LOAD,
			    .p_offset = 12000,
			    .p_paddr = 0x1010123,
			    .p_vaddr = 0x1010123,
			    .p_filesz = 100,
			    .p_memsz = 5000};
	p[2] = (Elf64_Phdr){.p_type = PT_NOTE,
			    .p_offset = 0x777 + 64,
			    .p_paddr = 0x1000040,
			    .p_filesz = 20,
			    .p_memsz = 20};
	p[3] = (Elf64_Phdr){.p_type = PT_GNU_STACK};
	store_le32(file + 0x777 + 64, 4);
	store_le32(file + 0x777 + 68, 4);
	store_le32(file + 0x777 + 72, 18);
	memcpy(file + 0x777 + 76, "Xen", 4);
	store_le32(file + 0x777 + 80, 0x1000020);
	for (size_t i = 0x777 + 200; i < 0x777 + 9000; i++)
		file[i] = (uint8_t)i;
	(void)snprintf((char *)file + 0x777 + 300, 100,
		       "Linux version 6.1.0-test (me) #1");
	memset(file + 12000, 0xee, 100);
	memset(file + 15000, 0xdd, 5000); /* debug information */
	*size = sizeof(file);
	assert_int_equal(fd_write_full(fd, file, sizeof(file)), 0);
	return fd;
}

static void elf_is_packed_to_pages(void **state)
{
	static uint8_t before[9000], after[9000];
	struct facts facts = {0};
	struct buf config = {0};
	struct err err = {0};
	uint64_t size;
	struct stat st;
	Elf64_Phdr p[3];
	Elf64_Ehdr e;
	int from = make_elf(&size), to = memfd_create("to", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(elfpack(from, size, to, &err), 0);
	assert_int_equal(fd_read_full(to, &e, sizeof(e), 0), 0);
	assert_int_equal(e.e_phnum, 3);
	assert_int_equal(e.e_shnum, 0);
	assert_int_equal(fd_read_full(to, p, sizeof(p), (off_t)e.e_phoff), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(p[i].p_offset % PAGE_SIZE,
				 p[i].p_paddr % PAGE_SIZE);
	assert_int_equal(fd_read_full(from, before, 9000, 0x777), 0);
	assert_int_equal(fd_read_full(to, after, 9000, (off_t)p[0].p_offset),
			 0);
	assert_memory_equal(before, after, 9000);
	assert_int_equal(p[2].p_offset, p[0].p_offset + 64);
	assert_int_equal(fstat(to, &st), 0);
	assert_true(st.st_size < (off_t)size);
	assert_int_equal(facts_check(to, "kernel", &facts, &err), 0);
	assert_true(facts.pvh);
	assert_int_equal(facts.memory, 0x1010123 + 5000);
	assert_int_equal(facts_read(to, &facts, &config), 0);
	assert_string_equal(facts.release, "6.1.0-test");
	assert_string_equal(facts.banner, "Linux version 6.1.0-test (me) #1");
	fd_close(&from);
	fd_close(&to);
}

static void elf_cut_off_anywhere_is_refused(void **state)
{
	struct err err = {0};
	uint64_t size;
	int from = make_elf(&size);

	(void)state;
	for (uint64_t n = 0; n < 12100; n += 97) {
		int to = memfd_create("to", MFD_CLOEXEC);

		assert_int_equal(elfpack(from, n, to, &err), -ENOEXEC);
		fd_close(&to);
	}
	fd_close(&from);
}

static void configuration_in_a_kernel(void **state)
{
	static const char text[] = "#\n# Linux/x86 6.1.9 Kernel Configuration\n"
				   "CONFIG_ACPI=y\nCONFIG_EXT4_FS=m\n"
				   "# CONFIG_XFS_FS is not set\n";
	static uint8_t image[4096];
	struct buf config = {0};
	struct err err = {0};
	size_t n;

	(void)state;
	memset(image, 'x', sizeof(image));
	memcpy(image + 100, "IKCFG_ST", 8);
	n = pack_gzip((const uint8_t *)text, sizeof(text) - 1, image + 108,
		      sizeof(image) - 200);
	memcpy(image + 108 + n, "IKCFG_ED", 8);
	assert_true(facts_find_config(image, sizeof(image), &config));
	assert_int_equal(config.len, sizeof(text) - 1);
	assert_int_equal(kconfig_get(config.data, config.len, "ACPI"),
			 KCONFIG_YES);
	assert_int_equal(kconfig_get(config.data, config.len, "EXT4_FS"),
			 KCONFIG_MODULE);
	assert_int_equal(kconfig_get(config.data, config.len, "XFS_FS"),
			 KCONFIG_NO);
	assert_int_equal(kconfig_get(config.data, config.len, "EXT4"),
			 KCONFIG_NO);
	assert_int_equal(
		kconfig_check(config.data, config.len, "6.1.0-5", &err), 0);
	assert_int_equal(kconfig_check(config.data, config.len, "6.12.1", &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "is for Linux 6.1,"));
	image[108 + n / 2] ^= 1;
	buf_clear(&config);
	assert_false(facts_find_config(image, sizeof(image), &config));
	buf_free(&config);
}

/* An ELF module whose .modinfo is @info. */
static size_t make_module(uint8_t *out, const char *info, size_t info_len)
{
	static const char names[] = "\0.modinfo\0.shstrtab";
	Elf64_Ehdr *e = (void *)out;
	Elf64_Shdr *s = (void *)(out + 1024);

	memset(out, 0, 2048);
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_type = ET_REL;
	e->e_shoff = 1024;
	e->e_shentsize = sizeof(*s);
	e->e_shnum = 3;
	e->e_shstrndx = 2;
	memcpy(out + 128, info, info_len);
	memcpy(out + 900, names, sizeof(names));
	s[1] = (Elf64_Shdr){.sh_name = 1,
			    .sh_type = SHT_PROGBITS,
			    .sh_offset = 128,
			    .sh_size = info_len};
	s[2] = (Elf64_Shdr){.sh_name = 10,
			    .sh_type = SHT_STRTAB,
			    .sh_offset = 900,
			    .sh_size = sizeof(names)};
	return 2048;
}

#define ADD(modules, path, info)                                          \
	do {                                                              \
		size_t len_ = make_module(ko, info, sizeof(info));        \
		assert_int_equal(module_add(modules, path, ko, len_), 0); \
	} while (0)

static void modules_come_behind_what_they_need(void **state)
{
	static _Alignas(8) uint8_t ko[2048];
	static const char *const want[] = {"crc16", "crc32c_generic", "jbd2",
					   "sha256_ni", "ext4"};
	struct modules modules = {0}, back = {0};
	struct buf archive = {0};

	(void)state;
	ADD(&modules, "lib/modules/6/kernel/fs/ext4/ext4.ko",
	    "depends=crc16,jbd2\0softdep=pre: crypto-crc32c sha256");
	ADD(&modules, "lib/modules/6/kernel/fs/jbd2/jbd2.ko",
	    "depends=crc16,ext4"); /* in a circle */
	ADD(&modules, "lib/modules/6/kernel/lib/crc16.ko", "depends=");
	ADD(&modules, "lib/modules/6/kernel/crypto/crc32c-generic.ko",
	    "alias=crc32c\0depends="); /* with "crypto-", or without */
	ADD(&modules, "kernel/crypto/sha256-ni.ko", "alias=crypto-sha256");
	ADD(&modules, "lib/modules/6/kernel/fs/nfs/nfs.ko", "depends=sunrpc");
	modules_choose_useful(&modules);
	assert_int_equal(modules.nr_chosen, ARRAY_SIZE(want));
	modules_pack(&modules, &archive);
	assert_int_equal(modules_unpack(archive.data, archive.len, &back), 0);
	assert_int_equal(back.nr, ARRAY_SIZE(want));
	assert_string_equal(back.list[back.nr - 1].name, "ext4");
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_true(modules_has(&back, want[i]));
	assert_false(modules_has(&back, "nfs"));
	assert_true(modules_choose(&back, "jbd2"));
	/* Cut off, it is refused. */
	for (size_t n = 0; n + 512 < archive.len; n += 211) {
		modules_free(&back);
		assert_int_equal(modules_unpack(archive.data, n, &back),
				 -EBADMSG);
	}
	modules_free(&modules);
	modules_free(&back);
	buf_free(&archive);
}

static void module_paths(void **state)
{
	(void)state;
	assert_true(module_path_matters(
		"usr/lib/modules/6.12/kernel/drivers/net/virtio_net.ko.xz"));
	assert_true(module_path_matters("lib/modules/6/kernel/fs/xfs/xfs.ko"));
	assert_false(module_path_matters(
		"lib/modules/6/kernel/drivers/net/ethernet/x/x.ko"));
	assert_false(module_path_matters("lib/modules/6/kernel/fs/readme"));
	assert_false(module_path_matters("boot/x.ko"));
}

/* A tar member. Return: its bytes. */
static size_t put_tar(uint8_t *out, const char *path, char type,
		      const void *data, size_t len)
{
	unsigned int sum = 0;

	memset(out, 0, 512);
	(void)snprintf((char *)out, 100, "%s", path);
	(void)snprintf((char *)out + 124, 12, "%011zo", len);
	memcpy(out + 257, "ustar\0", 6);
	out[156] = (uint8_t)type;
	memset(out + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += out[i];
	(void)snprintf((char *)out + 148, 8, "%06o", sum);
	memcpy(out + 512, data, len);
	memset(out + 512 + len, 0, -len % 512);
	return 512 + len + -len % 512;
}

static size_t put_ar(uint8_t *out, const char *name, const void *data,
		     size_t len)
{
	char head[61];

	(void)snprintf(head, sizeof(head), "%-16s%-12d%-6d%-6d%-8d%-10zu`\n",
		       name, 0, 0, 0, 100644, len);
	memcpy(out, head, 60);
	memcpy(out + 60, data, len);
	out[60 + len] = '\n';
	return 60 + len + len % 2;
}

struct seen {
	struct deb_reader reader;
	char paths[512];
	size_t bytes;
};

static bool wants_all(struct deb_reader *reader, const char *path,
		      uint64_t size)
{
	(void)reader;
	(void)size;
	return strcmp(path, "not/this") != 0;
}

static int note_file(struct deb_reader *reader, const char *path,
		     const void *data, size_t len)
{
	struct seen *seen = container_of(reader, struct seen, reader);
	size_t n = strlen(seen->paths);

	(void)data;
	(void)snprintf(seen->paths + n, sizeof(seen->paths) - n, "%s ", path);
	seen->bytes += len;
	return 0;
}

static size_t make_deb(uint8_t *deb)
{
	static uint8_t tar[16384], packed[16384];
	char long_name[200];
	size_t n = 0, at = 8, len;

	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	n += put_tar(tar + n, "./", '5', "", 0);
	n += put_tar(tar + n, "./boot/config-6", '0', "CONFIG_A=y\n", 11);
	n += put_tar(tar + n, "./not/this", '0', "no", 2);
	n += put_tar(tar + n, "./link", '2', "", 0);
	n += put_tar(tar + n, "././@LongLink", 'L', long_name,
		     sizeof(long_name));
	n += put_tar(tar + n, "./cut", '0', "long", 4);
	n += put_tar(tar + n, "./empty", '0', "", 0);
	memset(tar + n, 0, 1024);
	n += 1024;
	len = pack_xz(tar, n, packed, sizeof(packed));
	memcpy(deb, "!<arch>\n", 8);
	at += put_ar(deb + at, "debian-binary", "2.0\n", 4);
	at += put_ar(deb + at, "data.tar.xz", packed, len);
	return at;
}

static void package_is_read(void **state)
{
	static uint8_t deb[32768];
	struct seen seen = {.reader = {.wants = wants_all, .file = note_file}};
	struct err err = {0};
	size_t len = make_deb(deb);

	(void)state;
	assert_int_equal(deb_read(deb, len, "data.tar", &seen.reader, &err), 0);
	assert_true(strncmp(seen.paths, "boot/config-6 aaaa", 18) == 0);
	assert_non_null(strstr(seen.paths, "a empty "));
	assert_null(strstr(seen.paths, "link"));
	assert_int_equal(seen.bytes, 15);
	assert_int_equal(deb_read(deb, len, "control.tar", &seen.reader, &err),
			 -ENODATA);
	for (size_t n = 8; n < len; n += 7) {
		assert_true(deb_read(deb, n, "data.tar", &seen.reader, &err) <
			    0);
		assert_true(err.text[0]);
	}
}

static bool entry_is(const struct buf *archive, const char *path,
		     struct cpio_entry *entry)
{
	size_t at = 0;

	while (cpio_next(archive->data, archive->len, &at, entry) > 0)
		if (strcmp(entry->path, path) == 0)
			return true;
	return false;
}

static void initramfs_has_what_the_root_needs(void **state)
{
	static _Alignas(8) uint8_t ko[2048];
	static const char list[] = "/modules/virtio_ring.ko\n"
				   "/modules/virtio_mmio.ko\n"
				   "/modules/virtio_blk.ko\n"
				   "/modules/jbd2.ko\n/modules/ext4.ko\n";
	struct initramfs_wish wish = {.rootfs = ROOTFS_EXT4};
	struct modules modules = {0};
	struct buf archive = {0}, again = {0};
	struct cpio_entry entry;

	(void)state;
	ADD(&modules, "kernel/fs/ext4.ko", "depends=jbd2");
	ADD(&modules, "kernel/fs/jbd2.ko", "depends=");
	ADD(&modules, "kernel/fs/xfs.ko", "depends=");
	ADD(&modules, "kernel/drivers/net/virtio_net.ko", "depends=");
	ADD(&modules, "kernel/drivers/virtio/virtio_ring.ko", "depends=");
	ADD(&modules, "kernel/drivers/virtio/virtio_mmio.ko",
	    "depends=virtio_ring");
	ADD(&modules, "kernel/drivers/virtio/virtio_mem.ko",
	    "depends=virtio_ring");
	ADD(&modules, "kernel/drivers/block/virtio_blk.ko",
	    "depends=virtio_ring");
	ADD(&modules, "kernel/drivers/nvdimm/virtio_pmem.ko",
	    "depends=libnvdimm,nd_virtio");
	ADD(&modules, "kernel/drivers/nvdimm/nd_virtio.ko", "depends=");
	ADD(&modules, "kernel/drivers/nvdimm/libnvdimm.ko", "depends=");
	ADD(&modules, "kernel/drivers/nvdimm/nd_pmem.ko", "depends=libnvdimm");
	initramfs_make(&modules, &wish, &archive);
	assert_false(archive.failed);
	assert_true(entry_is(&archive, "load", &entry));
	assert_int_equal(entry.len, strlen(list));
	assert_memory_equal(entry.data, list, entry.len);
	assert_true(entry_is(&archive, "init", &entry));
	assert_int_equal(entry.mode, S_IFREG | 0755);
	assert_memory_equal(entry.data, ELFMAG, SELFMAG);
	assert_true(entry_is(&archive, "dev/console", &entry));
	assert_true(entry_is(&archive, "modules/ext4.ko", &entry));
	assert_int_equal(entry.len, sizeof(ko));
	assert_false(entry_is(&archive, "modules/xfs.ko", &entry));
	assert_false(entry_is(&archive, "modules/virtio_net.ko", &entry));
	assert_false(entry_is(&archive, "modules/virtio_mem.ko", &entry));
	assert_false(entry_is(&archive, "modules/nd_pmem.ko", &entry));
	/* More of them for a VM with a network and memory that comes, of a
	 * root not known. */
	wish.net = true;
	wish.hotplug = true;
	wish.pmem = true;
	wish.rootfs = ROOTFS_UNKNOWN;
	initramfs_make(&modules, &wish, &again);
	assert_true(entry_is(&again, "modules/xfs.ko", &entry));
	assert_true(entry_is(&again, "modules/virtio_net.ko", &entry));
	assert_true(entry_is(&again, "modules/virtio_mem.ko", &entry));
	assert_true(entry_is(&again, "modules/virtio_pmem.ko", &entry));
	assert_true(entry_is(&again, "modules/nd_virtio.ko", &entry));
	assert_true(entry_is(&again, "modules/nd_pmem.ko", &entry));
	modules_free(&modules);
	buf_free(&archive);
	buf_free(&again);
}

static void names_for_apt(void **state)
{
	static const char *const bad[] = {"",     "a",    "-o",      "a b",
					  "a/b",  "../x", "A-name",  "a;b",
					  "$(x)", "a\nb", ".hidden", "linux=1"};
	char name[128] = "";

	(void)state;
	assert_true(aptget_is_package("linux-image-6.12.117+deb13-amd64"));
	assert_true(aptget_is_suite("bookworm-backports"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(aptget_is_package(bad[i]));
		assert_false(aptget_is_suite(bad[i]));
	}
	assert_true(aptget_depends(APTGET_IMAGE,
				   "linux-image-cloud-amd64\n  Depends: "
				   "linux-image-6.1.0-56-cloud-amd64\n",
				   name));
	assert_string_equal(name, "linux-image-6.1.0-56-cloud-amd64");
	assert_false(aptget_depends(APTGET_IMAGE,
				    "Depends: linux-image-cloud-amd64", name));
	assert_false(aptget_depends(APTGET_IMAGE, "", name));
	assert_true(aptget_depends(APTGET_SOURCE, "Depends: linux-source-6.1\n",
				   name));
	assert_string_equal(name, "linux-source-6.1");
}

static void files_of_apt(void **state)
{
	static const char *const bad[] = {
		"",
		"'http://x/a.deb'",
		"'http://x/a.deb' ../a.deb 1 SHA256:1",
		"'http://x/a.deb' .a.deb 1 SHA256:1",
		"'http://x/a.deb' a.tar 1 SHA256:1",
		"E: Unable to locate package 'x' y.deb",
	};
	char name[256] = "";

	(void)state;
	assert_true(aptget_file("'http://deb.debian.org/x/a_6.1-2_all.deb' "
				"a_6.1-2_all.deb 139331676 SHA256:00",
				name));
	assert_string_equal(name, "a_6.1-2_all.deb");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(aptget_file(bad[i], name));
}

static void programs_are_run(void **state)
{
	static const char *const both[] = {
		"sh", "-c", "cat; pwd; echo one >&2; echo 'E: two' >&2; exit 3",
		NULL};
	static const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
	static const char *const none[] = {"/nonexistent", NULL};
	struct program program = {.argv = both, .folder = "/"};
	struct buf out = {0}, said = {0};
	char line[256];

	(void)state;
	assert_int_equal(program_run(&program, &out, &said), 3);
	assert_string_equal(out.data, "/\n");
	assert_string_equal(program_last_line(&said, line), "two");
	program.argv = killed;
	assert_int_equal(program_run(&program, &out, NULL), 128 + SIGKILL);
	program.argv = none;
	assert_int_equal(program_run(&program, &out, NULL), -ENOENT);
	buf_free(&out);
	buf_free(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_compression_comes_back),
		cmocka_unit_test(what_is_cut_off_is_refused),
		cmocka_unit_test(what_is_changed_harms_nothing),
		cmocka_unit_test(without_lzop_its_package_is_named),
		cmocka_unit_test(bzimages_of_each_compression),
		cmocka_unit_test(elf_is_packed_to_pages),
		cmocka_unit_test(elf_cut_off_anywhere_is_refused),
		cmocka_unit_test(configuration_in_a_kernel),
		cmocka_unit_test(modules_come_behind_what_they_need),
		cmocka_unit_test(module_paths),
		cmocka_unit_test(package_is_read),
		cmocka_unit_test(names_for_apt),
		cmocka_unit_test(files_of_apt),
		cmocka_unit_test(programs_are_run),
		cmocka_unit_test(initramfs_has_what_the_root_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
