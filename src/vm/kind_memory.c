// SPDX-License-Identifier: Apache-2.0
/*
 * kind_memory.c - the memory of the configuration that may be plugged
 */
#include "dev/mem.h"
#include "vm/slots.h"

#include <errno.h>

static size_t kind_memory_count(const struct vm_config *config)
{
	return config->memory_hotplug.present;
}

static int kind_memory_set_slot(void *ctx, uint64_t off, bool there)
{
	struct board *board = ctx;

	return kvm_vm_set_slot(&board->kvm_vm, gmem_hot(&board->mem), off,
			       there);
}

/* More than there are would be told to the guest as a host that is busy. */
static int kind_memory_check_slots(struct board *board, struct err *err)
{
	const struct gmem_region *region = gmem_hot(&board->mem);
	uint64_t max = (uint64_t)kvm_cap(&board->kvm, KVM_CAP_NR_MEMSLOTS);

	if (region->slot + gmem_slots(region) <= max)
		return 0;
	return err_set(err, -E2BIG,
		       "Memory hot-plug in %llu slots is more than this host's "
		       "KVM has (%llu): use a larger slot_size_mib",
		       (unsigned long long)gmem_slots(region),
		       (unsigned long long)max);
}

static int kind_memory_make(struct virtio_slots *slots, size_t i,
			    struct virtio_dev **out, struct err *err)
{
	struct board *board = slots->board;
	const struct mem_slots set = {kind_memory_set_slot, board};
	struct mem_dev *m = NULL;
	int r = kind_memory_check_slots(board, err);

	(void)i;
	if (r < 0)
		return r;
	r = mem_dev_new(&m, &board->mem, board->env.loop, &set, err);
	if (r < 0)
		return r;
	assert(m);
	r = slots_add_counters(slots, &mem_metric_group, NULL, &m->metrics,
			       err);
	if (r < 0) {
		m->dev.ops->destroy(&m->dev);
		return r;
	}
	*out = &m->dev;
	return 0;
}

const struct virtio_kind virtio_kind_memory = {
	.name = "memory",
	.count = kind_memory_count,
	.make = kind_memory_make,
};
