// SPDX-License-Identifier: Apache-2.0
/*
 * facts.c - what a kernel file tells of itself
 */
#include "kernel/facts.h"
#include "kernel/kconfig.h"
#include "kernel/unpack.h"

#include "base/fd.h"
#include "boot/format.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* More than any kernel asks for; nothing of it is touched. */
#define CHECK_RAM_BYTES GIB(1)

int facts_check(int fd, const char *path, struct facts *facts, struct err *err)
{
	cleanup_free struct kernel *kernel = calloc(1, sizeof(*kernel));
	cleanup_free struct boot_entry *entry = calloc(1, sizeof(*entry));
	struct gmem mem;
	struct boot_file file;
	int r;

	if (!kernel || !entry)
		return err_set(err, -ENOMEM, "Out of memory");
	r = boot_file_open(&file, fd, path, "kernel", err);
	if (r == 0)
		r = gmem_init(&mem, CHECK_RAM_BYTES, GMEM_PAGES_DEFAULT, err);
	if (r < 0)
		return r;
	r = kernel_load(kernel, &mem, &file, BOOT_PREFER_AUTO, entry, err);
	gmem_fini(&mem);
	if (r < 0)
		return r;
	facts->pvh = kernel->entry_pvh != 0;
	facts->memory = 0;
	for (unsigned int i = 0; i < kernel->nr_ranges; i++) {
		uint64_t end = kernel->range[i].gpa + kernel->range[i].len;

		facts->memory = end > facts->memory ? end : facts->memory;
	}
	return 0;
}

static size_t word_len(const char *text, const char *end)
{
	size_t n = 0;

	while (text + n < end && text[n] > ' ' && text[n] < 0x7f)
		n++;
	return n;
}

void facts_find_banner(const void *data, size_t len, struct facts *facts)
{
	static const char mark[] = "Linux version ";
	const size_t mark_len = sizeof(mark) - 1;
	const char *at = data, *end = at + len;

	facts->release[0] = '\0';
	facts->banner[0] = '\0';
	while ((at = memmem(at, (size_t)(end - at), mark, mark_len))) {
		const char *release = at + mark_len;
		size_t n = word_len(release, end), line = 0;

		if (n == 0 || n > FACTS_RELEASE_MAX || *release < '0' ||
		    *release > '9') {
			at = release;
			continue;
		}
		(void)snprintf(facts->release, sizeof(facts->release), "%.*s",
			       (int)n, release);
		while (at + line < end && line < FACTS_BANNER_MAX - 1 &&
		       at[line] >= ' ' && at[line] < 0x7f)
			line++;
		(void)snprintf(facts->banner, sizeof(facts->banner), "%.*s",
			       (int)line, at);
		return;
	}
}

/* A configuration that is unpacked. */
struct to_buf {
	struct unpack_sink sink;
	struct buf *buf;
};

static int write_to_buf(struct unpack_sink *sink, const void *data, size_t len)
{
	struct to_buf *to = container_of(sink, struct to_buf, sink);

	if (len > KCONFIG_BYTES_MAX - to->buf->len)
		return -EFBIG;
	buf_add(to->buf, data, len);
	return to->buf->failed ? -ENOMEM : 0;
}

bool facts_find_config(const void *data, size_t len, struct buf *config)
{
	static const char first[] = "IKCFG_ST", last[] = "IKCFG_ED";
	struct to_buf to = {.sink.write = write_to_buf, .buf = config};
	const char *from = memmem(data, len, first, sizeof(first) - 1);
	const char *end = (const char *)data + len, *stop;

	if (!from)
		return false;
	from += sizeof(first) - 1;
	stop = memmem(from, (size_t)(end - from), last, sizeof(last) - 1);
	if (!stop ||
	    unpack(UNPACK_GZIP, from, (size_t)(stop - from), &to.sink, NULL) <
		    0 ||
	    kconfig_check(config->data, config->len, NULL, NULL) < 0) {
		buf_clear(config);
		return false;
	}
	return true;
}

int facts_read(int fd, struct facts *facts, struct buf *config)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0)
		return -errno;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	facts_find_banner(map, (size_t)st.st_size, facts);
	(void)facts_find_config(map, (size_t)st.st_size, config);
	(void)munmap(map, (size_t)st.st_size);
	return 0;
}
