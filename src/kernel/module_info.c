// SPDX-License-Identifier: Apache-2.0
/*
 * module_info.c - what a kernel module says of itself: .modinfo
 */
#include "kernel/module.h"

#include <elf.h>
#include <errno.h>

#define INFO_BYTES_MAX KIB(256)

/* Section @i, if it lies within the file. */
static bool read_section(const uint8_t *data, size_t len, const Elf64_Ehdr *e,
			 unsigned int i, Elf64_Shdr *out)
{
	uint64_t off = (uint64_t)i * sizeof(*out);

	if (i >= e->e_shnum || !range_fits(e->e_shoff, 0, len) ||
	    !range_fits(off, sizeof(*out), len - e->e_shoff))
		return false;
	memcpy(out, data + e->e_shoff + off, sizeof(*out));
	return out->sh_type == SHT_NOBITS ||
	       range_fits(out->sh_offset, out->sh_size, len);
}

static bool module_info_is_named(const uint8_t *data, const Elf64_Shdr *names,
				 uint32_t name, const char *wanted)
{
	size_t n = strlen(wanted) + 1;

	return names->sh_type == SHT_STRTAB &&
	       range_fits(name, n, names->sh_size) &&
	       memcmp(data + names->sh_offset + name, wanted, n) == 0;
}

int module_read_info(const void *data, size_t len, struct buf *info)
{
	Elf64_Shdr names, section;
	Elf64_Ehdr e;

	if (len < sizeof(e))
		return -EBADMSG;
	memcpy(&e, data, sizeof(e));
	if (memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_type != ET_REL ||
	    e.e_shentsize != sizeof(section) ||
	    !read_section(data, len, &e, e.e_shstrndx, &names))
		return -EBADMSG;
	for (unsigned int i = 0; i < e.e_shnum; i++) {
		if (!read_section(data, len, &e, i, &section) ||
		    section.sh_type != SHT_PROGBITS ||
		    section.sh_size > INFO_BYTES_MAX ||
		    !module_info_is_named(data, &names, section.sh_name,
					  ".modinfo"))
			continue;
		buf_add(info, (const char *)data + section.sh_offset,
			section.sh_size);
		buf_add(info, "", 1);
		return info->failed ? -ENOMEM : 0;
	}
	return -EBADMSG;
}
