// SPDX-License-Identifier: Apache-2.0
/*
 * gmem.c - guest physical memory (theory of operation: gmem.h)
 */
#include "mem/gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Ascending, with a gap or side by side, whole pages, and all of the RAM: what
 * whoever walks them relies on. */
static void assert_regions(const struct gmem *mem)
{
	uint64_t sum = 0, end = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		assert(r->gpa >= end && r->size > 0);
		assert(is_aligned(r->gpa, PAGE_SIZE) &&
		       is_aligned(r->size, PAGE_SIZE));
		end = r->gpa + r->size;
		sum += r->size;
	}
	assert(sum == mem->size);
}

/* Region layout for @size bytes of RAM; maps nothing. */
static void lay_out(struct gmem *mem, uint64_t size)
{
	uint64_t low = size < GMEM_HOLE_START ? size : GMEM_HOLE_START;

	memset(mem, 0, sizeof(*mem));
	mem->size = size;
	mem->region[0].gpa = 0;
	mem->region[0].size = low;
	mem->nr_regions = 1;
	if (size > low) {
		mem->region[1].gpa = GMEM_HOLE_END;
		mem->region[1].size = size - low;
		mem->nr_regions = 2;
	}
	assert_regions(mem);
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
static void *map_aligned(uint64_t size, int flags, int fd, off_t off)
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
	p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, off);
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
	void *p, *better;

	flags |= MAP_PRIVATE | MAP_NORESERVE;
	p = mmap(NULL, r->size, PROT_READ | PROT_WRITE, flags, fd, off);
	if (p == MAP_FAILED)
		return -errno;
	if (!is_aligned((uintptr_t)p, GMEM_HUGE_BYTES)) {
		better = map_aligned(r->size, flags, fd, off);
		if (better != MAP_FAILED) {
			(void)munmap(p, r->size);
			p = better;
		}
	}
	r->hva = p;
	gmem_advise(p, r->size, pages);
	return 0;
}

static int gmem_note_file(struct gmem *mem, gpa_t gpa, uint64_t len, int fd,
			  off_t off)
{
	struct gmem_file *file =
		reallocarray(mem->file, mem->nr_files + 1, sizeof(*file));

	if (!file)
		return -ENOMEM;
	mem->file = file;
	file[mem->nr_files++] = (struct gmem_file){
		.gpa = gpa, .len = len, .fd = fd, .off = off};
	return 0;
}

int gmem_init(struct gmem *mem, uint64_t size, enum gmem_pages pages,
	      struct err *err)
{
	int flags = MAP_ANONYMOUS;
	int r = check_size(size, err);

	if (r < 0)
		return r;
	lay_out(mem, size);
	mem->pages = pages;
	if (pages == GMEM_PAGES_2M)
		flags |= MAP_HUGETLB | (21 << MAP_HUGE_SHIFT);
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		r = map_region(&mem->region[i], pages, flags, -1, 0);
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

/* What of @piece is in the region, which begins @before bytes of RAM and is
 * mapped from @ground. */
static int gmem_map_piece(struct gmem *mem, const struct gmem_region *region,
			  uint64_t before, int ground,
			  const struct gmem_piece *piece)
{
	uint64_t at = piece->at > before ? piece->at : before;
	uint64_t end = before + region->size;
	void *got = region->hva;

	end = piece->end < end ? piece->end : end;
	if (at >= end)
		return 0;
	if (piece->fd != ground)
		got = mmap(region->hva + (at - before), end - at,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, piece->fd,
			   (off_t)at);
	if (got == MAP_FAILED)
		return -errno;
	return gmem_note_file(mem, region->gpa + (at - before), end - at,
			      piece->fd, (off_t)at);
}

int gmem_init_from_pieces(struct gmem *mem, uint64_t size,
			  enum gmem_pages pages, int ground,
			  const struct gmem_piece *piece, size_t nr,
			  struct err *err)
{
	uint64_t before = 0;
	int r = check_size(size, err);

	if (r < 0)
		return r;
	lay_out(mem, size);
	mem->origin = GMEM_FILE;
	for (unsigned int i = 0; i < mem->nr_regions && r == 0; i++) {
		r = map_region(&mem->region[i], pages, 0, ground,
			       (off_t)before);
		for (size_t k = 0; k < nr && r == 0; k++)
			r = gmem_map_piece(mem, &mem->region[i], before, ground,
					   &piece[k]);
		/* One that is all ground has been seen to. */
		if (r == 0 && nr > 1)
			gmem_advise(mem->region[i].hva, mem->region[i].size,
				    pages);
		before += mem->region[i].size;
	}
	if (r == 0)
		return 0;
	gmem_fini(mem);
	return err_set(err, r, "Cannot map the memory file: %s", err_name(r));
}

void gmem_fini(struct gmem *mem)
{
	for (unsigned int i = 0; i < GMEM_MAX_REGIONS; i++)
		if (mem->region[i].hva)
			(void)munmap(mem->region[i].hva, mem->region[i].size);
	free(mem->file);
	free(mem->given_back);
	free(mem->dirty);
	memset(mem, 0, sizeof(*mem));
}

void *gmem_find(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (gpa >= r->gpa && range_fits(gpa - r->gpa, len, r->size))
			return r->hva + (gpa - r->gpa);
	}
	return NULL;
}

bool gmem_overlaps(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (gpa >= r->gpa ? gpa - r->gpa < r->size && len > 0
				  : len > r->gpa - gpa)
			return true;
	}
	return false;
}

uint64_t gmem_page(const struct gmem *mem, gpa_t gpa)
{
	uint64_t before = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return (before + gpa - r->gpa) / PAGE_SIZE;
		before += r->size;
	}
	return UINT64_MAX;
}

int gmem_read(const struct gmem *mem, gpa_t gpa, void *buf, uint64_t len)
{
	const void *p = gmem_find(mem, gpa, len);

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
	r = gmem_note_file(mem, gpa, len, -1, 0);
	if (r < 0)
		return r;
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
