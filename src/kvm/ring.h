/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - KVM's dirty rings: which pages vCPUs wrote, page by page
 *
 * Theory of operation
 *
 * KVM tells what a guest wrote in one of two ways. The log is a bit for each
 * page of a slot: who asks copies all of them. A ring belongs to a vCPU, lies
 * in memory that both share, and has an entry for each page that was written
 * first since it was asked for last: who asks pays for what was written, not
 * for what there is. In exchange a vCPU whose ring is full stops until somebody
 * has emptied it. A VM has rings or a log, for good.
 *
 *   an entry's flags   who sets them   what it means
 *   0                  KVM             nobody uses it
 *   DIRTY              KVM             a page was written; it is not told again
 *   RESET              we              noted; KVM_RESET_DIRTY_RINGS protects
 *                                      the page and frees the entry
 *
 * A vCPU's thread empties all rings when its own is full (KVM_RUN returns
 * KVM_EXIT_DIRTY_RING_FULL), the VMM thread when it wants to know; a lock keeps
 * them apart. Noted are the pages in gmem_mark()'s bits, so nothing is lost
 * between two questions.
 *
 * KVM keeps entries in reserve, so that a vCPU stops before its ring is full to
 * the last one. A KVM that emulates much of a guest at a stretch may overrun it
 * all the same, and then loses entries and its place: from then on every page
 * counts as written, always, and a vCPU that stops for its ring cannot go on.
 *
 * Sources: Documentation/virt/kvm/api.rst, 8.29 KVM_CAP_DIRTY_LOG_RING;
 * struct kvm_dirty_gfn in linux/kvm.h.
 */
#pragma once

#include "mem/gmem.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

#define KVM_RINGS_MAX 32u
/* KVM keeps up to 576 of them in reserve, so that a vCPU stops behind 13 MiB
 * that it has written. 64 KiB of the kernel's memory. */
#define KVM_RING_ENTRIES 4096u
#define KVM_RING_BYTES   (KVM_RING_ENTRIES * sizeof(struct kvm_dirty_gfn))

/**
 * struct kvm_ring - of one vCPU
 * @entry:	KVM_RING_ENTRIES, mapped; NULL: there is none
 * @next:	to be looked at next
 */
struct kvm_ring {
	struct kvm_dirty_gfn *entry;
	uint32_t next;
};

/**
 * struct kvm_rings - of a VM
 * @on:		it has rings; set before the first vCPU
 * @lock:	guards the entries
 * @overrun:	KVM lost entries; never false again
 */
struct kvm_rings {
	bool on;
	_Atomic bool overrun;
	pthread_mutex_t lock;
	struct kvm_ring ring[KVM_RINGS_MAX];
};

void kvm_rings_init(struct kvm_rings *rings);

/**
 * kvm_ring_map() - the ring of vCPU @id, behind its descriptor @fd
 *
 * Return: 0, also where the VM has none; -E2BIG; -errno.
 */
int kvm_ring_map(struct kvm_rings *rings, unsigned int id, int fd) __must_check;
void kvm_ring_unmap(struct kvm_rings *rings, unsigned int id);

/**
 * kvm_ring_take() - gmem_mark() what a ring has, and say so in its entries
 *
 * What names no page of @mem is passed over.
 *
 * Return: how many entries KVM may reset; KVM_RING_ENTRIES: it was overrun.
 */
unsigned int kvm_ring_take(struct kvm_ring *ring, const struct gmem *mem);

/* gmem_mark() what all vCPUs wrote since the last time; all of @mem when KVM
 * has ever lost entries. Then KVM is to reset its rings. Any thread. */
void kvm_rings_take(struct kvm_rings *rings, const struct gmem *mem);
