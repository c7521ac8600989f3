/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gmem.h - guest physical memory
 *
 * Theory of operation
 *
 * RAM is a short sorted list of regions. Below the hole it starts at 0; what
 * does not fit under GMEM_HOLE_START goes on at 4 GiB. Everything that touches
 * guest memory names (address, length) and comes through one function,
 * gmem_find(), that answers with a host pointer or refuses: no other code
 * compares a guest address with a size. An access never spans two regions:
 * between them lies the hole, which is not RAM.
 *
 * The guest changes its memory at any time. Callers copy what they need out of
 * it once, check the copy and use the copy. Values shared with the guest while
 * it runs (ring indices) go through the atomic accessors.
 *
 * A region lies at the same place within 2 MiB here as in the guest, so that
 * one huge page can back what is one for the guest and for KVM. Whether any
 * does is the host's policy, or MADV_HUGEPAGE where the user asks for it
 * (GMEM_PAGES_TRANSPARENT).
 *
 * Regions are of three kinds:
 *
 *   kind          what it is                        part of the image
 *   GMEM_RAM      there from the first instruction  yes
 *   GMEM_HOT      blocks of it are plugged and      yes, as far as it is
 *                 unplugged while the guest runs    plugged
 *   GMEM_DEVICE   a device's own, mostly a file     no
 *
 * The image of the memory (image/image.h) is the regions that are part of it
 * one behind the other, which are the first @nr_image of the table. Each knows
 * where it begins there (@at), which memory slots of KVM's it has (@slot,
 * @slot_bytes), and what of it was written: its own oracle. For pages of
 * MAP_PRIVATE memory that is the kernel (mem/pages.h), with @given_back for
 * those that went back; and @dirty, where writes are noted. A device's region
 * has none: its file is what it holds.
 *
 * gmem_add() and gmem_remove() change the table: before the guest runs, or
 * while its vCPUs are parked and no device works, as a thread that looks at it
 * takes no lock. Whoever keeps a copy is told by the caller: KVM
 * (kvm_vm_set_slot()), vhost. So a device whose memory is a file adds a
 * GMEM_DEVICE region at gmem_room() with its descriptor, maybe read-only, gives
 * it to KVM, and removes both when it goes. No device may write to a region
 * that is read-only: gmem_find() does not find it, gmem_find_const() does.
 *
 * Blocks of a GMEM_HOT region need neither: gmem_plug() and gmem_unplug() set a
 * bit for each, and gmem_find() finds plugged ones only. The region's addresses
 * here are reserved for all of it; what is not plugged takes no memory.
 *
 * With gmem_track() every write that comes through here is noted. That are all
 * of this process' while the guest runs: gmem_write() and its kin,
 * gmem_discard() and the queues (virtio/queue.c), which note what they write
 * themselves and each buffer that they hand to a device for writing. What the
 * guest writes the kernel notes; kvm_vm_note_dirty() adds it.
 *
 * Addresses are guest physical; sizes are bytes. All functions but the
 * constructors may be called from any thread.
 */
#pragma once

#include "base/err.h"

#include <stdatomic.h>
#include <sys/uio.h>

typedef uint64_t gpa_t;

#define GMEM_MIN_BYTES   MIB(16)
#define GMEM_HOLE_START  GIB(3)
#define GMEM_HOLE_END    GIB(4)
#define GMEM_MAX_REGIONS 24
#define GMEM_HUGE_BYTES  MIB(2)

enum gmem_pages {
	GMEM_PAGES_DEFAULT,     /* as the host decides */
	GMEM_PAGES_TRANSPARENT, /* madvise(MADV_HUGEPAGE) */
	GMEM_PAGES_2M,          /* hugetlbfs, 2 MiB */
};

enum gmem_kind {
	GMEM_RAM,
	GMEM_HOT,
	GMEM_DEVICE,
};

/**
 * struct gmem_spec - a region to be added
 * @gpa:	above all regions: gmem_room()
 * @slot_bytes:	of a memory slot of KVM's: a part of @size; 0: all of it
 * @block_bytes: GMEM_HOT: what is plugged at once, a power of two
 * @fd, @off:	the file that it shows, borrowed; -1: zeros
 * @file_bytes:	of @fd, less than @size: behind the page of its last byte are
 *		zeros, which are private; 0: all of it is the file's
 * @shared:	what the guest writes goes to the file
 * @read_only:	the guest may not write
 */
struct gmem_spec {
	enum gmem_kind kind;
	gpa_t gpa;
	uint64_t size;
	uint64_t slot_bytes;
	uint64_t block_bytes;
	int fd;
	off_t off;
	uint64_t file_bytes;
	bool shared;
	bool read_only;
};

/**
 * struct gmem_region - one run of memory
 * @gpa:	first guest address, page aligned
 * @size:	bytes, a multiple of the page size
 * @hva:	where it is mapped here
 * @at:		where it begins in the image of the memory, bytes
 * @slot:	its first memory slot of KVM's
 * @slot_bytes:	of each of them
 * @plugged:	GMEM_HOT: bit per @block_bytes: the guest may use it; else NULL
 * @given_back:	bit per page: gmem_discard() took it, so it does not show its
 *		file any more; NULL: none. VMM thread
 * @dirty:	bit per page: written since gmem_clean(), as far as it was
 *		written through here; NULL: not tracked
 */
struct gmem_region {
	gpa_t gpa;
	uint64_t size;
	uint8_t *hva;
	uint64_t at;
	unsigned int slot;
	uint64_t slot_bytes;
	enum gmem_kind kind;
	bool read_only;
	uint64_t block_bytes;
	_Atomic uint64_t *plugged;
	uint64_t *given_back;
	_Atomic uint64_t *dirty;
};

/**
 * struct gmem_file - RAM that is mapped from a file; ascending with GMEM_FILE
 *
 * A page of it that nobody has written holds what the file holds: it is not
 * zero because it is not resident.
 *
 * @fd:		borrowed, to be asked for holes; -1: not known
 * @off:	of @gpa in it
 */
struct gmem_file {
	gpa_t gpa;
	uint64_t len;
	int fd;
	off_t off;
};

/* What a page shows that nobody has written. */
enum gmem_origin {
	GMEM_FRESH,  /* zeros, or what gmem_map_file() put there */
	GMEM_FILE,   /* the files of gmem_init_from_pieces(), all of RAM */
	GMEM_SERVED, /* what another process gives when it is touched */
};

/**
 * struct gmem - the memory of one VM; immutable once gmem_init() returned, but
 * for what is said above, gmem_map_file() before the guest runs, and
 * gmem_discard()
 * @nr_image:	regions that are part of the image; they are the first
 * @size:	of the image, bytes
 * @tracked:	each region of the image has its @dirty
 * @nr_holes:	pieces cut out of file mappings
 * @huge:	huge pages will back it, see gmem_ask_policy()
 */
struct gmem {
	struct gmem_region region[GMEM_MAX_REGIONS];
	unsigned int nr_regions;
	unsigned int nr_image;
	uint64_t size;
	enum gmem_pages pages;
	enum gmem_origin origin;
	unsigned int nr_files;
	struct gmem_file *file; /* @nr_files; owned */
	unsigned int nr_holes;
	bool tracked;
	bool huge;
};

/**
 * gmem_init() - map anonymous RAM of @size bytes (lazily: no page is touched)
 * @size:	a multiple of 1 MiB, at least GMEM_MIN_BYTES
 *
 * Return: 0; with a sentence -EINVAL for a bad size, or -ENOMEM.
 */
int gmem_init(struct gmem *mem, uint64_t size, enum gmem_pages pages,
	      struct err *err) __must_check;

/**
 * struct gmem_piece - bytes [@at, @end) of RAM, regions in order, are those of
 * @fd: page aligned
 */
struct gmem_piece {
	uint64_t at;
	uint64_t end;
	int fd;
};

/**
 * gmem_init_from_pieces() - map memory MAP_PRIVATE from files of its very size
 * @size:	of RAM
 * @hot:	GMEM_HOT that is in the files behind RAM; NULL: none
 * @pages:	GMEM_PAGES_2M: as by default, a file has none
 * @ground:	the file of most of them: it is mapped once, the others over it
 * @piece:	@nr of them, ascending and side by side, all of RAM. Their files
 *		(regular ones, or memfds) stay open as long as @mem
 *
 * A page that is written becomes an ordinary one. Huge are at most those that
 * the page cache holds as such (tmpfs, file systems with large folios); for
 * GMEM_PAGES_TRANSPARENT it reads them that way.
 *
 * Return: 0, or -errno with a sentence.
 */
int gmem_init_from_pieces(struct gmem *mem, uint64_t size,
			  const struct gmem_spec *hot, enum gmem_pages pages,
			  int ground, const struct gmem_piece *piece, size_t nr,
			  struct err *err) __must_check;

/**
 * gmem_add() - one more region, mapped; KVM does not know of it yet
 *
 * GMEM_HOT comes before any GMEM_DEVICE.
 *
 * Return: 0; with a sentence -ENOSPC when the table is full, -EINVAL for an
 * address that is not above all others, -ENOMEM, or -errno of mmap.
 */
int gmem_add(struct gmem *mem, const struct gmem_spec *spec,
	     struct err *err) __must_check;

/* The last region of the table, whose memory slot KVM does not have any more.
 */
void gmem_remove(struct gmem *mem);

/* The first address at @align (a power of two) above all regions. */
gpa_t gmem_room(const struct gmem *mem, uint64_t align);

/**
 * gmem_plug() - blocks of a GMEM_HOT region are memory from now on
 * @gpa, @len:	whole blocks of one region
 * @anew:	they hold zeros, but for what the guest left; else what the
 *		image has, of which they are a part
 *
 * Return: 0; -EINVAL: they are no such blocks; -errno of gmem_discard().
 * Context: VMM thread, as the next two.
 */
int gmem_plug(struct gmem *mem, gpa_t gpa, uint64_t len,
	      bool anew) __must_check;

/* They are none any more, for devices. Return: as above. */
int gmem_unplug(struct gmem *mem, gpa_t gpa, uint64_t len) __must_check;

/* What of them is not in use goes back to the host. Return: 0; -EINVAL; -errno
 * of gmem_discard(). */
int gmem_empty(struct gmem *mem, gpa_t gpa, uint64_t len) __must_check;

/**
 * gmem_next_plugged() - the next run of bytes of @region that are memory
 * @at, @end:	of the last one; @end is 0 for the first. Of a region that is
 *		not GMEM_HOT there is one run
 *
 * Return: false when there is none.
 */
bool gmem_next_plugged(const struct gmem_region *region, uint64_t *at,
		       uint64_t *end);

/* The end of RAM of @size bytes, or of the hole: what is added is above. */
static inline gpa_t gmem_ram_end(uint64_t size)
{
	return size > GMEM_HOLE_START ? GMEM_HOLE_END + (size - GMEM_HOLE_START)
				      : GMEM_HOLE_END;
}

/* Bytes of [@gpa, +@len), which is in the GMEM_HOT @region, that are in plugged
 * blocks. Any thread. */
uint64_t gmem_plugged(const struct gmem_region *region, gpa_t gpa,
		      uint64_t len);

/**
 * gmem_set_policy() - will the host back this memory with huge pages?
 * @text:	what /sys/kernel/mm/transparent_hugepage/enabled says; "" where
 *		there is no /sys: no
 *
 * Sets @huge: by the kind of pages that was asked for, the policy, and
 * PR_SET_THP_DISABLE. A file that is mapped into such memory keeps huge pages
 * away from all blocks that it touches.
 */
void gmem_set_policy(struct gmem *mem, const char *text);

/* What the policy's @text ("always [madvise] never") means for @pages. */
bool gmem_policy_is_huge(const char *text, enum gmem_pages pages);

/* Unmaps; accepts a zeroed or half-built @mem. */
void gmem_fini(struct gmem *mem);

/**
 * gmem_find() - the only bounds check of guest memory
 * @len:	0 is allowed anywhere inside RAM or at a region's end
 *
 * Return: host pointer to @len bytes that are RAM, or NULL.
 */
void *gmem_find(const struct gmem *mem, gpa_t gpa, uint64_t len) __must_check;

/* The same, for who only reads: it finds what is read-only, too. */
const void *gmem_find_const(const struct gmem *mem, gpa_t gpa,
			    uint64_t len) __must_check;

/* True when [@gpa, +@len) touches RAM at all (an MMIO exit there is fatal). */
bool gmem_overlaps(const struct gmem *mem, gpa_t gpa, uint64_t len);

/* Copy. Return: 0, or -EFAULT and nothing is copied. */
int gmem_read(const struct gmem *mem, gpa_t gpa, void *buf,
	      uint64_t len) __must_check;
int gmem_write(const struct gmem *mem, gpa_t gpa, const void *buf,
	       uint64_t len) __must_check;

/**
 * gmem_map_file() - replace RAM pages by private pages of a file
 * @gpa, @off, @len:	all page aligned
 *
 * Clean pages stay in the page cache, shared by every VM of the same file.
 * Not for GMEM_PAGES_2M.
 *
 * Return: 0, -EFAULT outside RAM, -EINVAL when unaligned, -ENOMEM, or
 * -errno of mmap.
 * Context: before the guest runs and before the memory is given to KVM.
 */
int gmem_map_file(struct gmem *mem, gpa_t gpa, int fd, off_t off,
		  uint64_t len) __must_check;

/**
 * gmem_owns() - the guest address behind a host pointer (for SIGBUS)
 *
 * Return: true and *@gpa when @hva points into guest RAM. Async-signal-safe.
 */
bool gmem_owns(const struct gmem *mem, const void *hva, gpa_t *gpa);

/* Bytes of the pages that RAM consists of: what is given back is whole ones. */
static inline uint64_t gmem_page_bytes(const struct gmem *mem)
{
	return mem->pages == GMEM_PAGES_2M ? MIB(2) : PAGE_SIZE;
}

/**
 * gmem_discard() - give pages back to the host; they read zero from now on
 * @gpa, @len:	aligned to gmem_page_bytes(), within RAM
 *
 * Where a file is mapped its pages are replaced by anonymous ones, as the old
 * bytes of the file would come back else. When that is not possible (too many
 * mappings) the pages are overwritten with zeros: nothing is given back then,
 * but the guest does not see the difference.
 *
 * Return: 0, -EFAULT outside RAM, -EINVAL when unaligned, or -errno of madvise.
 * Context: VMM thread; the guest may use the memory meanwhile.
 */
int gmem_discard(struct gmem *mem, gpa_t gpa, uint64_t len) __must_check;

/**
 * gmem_track() - note from now on what is written
 *
 * Before the memory is given to KVM. Return: 0 or -ENOMEM.
 */
int gmem_track(struct gmem *mem) __must_check;

/* Use gmem_mark(). */
void gmem_mark_pages(const struct gmem *mem, gpa_t gpa, uint64_t len);

/* [@gpa, +@len), which is RAM, is written. Nothing when it is not tracked. */
static inline void gmem_mark(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
	if (mem->tracked)
		gmem_mark_pages(mem, gpa, len);
}

/* The pages that @bits has (KVM's form: bit 0 is the first) of @len bytes at
 * @off of the region, both multiples of 64 pages. */
void gmem_mark_bits(const struct gmem_region *region, uint64_t off,
		    uint64_t len, const uint64_t *bits);

/* Tracked memory only; @gpa is RAM. */
bool gmem_is_dirty(const struct gmem *mem, gpa_t gpa);
void gmem_clean(struct gmem *mem);

/* What the page at @gpa is mapped from, or NULL. Async-signal-safe. */
const struct gmem_file *gmem_file_at(const struct gmem *mem, gpa_t gpa);

/* The region that has the byte at @gpa, or NULL. */
const struct gmem_region *gmem_region_of(const struct gmem *mem, gpa_t gpa);

/* Memory slots of @region. */
static inline uint64_t gmem_slots(const struct gmem_region *region)
{
	return region->size / region->slot_bytes;
}

/* The GMEM_HOT region, of which there is at most one; or NULL. */
const struct gmem_region *gmem_hot(const struct gmem *mem);

/* The @i-th GMEM_DEVICE region, as they were added; or NULL. */
static inline const struct gmem_region *gmem_device(const struct gmem *mem,
						    size_t i)
{
	return i < mem->nr_regions - mem->nr_image
		       ? &mem->region[mem->nr_image + i]
		       : NULL;
}

/* Words of a bit per page of @region. */
static inline uint64_t gmem_words(const struct gmem_region *region)
{
	return (region->size / PAGE_SIZE + 63) / 64;
}

/* Number of the page at @gpa in the image; UINT64_MAX: it is not part of it.
 */
uint64_t gmem_page(const struct gmem *mem, gpa_t gpa);

/* True when the page of @gpa was given back since the start. VMM thread. */
bool gmem_was_discarded(const struct gmem *mem, gpa_t gpa);
