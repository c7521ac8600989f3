// SPDX-License-Identifier: Apache-2.0
/*
 * elf.c - an ELF64 x86-64 kernel (vmlinux, bare-metal guests)
 *
 * Theory of operation
 *
 * Only the file header, the program headers and the notes are read; all of
 * them are checked before the first byte goes into guest memory. A segment
 * goes to its physical address. Segments may come in any order (Linux puts its
 * per-CPU data at virtual address 0 between others) but must not overlap.
 * Zero-initialised data costs nothing: guest memory is fresh.
 *
 * The entry: the note XEN_ELFNOTE_PHYS32_ENTRY is the PVH entry; e_entry is the
 * 64-bit one, physical as Linux has it, or virtual as linkers make it when
 * nobody cares, then translated by the segment that holds it.
 *
 * References: ELF-64 object file format; Xen public/elfnote.h.
 */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>

#define ELF_MAX_PHDRS         KERNEL_MAX_RANGES
#define ELF_MAX_NOTE_BYTES    KIB(64)
#define XEN_NOTE_PHYS32_ENTRY 18u
/* The page tables that Linux is entered with end here; PVH ends here too. */
#define ELF_ENTRY_LIMIT GIB(4)

/**
 * struct elf - the parts of the file that count
 */
struct elf {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[ELF_MAX_PHDRS];
};

static int elf_foreign(const struct boot_file *file, const char *is,
		       struct err *err)
{
	return err_set(err, -ENOEXEC,
		       "%s is %s: give a kernel that was built for x86-64",
		       file->path, is);
}

static int elf_check_header(const struct boot_file *file, const Elf64_Ehdr *e,
			    struct err *err)
{
	char text[64];

	if (e->e_ident[EI_CLASS] == ELFCLASS32)
		return elf_foreign(file, "a 32-bit ELF file", err);
	if (e->e_ident[EI_DATA] == ELFDATA2MSB)
		return elf_foreign(file, "a big-endian ELF file", err);
	if (e->e_machine == EM_AARCH64)
		return elf_foreign(file, "an ELF file for arm64", err);
	if (e->e_machine != EM_X86_64) {
		(void)snprintf(text, sizeof(text),
			       "an ELF file for another machine (type %u)",
			       e->e_machine);
		return elf_foreign(file, text, err);
	}
	if (e->e_type == ET_REL)
		return err_set(err, -ENOEXEC,
			       "%s is an object file or a kernel module, not a "
			       "linked kernel: give the vmlinux",
			       file->path);
	if (e->e_type == ET_CORE)
		return err_set(err, -ENOEXEC, "%s is a core dump, not a kernel",
			       file->path);
	if (e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_ident[EI_DATA] != ELFDATA2LSB ||
	    (e->e_type != ET_EXEC && e->e_type != ET_DYN))
		return err_set(err, -ENOEXEC,
			       "The kernel %s is damaged: its ELF header makes "
			       "no sense (class %u, data %u, type %u)",
			       file->path, e->e_ident[EI_CLASS],
			       e->e_ident[EI_DATA], e->e_type);
	if (e->e_phnum == 0 || e->e_phnum > ELF_MAX_PHDRS ||
	    e->e_phentsize != sizeof(Elf64_Phdr))
		return err_set(err, -ENOEXEC,
			       "The kernel %s is damaged: %u program headers "
			       "of %u bytes (1 to %u of %zu are possible)",
			       file->path, e->e_phnum, e->e_phentsize,
			       ELF_MAX_PHDRS, sizeof(Elf64_Phdr));
	return 0;
}

static int elf_read_headers(struct elf *elf, struct boot_file *file,
			    struct err *err)
{
	int r;

	memset(elf, 0, sizeof(*elf));
	/* A 32-bit file may be shorter than a 64-bit header. */
	r = boot_file_read(file, 0, &elf->ehdr, EI_NIDENT, err);
	if (r == 0 && elf->ehdr.e_ident[EI_CLASS] == ELFCLASS32)
		return elf_foreign(file, "a 32-bit ELF file", err);
	if (r == 0)
		r = boot_file_read(file, 0, &elf->ehdr, sizeof(elf->ehdr), err);
	if (r == 0)
		r = elf_check_header(file, &elf->ehdr, err);
	if (r == 0)
		r = boot_file_read(file, elf->ehdr.e_phoff, elf->phdr,
				   elf->ehdr.e_phnum * sizeof(Elf64_Phdr), err);
	return r;
}

static int claim_segments(struct kernel *kernel, const struct gmem *mem,
			  const struct boot_file *file, const struct elf *elf,
			  struct err *err)
{
	for (unsigned int i = 0; i < elf->ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &elf->phdr[i];
		char part[32];
		int r;

		/* What has bytes in the file alone is damage, told below. */
		if (p->p_type != PT_LOAD ||
		    (p->p_memsz == 0 && p->p_filesz == 0))
			continue;
		(void)snprintf(part, sizeof(part), "segment %u", i);
		if (p->p_filesz > p->p_memsz)
			return err_set(
				err, -ENOEXEC,
				"The kernel %s is damaged: %s has 0x%llx "
				"bytes in the file but 0x%llx in memory",
				file->path, part,
				(unsigned long long)p->p_filesz,
				(unsigned long long)p->p_memsz);
		if (!range_fits(p->p_offset, p->p_filesz, file->size))
			return err_set(err, -ENOEXEC,
				       "The kernel %s is truncated: %s needs "
				       "0x%llx bytes at 0x%llx of a file of "
				       "0x%llx; fetch or build it again",
				       file->path, part,
				       (unsigned long long)p->p_filesz,
				       (unsigned long long)p->p_offset,
				       (unsigned long long)file->size);
		r = kernel_add_range(kernel, mem, file, part, p->p_paddr,
				     p->p_memsz, err);
		if (r < 0)
			return r;
	}
	if (kernel->nr_ranges == 0)
		return err_set(err, -ENOEXEC,
			       "%s has nothing to load: give a linked kernel",
			       file->path);
	return 0;
}

/* The loaded bytes that hold physical address @at. */
static bool holds_code(const struct elf *elf, uint64_t at)
{
	for (unsigned int i = 0; i < elf->ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &elf->phdr[i];

		if (p->p_type == PT_LOAD && at >= p->p_paddr &&
		    at - p->p_paddr < p->p_filesz)
			return at < ELF_ENTRY_LIMIT;
	}
	return false;
}

static bool translate(const struct elf *elf, uint64_t vaddr, uint64_t *at)
{
	for (unsigned int i = 0; i < elf->ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &elf->phdr[i];

		if (p->p_type != PT_LOAD || vaddr < p->p_vaddr ||
		    vaddr - p->p_vaddr >= p->p_filesz)
			continue;
		*at = vaddr - p->p_vaddr + p->p_paddr;
		return holds_code(elf, *at);
	}
	return false;
}

static int find_entry(struct kernel *kernel, const struct boot_file *file,
		      const struct elf *elf, struct err *err)
{
	uint64_t entry = elf->ehdr.e_entry;

	if (!holds_code(elf, entry) && !translate(elf, entry, &entry))
		return err_set(
			err, -ENOEXEC,
			"The kernel %s is damaged: its entry 0x%llx lies "
			"in none of its segments below 4 GiB",
			file->path, (unsigned long long)elf->ehdr.e_entry);
	kernel->entry64 = entry;
	if (kernel->entry_pvh && !holds_code(elf, kernel->entry_pvh))
		return err_set(err, -ENOEXEC,
			       "The kernel %s is damaged: its PVH entry 0x%llx "
			       "lies in none of its segments below 4 GiB",
			       file->path,
			       (unsigned long long)kernel->entry_pvh);
	return 0;
}

static int read_pvh_entry(struct kernel *kernel, struct boot_file *file,
			  uint64_t off, uint32_t size, struct err *err)
{
	uint64_t entry = 0;
	int r;

	if (size != 4 && size != 8)
		return err_set(err, -ENOEXEC,
			       "The kernel %s is damaged: its PVH entry note "
			       "has %u bytes instead of 4 or 8",
			       file->path, size);
	r = boot_file_read(file, off, &entry, size, err);
	if (r == 0 && entry == 0)
		return err_set(err, -ENOEXEC,
			       "The kernel %s is damaged: its PVH entry is 0",
			       file->path);
	kernel->entry_pvh = entry;
	return r;
}

/*
 * One PT_NOTE: notes of a header, a name and a value, each padded to 4. It is
 * read in steps of the window, and each step goes forward by a header at least.
 */
static int scan_notes(struct kernel *kernel, struct boot_file *file,
		      const Elf64_Phdr *p, struct err *err)
{
	uint64_t pos = 0;

	if (p->p_filesz > ELF_MAX_NOTE_BYTES ||
	    !range_fits(p->p_offset, p->p_filesz, file->size))
		return err_set(err, -ENOEXEC,
			       "The kernel %s is damaged or truncated: 0x%llx "
			       "bytes of notes at 0x%llx of a file of 0x%llx",
			       file->path, (unsigned long long)p->p_filesz,
			       (unsigned long long)p->p_offset,
			       (unsigned long long)file->size);
	while (range_fits(pos, sizeof(Elf64_Nhdr) + 4, p->p_filesz)) {
		struct {
			Elf64_Nhdr hdr;
			char name[4];
		} note;
		uint64_t value = pos + sizeof(note.hdr);
		int r = boot_file_read(file, p->p_offset + pos, &note,
				       sizeof(note), err);

		if (r < 0)
			return r;
		value += align_down((uint64_t)note.hdr.n_namesz + 3, 4);
		if (!range_fits(value, note.hdr.n_descsz, p->p_filesz))
			return 0; /* no note can follow one that lies */
		if (note.hdr.n_type == XEN_NOTE_PHYS32_ENTRY &&
		    note.hdr.n_namesz == 4 && memcmp(note.name, "Xen", 4) == 0)
			return read_pvh_entry(kernel, file, p->p_offset + value,
					      note.hdr.n_descsz, err);
		pos = value + align_down((uint64_t)note.hdr.n_descsz + 3, 4);
	}
	return 0;
}

static void set_setup_header(struct kernel *kernel)
{
	kernel->hdr = (struct setup_header){
		.boot_flag = 0xaa55,
		.header = 0x53726448, /* HdrS */
		.version = 0x020c,
		.loadflags = LOADED_HIGH,
		.kernel_alignment = 0x200000,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = LAYOUT_CMDLINE_MAX - 1,
	};
	kernel->initrd_end = UINT64_MAX;
	kernel->cmdline_max = LAYOUT_CMDLINE_MAX - 1;
}

int elf_load(struct kernel *kernel, struct gmem *mem, struct boot_file *file,
	     struct boot_entry *entry, struct err *err)
{
	struct elf elf;
	int r = elf_read_headers(&elf, file, err);

	memset(kernel, 0, sizeof(*kernel));
	set_setup_header(kernel);
	if (r == 0)
		r = claim_segments(kernel, mem, file, &elf, err);
	for (unsigned int i = 0; r == 0 && i < elf.ehdr.e_phnum; i++)
		if (elf.phdr[i].p_type == PT_NOTE && !kernel->entry_pvh)
			r = scan_notes(kernel, file, &elf.phdr[i], err);
	if (r == 0)
		r = find_entry(kernel, file, &elf, err);
	for (unsigned int i = 0; r == 0 && i < elf.ehdr.e_phnum; i++) {
		const Elf64_Phdr *p = &elf.phdr[i];

		if (p->p_type == PT_LOAD && p->p_filesz > 0)
			r = boot_file_place(file, mem, p->p_paddr, p->p_offset,
					    p->p_filesz, entry, err);
	}
	return r;
}
