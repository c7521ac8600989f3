// SPDX-License-Identifier: Apache-2.0
/*
 * elfpack.c - a vmlinux as the VMM likes it (theory of operation: elfpack.h)
 */
#include "kernel/elfpack.h"

#include "base/fd.h"

#include <elf.h>
#include <errno.h>
#include <unistd.h>

#define COPY_BYTES KIB(256)
#define LOADED_MAX MIB(512)

/**
 * struct pack - a file on its way
 * @old:	the segments as they were; @phdr: as they become
 * @end:	of the new file so far
 */
struct pack {
	int from;
	int to;
	uint64_t size;
	Elf64_Ehdr ehdr;
	unsigned int nr;
	Elf64_Phdr old[ELFPACK_PHDRS_MAX];
	Elf64_Phdr phdr[ELFPACK_PHDRS_MAX];
	uint64_t end;
	uint8_t *room;
	struct err *err;
};

static int cut_off(const struct pack *p)
{
	return err_set(p->err, -ENOEXEC,
		       "is cut off or damaged: a part of it lies outside its "
		       "%llu bytes; fetch or build it again",
		       (unsigned long long)p->size);
}

static int elfpack_read_at(struct pack *p, void *to, uint64_t len, uint64_t off)
{
	int r;

	if (!range_fits(off, len, p->size))
		return cut_off(p);
	r = fd_read_full(p->from, to, len, (off_t)off);
	if (r == -ENODATA)
		return cut_off(p);
	return r < 0 ? err_set(p->err, r, "cannot be read: %s", err_name(r))
		     : 0;
}

static int elfpack_read_headers(struct pack *p)
{
	Elf64_Phdr all[ELFPACK_PHDRS_MAX] = {0};
	Elf64_Ehdr *e = &p->ehdr;
	int r = elfpack_read_at(p, e, sizeof(*e), 0);

	if (r < 0)
		return r;
	if (memcmp(e->e_ident, ELFMAG, SELFMAG) != 0 ||
	    e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_phentsize != sizeof(Elf64_Phdr) || e->e_phnum == 0 ||
	    e->e_phnum > ELFPACK_PHDRS_MAX)
		return err_set(p->err, -ENOEXEC,
			       "is no 64-bit ELF kernel, or a damaged one");
	r = elfpack_read_at(p, all, e->e_phnum * sizeof(all[0]), e->e_phoff);
	for (unsigned int i = 0; r == 0 && i < e->e_phnum; i++)
		if (all[i].p_type == PT_LOAD || all[i].p_type == PT_NOTE)
			p->old[p->nr++] = all[i];
	return r;
}

static bool elfpack_is_zero(const uint8_t *data, size_t len)
{
	return used_bytes(data, len) == 0;
}

/* Page by page of the new file, so that pages of zeros become holes. */
static int elfpack_write_pages(struct pack *p, uint64_t at, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = PAGE_SIZE - (size_t)((at + done) % PAGE_SIZE);
		ssize_t r;

		if (n > len - done)
			n = len - done;
		if (elfpack_is_zero(p->room + done, n)) {
			done += n;
			continue;
		}
		r = pwrite(p->to, p->room + done, n, (off_t)(at + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_set(p->err, -errno,
				       "cannot be written into the store: %s",
				       err_name(errno));
		done += (size_t)r;
	}
	return 0;
}

static int elfpack_copy(struct pack *p, uint64_t from, uint64_t to,
			uint64_t len)
{
	while (len > 0) {
		size_t n = len < COPY_BYTES ? (size_t)len : COPY_BYTES;
		int r = elfpack_read_at(p, p->room, n, from);

		if (r == 0)
			r = elfpack_write_pages(p, to, n);
		if (r < 0)
			return r;
		from += n;
		to += n;
		len -= n;
	}
	return 0;
}

/* The next place for @len bytes that agrees with @like modulo the page. */
static int place(struct pack *p, uint64_t like, uint64_t len, uint64_t *off)
{
	uint64_t page = align_down(p->end + PAGE_SIZE - 1, PAGE_SIZE);

	if (len > LOADED_MAX || page > LOADED_MAX)
		return err_set(p->err, -EFBIG,
			       "is larger than a kernel may be: %llu MiB",
			       (unsigned long long)LOADED_MAX >> 20);
	*off = page + like % PAGE_SIZE;
	p->end = *off + len;
	return 0;
}

static int pack_load(struct pack *p, unsigned int i)
{
	const Elf64_Phdr *old = &p->old[i];
	uint64_t off = 0;
	int r;

	p->phdr[i] = *old;
	p->phdr[i].p_align = PAGE_SIZE;
	if (old->p_filesz == 0) {
		p->phdr[i].p_offset = old->p_paddr % PAGE_SIZE;
		return 0;
	}
	if (!range_fits(old->p_offset, old->p_filesz, p->size))
		return cut_off(p);
	r = place(p, old->p_paddr, old->p_filesz, &off);
	if (r < 0)
		return r;
	p->phdr[i].p_offset = off;
	return elfpack_copy(p, old->p_offset, off, old->p_filesz);
}

/* Notes are in a segment that is loaded, as a rule. */
static int pack_note(struct pack *p, unsigned int i)
{
	const Elf64_Phdr *old = &p->old[i];
	uint64_t off = 0;
	int r;

	p->phdr[i] = *old;
	for (unsigned int j = 0; j < p->nr; j++) {
		const Elf64_Phdr *load = &p->old[j];

		if (load->p_type != PT_LOAD || old->p_offset < load->p_offset ||
		    !range_fits(old->p_offset - load->p_offset, old->p_filesz,
				load->p_filesz))
			continue;
		p->phdr[i].p_offset =
			p->phdr[j].p_offset + old->p_offset - load->p_offset;
		return 0;
	}
	if (!range_fits(old->p_offset, old->p_filesz, p->size))
		return cut_off(p);
	r = place(p, 0, old->p_filesz, &off);
	if (r < 0)
		return r;
	p->phdr[i].p_offset = off;
	return elfpack_copy(p, old->p_offset, off, old->p_filesz);
}

static int write_headers(struct pack *p)
{
	Elf64_Ehdr e = p->ehdr;

	e.e_phoff = sizeof(e);
	e.e_phnum = (Elf64_Half)p->nr;
	e.e_shoff = 0;
	e.e_shnum = 0;
	e.e_shstrndx = SHN_UNDEF;
	memcpy(p->room, &e, sizeof(e));
	memcpy(p->room + sizeof(e), p->phdr, p->nr * sizeof(p->phdr[0]));
	if (ftruncate(p->to, (off_t)p->end) < 0)
		return err_set(p->err, -errno,
			       "cannot be written into the store: %s",
			       err_name(errno));
	return elfpack_write_pages(p, 0,
				   sizeof(e) + p->nr * sizeof(p->phdr[0]));
}

static int pack_all(struct pack *p)
{
	int r = elfpack_read_headers(p);

	for (unsigned int i = 0; r == 0 && i < p->nr; i++)
		if (p->old[i].p_type == PT_LOAD)
			r = pack_load(p, i);
	for (unsigned int i = 0; r == 0 && i < p->nr; i++)
		if (p->old[i].p_type == PT_NOTE)
			r = pack_note(p, i);
	return r < 0 ? r : write_headers(p);
}

int elfpack(int from, uint64_t size, int to, struct err *err)
{
	cleanup_free struct pack *p = calloc(1, sizeof(*p));
	cleanup_free uint8_t *room = malloc(COPY_BYTES);

	static_assert(sizeof(Elf64_Ehdr) + sizeof(p->phdr) <= PAGE_SIZE,
		      "they are in the first page");
	if (!p || !room)
		return err_set(err, -ENOMEM, "cannot be read: no memory");
	p->from = from;
	p->to = to;
	p->size = size;
	p->room = room;
	p->err = err;
	p->end = PAGE_SIZE; /* behind the headers */
	return pack_all(p);
}
