/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot_fuzz.h - what the fuzzers of boot/ share: a file, memory, and a verdict
 */
#pragma once

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/loader.h"

#define FUZZ_RAM_BYTES MIB(16)
/* Zeros behind a file, so that segments become big enough to be mapped. */
#define FUZZ_TAIL_BYTES KIB(192)

#define fuzz_check(cond)                  \
	do {                              \
		if (!(cond))              \
			__builtin_trap(); \
	} while (0)

static inline int fuzz_file(const uint8_t *data, size_t size, bool tail)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_check(fd >= 0);
	fuzz_check(write(fd, data, size) == (ssize_t)size);
	if (tail)
		fuzz_check(ftruncate(fd, (off_t)(size + FUZZ_TAIL_BYTES)) == 0);
	return fd;
}

static inline void fuzz_all_zero(const struct gmem *mem, gpa_t from, gpa_t end)
{
	const uint64_t *p = gmem_find(mem, from, end - from);

	for (uint64_t i = 0; i < (end - from) / sizeof(*p); i++)
		fuzz_check(p[i] == 0);
}

/* A kernel was accepted: it must be one that can be entered. */
static inline void fuzz_judge(const struct gmem *mem,
			      const struct boot_entry *entry)
{
	fuzz_check(gmem_find(mem, entry->ip, 1));
	fuzz_check(entry->ip >= LAYOUT_KERNEL);
	fuzz_check(gmem_find(mem, entry->arg, 56));
	fuzz_check(entry->nr_mapped <= BOOT_MAPPED_MAX);
	for (unsigned int i = 0; i < entry->nr_mapped; i++) {
		const struct boot_mapped *m = &entry->mapped[i];

		fuzz_check(m->gpa >= LAYOUT_KERNEL && m->len > 0);
		fuzz_check(gmem_find(mem, m->gpa, m->len));
		for (unsigned int j = 0; j < i; j++)
			fuzz_check(m->gpa + m->len <= entry->mapped[j].gpa ||
				   entry->mapped[j].gpa +
						   entry->mapped[j].len <=
					   m->gpa);
	}
	/* Below 1 MiB the loader writes only what layout.h says. */
	fuzz_all_zero(mem, 0x1000, LAYOUT_ZERO_PAGE);
	fuzz_all_zero(mem, 0xf000, LAYOUT_CMDLINE);
	fuzz_all_zero(mem, 0x21000, 0x9f000);
	fuzz_all_zero(mem, LAYOUT_BIOS_HOLE, LAYOUT_BIOS);
}

static inline void fuzz_load(struct gmem *mem, const struct boot_image *img,
			     const struct boot_platform *plat,
			     struct boot_entry *entry, bool *loaded)
{
	struct err err = {0};
	int r = boot_load(mem, img, plat, entry, &err);

	*loaded = r == 0;
	fuzz_check(r <= 0);
	if (r < 0)
		fuzz_check(err.rc == r && err.text[0] != '\0' &&
			   err_for_person(&err)[0] != '\0');
	else
		fuzz_judge(mem, entry);
}
