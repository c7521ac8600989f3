// SPDX-License-Identifier: Apache-2.0
/*
 * gmem.c - guest physical memory (theory of operation: gmem.h)
 */
#include "mem/gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Ascending, with a gap or side by side, whole pages, those of the image first:
 * what whoever walks them relies on. */
static void assert_regions(const struct gmem *mem)
{
	uint64_t sum = 0, end = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		assert(r->gpa >= end && r->size > 0);
		assert(is_aligned(r->gpa, PAGE_SIZE) &&
		       is_aligned(r->size, PAGE_SIZE));
		end = r->gpa + r->size;
		assert((i < mem->nr_image) == (r->kind != GMEM_DEVICE));
		if (i >= mem->nr_image)
			continue;
		assert(r->at == sum);
		sum += r->size;
	}
	assert(sum == mem->size);
}

/* The first memory slot behind those of all regions. */
static unsigned int gmem_free_slot(const struct gmem *mem)
{
	const struct gmem_region *last;

	if (mem->nr_regions == 0)
		return 0;
	last = &mem->region[mem->nr_regions - 1];
	return last->slot + (unsigned int)gmem_slots(last);
}

/* A place in the table; maps nothing. */
static struct gmem_region *gmem_append(struct gmem *mem,
				       const struct gmem_spec *spec)
{
	struct gmem_region *r = &mem->region[mem->nr_regions];

	*r = (struct gmem_region){
		.gpa = spec->gpa,
		.size = spec->size,
		.slot = gmem_free_slot(mem),
		.slot_bytes = spec->slot_bytes ? spec->slot_bytes : spec->size,
		.kind = spec->kind,
		.read_only = spec->read_only,
		.block_bytes = spec->block_bytes,
	};
	mem->nr_regions++;
	if (spec->kind != GMEM_DEVICE) {
		r->at = mem->size;
		mem->size += spec->size;
		mem->nr_image = mem->nr_regions;
	}
	assert_regions(mem);
	return r;
}

/* Region layout for @size bytes of RAM; maps nothing. */
static void lay_out(struct gmem *mem, uint64_t size)
{
	uint64_t low = size < GMEM_HOLE_START ? size : GMEM_HOLE_START;

	memset(mem, 0, sizeof(*mem));
	(void)gmem_append(mem, &(struct gmem_spec){.size = low});
	if (size > low)
		(void)gmem_append(mem, &(struct gmem_spec){.gpa = GMEM_HOLE_END,
							   .size = size - low});
}

static int check_size(uint64_t size, struct err *err)
{
	if (size < GMEM_MIN_BYTES || !is_aligned(size, MIB(1)) ||
	    size > GIB(1) * 4096) {
		err_set(err, -EINVAL,
			"Guest memory of %llu bytes is not possible: use whole "
			"MiB, from 16 MiB to 4 TiB",
			(unsigned long long)size);
		err_plain(err,
			  "--memory %llu (MiB) is not possible: from 16 MiB to "
			  "4 TiB (4096G)",
			  (unsigned long long)(size >> 20));
		return -EINVAL;
	}
	return 0;
}

static_assert(GMEM_HOLE_END % GMEM_HUGE_BYTES == 0, "regions are aligned");

/*
 * Maps where a huge page can back it; kernels since 6.7 mostly do that by
 * themselves. Not by mremap(): where the old place shares its first or last 2
 * MiB with another mapping, that leaves a page table at the new one, and no
 * huge page comes there any more.
 *
 * Return: MAP_FAILED where there is no room for that.
 */
static void *map_aligned(uint64_t size, int prot, int flags, int fd, off_t off)
{
	uint64_t room = size + GMEM_HUGE_BYTES;
	uint8_t *start =
		mmap(NULL, room, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *end, *at;
	void *p;

	if (start == MAP_FAILED)
		return start;
	at = start + (-(uintptr_t)start & (GMEM_HUGE_BYTES - 1));
	end = at + size;
	p = mmap(at, size, prot, MAP_FIXED | flags, fd, off);
	if (p == MAP_FAILED) {
		(void)munmap(start, room);
		return p;
	}
	if (at > start)
		(void)munmap(start, (size_t)(at - start));
	if (end < start + room)
		(void)munmap(end, (size_t)(start + room - end));
	return at;
}

static void gmem_advise(void *hva, uint64_t len, enum gmem_pages pages)
{
	(void)madvise(hva, len, MADV_DONTDUMP);
	if (pages == GMEM_PAGES_TRANSPARENT)
		(void)madvise(hva, len, MADV_HUGEPAGE);
}

static int map_region(struct gmem_region *r, enum gmem_pages pages, int flags,
		      int fd, off_t off)
{
	int prot = r->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	void *p, *better;

	flags |= MAP_NORESERVE;
	p = mmap(NULL, r->size, prot, flags, fd, off);
	if (p == MAP_FAILED)
		return -errno;
	if (!is_aligned((uintptr_t)p, GMEM_HUGE_BYTES)) {
		better = map_aligned(r->size, prot, flags, fd, off);
		if (better != MAP_FAILED) {
			(void)munmap(p, r->size);
			p = better;
		}
	}
	r->hva = p;
	gmem_advise(p, r->size, pages);
	return 0;
}

/* A bit for each block. Return: 0 or -ENOMEM. */
static int gmem_make_blocks(struct gmem_region *r)
{
	size_t words;

	if (r->kind != GMEM_HOT)
		return 0;
	words = (r->size / r->block_bytes + 63) / 64;
	assert(words > 0);
	r->plugged = calloc(words, sizeof(*r->plugged));
	return r->plugged ? 0 : -ENOMEM;
}

/* Pages of nothing are of the kind that was asked for. */
static int gmem_flags(const struct gmem *mem)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	if (mem->pages == GMEM_PAGES_2M)
		flags |= MAP_HUGETLB | (21 << MAP_HUGE_SHIFT);
	return flags;
}

/* For @nr more files. Return: 0 or -ENOMEM. */
static int gmem_make_room(struct gmem *mem, size_t nr)
{
	struct gmem_file *file =
		reallocarray(mem->file, mem->nr_files + nr, sizeof(*file));

	if (!file)
		return -ENOMEM;
	mem->file = file;
	return 0;
}

/* There is room. */
static void gmem_note_file(struct gmem *mem, gpa_t gpa, uint64_t len, int fd,
			   off_t off)
{
	mem->file[mem->nr_files++] = (struct gmem_file){
		.gpa = gpa, .len = len, .fd = fd, .off = off};
}

int gmem_init(struct gmem *mem, uint64_t size, enum gmem_pages pages,
	      struct err *err)
{
	int r = check_size(size, err);

	if (r < 0)
		return r;
	lay_out(mem, size);
	mem->pages = pages;
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		r = map_region(&mem->region[i], pages, gmem_flags(mem), -1, 0);
		if (r < 0) {
			gmem_fini(mem);
			return err_set(err, r,
				       "Cannot map %llu MiB of guest memory%s: "
				       "%s",
				       (unsigned long long)(size >> 20),
				       pages == GMEM_PAGES_2M
					       ? " in 2 MiB pages (see "
						 "/proc/sys/vm/nr_hugepages)"
					       : "",
				       err_name(r));
		}
	}
	return 0;
}

/* What of @piece is in the region, which is mapped from @ground. */
static int gmem_map_piece(struct gmem *mem, const struct gmem_region *region,
			  int ground, const struct gmem_piece *piece)
{
	uint64_t at = piece->at > region->at ? piece->at : region->at;
	uint64_t end = region->at + region->size;
	void *got = region->hva;

	end = piece->end < end ? piece->end : end;
	if (at >= end)
		return 0;
	if (piece->fd != ground)
		got = mmap(region->hva + (at - region->at), end - at,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, piece->fd,
			   (off_t)at);
	if (got == MAP_FAILED)
		return -errno;
	gmem_note_file(mem, region->gpa + (at - region->at), end - at,
		       piece->fd, (off_t)at);
	return 0;
}

int gmem_init_from_pieces(struct gmem *mem, uint64_t size,
			  const struct gmem_spec *hot, enum gmem_pages pages,
			  int ground, const struct gmem_piece *piece, size_t nr,
			  struct err *err)
{
	int r = check_size(size, err);

	if (r < 0)
		return r;
	lay_out(mem, size);
	if (hot)
		r = gmem_make_blocks(gmem_append(mem, hot));
	mem->origin = GMEM_FILE;
	/* Each border between two regions may be in a piece. */
	if (r == 0)
		r = gmem_make_room(mem, nr + mem->nr_regions - 1);
	for (unsigned int i = 0; i < mem->nr_regions && r == 0; i++) {
		r = map_region(&mem->region[i], pages, MAP_PRIVATE, ground,
			       (off_t)mem->region[i].at);
		for (size_t k = 0; k < nr && r == 0; k++)
			r = gmem_map_piece(mem, &mem->region[i], ground,
					   &piece[k]);
		/* One that is all ground has been seen to. */
		if (r == 0 && nr > 1)
			gmem_advise(mem->region[i].hva, mem->region[i].size,
				    pages);
	}
	if (r == 0)
		return 0;
	gmem_fini(mem);
	return err_set(err, r, "Cannot map the memory file: %s", err_name(r));
}

void gmem_remove(struct gmem *mem)
{
	struct gmem_region *r = &mem->region[--mem->nr_regions];

	if (r->hva)
		(void)munmap(r->hva, r->size);
	free(r->plugged);
	free(r->given_back);
	free(r->dirty);
	if (mem->nr_image > mem->nr_regions) {
		mem->nr_image--;
		mem->size -= r->size;
	}
	*r = (struct gmem_region){0};
}

gpa_t gmem_room(const struct gmem *mem, uint64_t align)
{
	const struct gmem_region *last = &mem->region[mem->nr_regions - 1];
	gpa_t end = last->gpa + last->size;

	if (end < GMEM_HOLE_END)
		end = GMEM_HOLE_END;
	return (end + align - 1) & ~(align - 1);
}

/* A file that ends before the region, over zeros: a page behind its end would
 * be SIGBUS. */
static int map_short_file(struct gmem_region *r, const struct gmem_spec *spec,
			  enum gmem_pages pages, int flags)
{
	int prot = r->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	int rc = map_region(r, pages, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *p;

	if (rc < 0)
		return rc;
	p = mmap(r->hva, spec->file_bytes, prot,
		 MAP_FIXED | MAP_NORESERVE | flags, spec->fd, spec->off);
	if (p == MAP_FAILED)
		return -errno;
	gmem_advise(p, spec->file_bytes, pages);
	return 0;
}

static int gmem_add_mapped(struct gmem *mem, const struct gmem_spec *spec)
{
	struct gmem_region *r = gmem_append(mem, spec);
	int flags = spec->shared ? MAP_SHARED : MAP_PRIVATE;
	int rc = gmem_make_blocks(r);

	if (rc == 0 && mem->tracked && r->kind != GMEM_DEVICE) {
		r->dirty = calloc(gmem_words(r), sizeof(*r->dirty));
		rc = r->dirty ? 0 : -ENOMEM;
	}
	if (rc == 0 && spec->file_bytes > 0)
		rc = map_short_file(r, spec, mem->pages, flags);
	else if (rc == 0)
		rc = map_region(r, mem->pages,
				spec->fd < 0 ? gmem_flags(mem) : flags,
				spec->fd, spec->off);
	if (rc < 0)
		gmem_remove(mem);
	return rc;
}

int gmem_add(struct gmem *mem, const struct gmem_spec *spec, struct err *err)
{
	int r;

	if (mem->nr_regions == GMEM_MAX_REGIONS)
		return err_set(err, -ENOSPC,
			       "Guest memory has %u regions already",
			       mem->nr_regions);
	if (spec->gpa < gmem_room(mem, PAGE_SIZE) ||
	    spec->size > UINT64_MAX - spec->gpa || spec->size == 0)
		return err_set(err, -EINVAL,
			       "There is no room for a region of guest memory "
			       "at 0x%llx",
			       (unsigned long long)spec->gpa);
	r = gmem_add_mapped(mem, spec);
	return r < 0 ? err_set(err, r,
			       "Cannot map %llu MiB of guest memory at 0x%llx: "
			       "%s",
			       (unsigned long long)(spec->size >> 20),
			       (unsigned long long)spec->gpa, err_name(r))
		     : 0;
}

void gmem_fini(struct gmem *mem)
{
	while (mem->nr_regions > 0)
		gmem_remove(mem);
	free(mem->file);
	memset(mem, 0, sizeof(*mem));
}

/* The only bounds check of guest memory. Return: the region that has it all. */
static const struct gmem_region *gmem_holder(const struct gmem *mem, gpa_t gpa,
					     uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (gpa >= r->gpa && range_fits(gpa - r->gpa, len, r->size))
			return r->plugged && gmem_plugged(r, gpa, len) < len
				       ? NULL
				       : r;
	}
	return NULL;
}

void *gmem_find(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	const struct gmem_region *r = gmem_holder(mem, gpa, len);

	return r && !r->read_only ? r->hva + (gpa - r->gpa) : NULL;
}

const void *gmem_find_const(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	const struct gmem_region *r = gmem_holder(mem, gpa, len);

	return r ? r->hva + (gpa - r->gpa) : NULL;
}

bool gmem_overlaps(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (gpa >= r->gpa ? gpa - r->gpa >= r->size || len == 0
				  : len <= r->gpa - gpa)
			continue;
		if (!r->plugged)
			return true;
		if (gpa < r->gpa) {
			len -= r->gpa - gpa;
			gpa = r->gpa;
		}
		if (len > r->size - (gpa - r->gpa))
			len = r->size - (gpa - r->gpa);
		return gmem_plugged(r, gpa, len) > 0;
	}
	return false;
}

const struct gmem_file *gmem_file_at(const struct gmem *mem, gpa_t gpa)
{
	for (unsigned int i = 0; i < mem->nr_files; i++) {
		const struct gmem_file *file = &mem->file[i];

		if (gpa >= file->gpa && gpa - file->gpa < file->len)
			return file;
	}
	return NULL;
}

const struct gmem_region *gmem_region_of(const struct gmem *mem, gpa_t gpa)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

uint64_t gmem_page(const struct gmem *mem, gpa_t gpa)
{
	const struct gmem_region *r = gmem_region_of(mem, gpa);

	return r && r->kind != GMEM_DEVICE ? (r->at + gpa - r->gpa) / PAGE_SIZE
					   : UINT64_MAX;
}

int gmem_read(const struct gmem *mem, gpa_t gpa, void *buf, uint64_t len)
{
	const void *p = gmem_find_const(mem, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int gmem_write(const struct gmem *mem, gpa_t gpa, const void *buf, uint64_t len)
{
	void *p = gmem_find(mem, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	gmem_mark(mem, gpa, len);
	return 0;
}

int gmem_map_file(struct gmem *mem, gpa_t gpa, int fd, off_t off, uint64_t len)
{
	void *p = gmem_find(mem, gpa, len);
	void *got;
	int r;

	if (!p)
		return -EFAULT;
	if (!is_aligned(gpa, PAGE_SIZE) || !is_aligned(len, PAGE_SIZE) ||
	    !is_aligned((uint64_t)off, PAGE_SIZE) || off < 0 ||
	    mem->pages == GMEM_PAGES_2M)
		return -EINVAL;
	if (len == 0)
		return 0;
	r = gmem_make_room(mem, 1);
	if (r < 0)
		return r;
	gmem_note_file(mem, gpa, len, -1, 0);
	got = mmap(p, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, off);
	if (got == MAP_FAILED)
		return -errno;
	(void)madvise(p, len, MADV_DONTDUMP);
	return 0;
}

bool gmem_owns(const struct gmem *mem, const void *hva, gpa_t *gpa)
{
	const uint8_t *p = hva;

	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (r->hva && p >= r->hva && (uint64_t)(p - r->hva) < r->size) {
			*gpa = r->gpa + (uint64_t)(p - r->hva);
			return true;
		}
	}
	return false;
}
