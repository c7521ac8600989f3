// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_kernel.c - any bytes as what `volt kernel add` reads
 *
 * The first byte says as what: a compressed stream, a bzImage, an ELF file to
 * be packed, a package, a module, an archive of modules, the text of a kernel,
 * a record of the store.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/deb.h"
#include "kernel/elfpack.h"
#include "kernel/facts.h"
#include "kernel/module.h"
#include "kernel/payload.h"
#include "store/record.h"

#include "base/fd.h"

#define OUT_MAX MIB(16)

#define fuzz_check(cond)                  \
	do {                              \
		if (!(cond))              \
			__builtin_trap(); \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* lzop is not ours to fuzz: it is not found. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_check(setenv("PATH", "/nonexistent", 1) == 0);
	return 0;
}

struct counter {
	struct unpack_sink sink;
	uint64_t total;
};

static int count_bytes(struct unpack_sink *sink, const void *data, size_t len)
{
	struct counter *c = container_of(sink, struct counter, sink);

	fuzz_check(data && len > 0);
	c->total += len;
	return c->total > OUT_MAX ? -EFBIG : 0;
}

static void try_unpack(const uint8_t *data, size_t size)
{
	struct counter c = {.sink.write = count_bytes};
	struct err err = {0};
	int r = unpack(unpack_recognize(data, size), data, size, &c.sink, &err);

	fuzz_check(r <= 0 && (r == 0 || r == -EFBIG || err.text[0]));
}

static void try_payload(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct err err = {0};
	int r = 0;

	fuzz_check(fd >= 0);
	/* The stream that states a gigabyte is of no interest. */
	if (payload_is_bzimage(data, size))
		r = payload_unpack(data, size, fd, NULL, &err);
	fuzz_check(r <= 0 && (r == 0 || err.text[0]));
	fd_close(&fd);
}

static void try_elf(const uint8_t *data, size_t size)
{
	int from = memfd_create("from", MFD_CLOEXEC);
	int to = memfd_create("to", MFD_CLOEXEC), r;
	struct facts before = {0}, after = {0};
	struct err err = {0};

	fuzz_check(from >= 0 && to >= 0);
	fuzz_check(fd_write_full(from, data, size) == 0);
	r = elfpack(from, size, to, &err);
	fuzz_check(r <= 0 && (r == 0 || err.text[0]));
	/* What the loader takes it still takes, and enters alike. */
	if (r == 0 && facts_check(from, "k", &before, NULL) == 0) {
		fuzz_check(facts_check(to, "k", &after, &err) == 0);
		fuzz_check(before.pvh == after.pvh &&
			   before.memory == after.memory);
	}
	fd_close(&from);
	fd_close(&to);
}

static bool wants(struct deb_reader *reader, const char *path, uint64_t size)
{
	(void)reader;
	(void)size;
	fuzz_check(path[0] != '/');
	return true;
}

static int take(struct deb_reader *reader, const char *path, const void *data,
		size_t len)
{
	(void)reader;
	fuzz_check(path && (data || len == 0));
	return 0;
}

static void try_deb(const uint8_t *data, size_t size)
{
	struct deb_reader reader = {.wants = wants, .file = take};
	struct err err = {0};
	int r = deb_read(data, size, "data.tar", &reader, &err);

	fuzz_check(r <= 0 && (r == 0 || err.text[0]));
}

static void try_module(const uint8_t *data, size_t size)
{
	struct modules modules = {0};

	if (module_add(&modules, "kernel/fs/ext4.ko", data, size) == 0)
		modules_choose_useful(&modules);
	modules_free(&modules);
}

static void try_archive(const uint8_t *data, size_t size)
{
	struct modules modules = {0};
	struct buf again = {0};

	if (modules_unpack(data, size, &modules) == 0) {
		modules_choose_useful(&modules);
		modules_pack(&modules, &again);
	}
	modules_free(&modules);
	buf_free(&again);
}

static void try_text(const uint8_t *data, size_t size)
{
	struct facts facts = {0};
	struct buf config = {0};

	facts_find_banner(data, size, &facts);
	fuzz_check(strlen(facts.release) <= FACTS_RELEASE_MAX);
	(void)facts_find_config(data, size, &config);
	buf_free(&config);
}

static void try_record(const uint8_t *data, size_t size)
{
	struct record record;
	struct err err = {0};

	if (record_parse((const char *)data, size, &record, &err) == 0)
		fuzz_check(record_is_name(record.name) &&
			   digest_is_one(record.kernel.sha256));
	else
		fuzz_check(err.text[0]);
	record_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[])(const uint8_t *data, size_t size) = {
		try_unpack, try_payload, try_elf,  try_deb,
		try_module, try_archive, try_text, try_record};

	if (size > 0)
		targets[data[0] % ARRAY_SIZE(targets)](data + 1, size - 1);
	return 0;
}
