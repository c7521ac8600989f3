// SPDX-License-Identifier: Apache-2.0
/*
 * ring.c - KVM's dirty rings (theory of operation: ring.h)
 */
#include "kvm/ring.h"

#include <errno.h>
#include <sys/mman.h>

void kvm_rings_init(struct kvm_rings *rings)
{
	*rings = (struct kvm_rings){0};
	(void)pthread_mutex_init(&rings->lock, NULL);
}

int kvm_ring_map(struct kvm_rings *rings, unsigned int id, int fd)
{
	void *entry;

	if (!rings->on)
		return 0;
	if (id >= KVM_RINGS_MAX)
		return -E2BIG;
	entry = mmap(NULL, KVM_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, (off_t)(KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE));
	if (entry == MAP_FAILED)
		return -errno;
	rings->ring[id] = (struct kvm_ring){.entry = entry};
	return 0;
}

void kvm_ring_unmap(struct kvm_rings *rings, unsigned int id)
{
	if (id >= KVM_RINGS_MAX || !rings->ring[id].entry)
		return;
	(void)munmap(rings->ring[id].entry, KVM_RING_BYTES);
	rings->ring[id].entry = NULL;
}

/* The upper half of a slot's number is an address space of KVM's: the second
 * one is that of system management mode, which no slot of ours is in. */
static void ring_mark(const struct gmem *mem, uint32_t slot, uint64_t page)
{
	for (unsigned int i = 0; i < mem->nr_image; i++) {
		const struct gmem_region *r = &mem->region[i];

		if (slot >= r->slot && slot - r->slot < gmem_slots(r) &&
		    page < r->slot_bytes / PAGE_SIZE)
			gmem_mark(mem,
				  r->gpa + (slot - r->slot) * r->slot_bytes +
					  page * PAGE_SIZE,
				  PAGE_SIZE);
	}
}

unsigned int kvm_ring_take(struct kvm_ring *ring, const struct gmem *mem)
{
	unsigned int nr;

	for (nr = 0; nr < KVM_RING_ENTRIES; nr++) {
		struct kvm_dirty_gfn *e =
			&ring->entry[ring->next % KVM_RING_ENTRIES];

		/* KVM writes the flags last, and reads them first. */
		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) !=
		    KVM_DIRTY_GFN_F_DIRTY)
			break;
		ring_mark(mem, e->slot, e->offset);
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET,
				 __ATOMIC_RELEASE);
		ring->next++;
	}
	return nr;
}

void kvm_rings_take(struct kvm_rings *rings, const struct gmem *mem)
{
	(void)pthread_mutex_lock(&rings->lock);
	for (unsigned int i = 0; i < KVM_RINGS_MAX; i++)
		if (rings->ring[i].entry &&
		    kvm_ring_take(&rings->ring[i], mem) == KVM_RING_ENTRIES)
			atomic_store(&rings->overrun, true);
	(void)pthread_mutex_unlock(&rings->lock);
	if (!atomic_load(&rings->overrun))
		return;
	for (unsigned int i = 0; i < mem->nr_image; i++)
		gmem_mark(mem, mem->region[i].gpa, mem->region[i].size);
}
