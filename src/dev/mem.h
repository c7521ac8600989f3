/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - virtio memory device (virtio 1.2, 5.15): memory that comes and goes
 *
 * Theory of operation
 *
 * The device has a region of guest addresses, in blocks; none of them is memory
 * at first. The host says how much it wants the guest to have (requested_size
 * in the config space), and the driver plugs or unplugs blocks until it has
 * that. One queue of requests, each of one buffer to read and one to write:
 *
 *   PLUG        blocks that are not plugged     NACK if that is more than
 *                                               was requested
 *   UNPLUG      blocks that are plugged         their pages go to the host
 *   UNPLUG_ALL  all of them                     a driver that starts anew
 *   STATE       plugged, not, or some of both
 *
 * A range that is not within the usable part of the region, not aligned, empty,
 * or not all in the state that the request needs is answered with ERROR, and
 * nothing has changed. BUSY: the kernel did not take what is needed; the driver
 * tries again.
 *
 * What is plugged is a bit for each block of the GMEM_HOT region (mem/gmem.h),
 * so that no device finds what is not. KVM is given the region in slots, and
 * has a slot as long as a block in it is plugged (@set_slot). So a guest can
 * touch a block that is not plugged only beside one that is, and what it puts
 * there is its own; what it takes is bounded by the slots. When a slot goes,
 * all its pages do.
 *
 * The order of an unplug: the bits, so that no device finds the blocks; the
 * slots, so that the guest does not; then the pages go back.
 *
 * A driver must know that what is not plugged is not there
 * (UNPLUGGED_INACCESSIBLE); another one cannot use the device. A reset changes
 * nothing of what is plugged: the next driver begins with UNPLUG_ALL, or knows.
 *
 * One kick plugs or unplugs a bounded number of bytes, if not by one request,
 * and lets the loop go round.
 */
#pragma once

#include "base/metrics.h"
#include "virtio/device.h"

#define MEM_F_UNPLUGGED_INACCESSIBLE (1ull << 1)

/* Firecracker's `memory_hotplug` metrics. */
struct mem_metrics {
	metric_t activate_fails;
	metric_t queue_event_fails;
	metric_t queue_event_count;
	struct metric_agg plug_agg;
	metric_t plug_count;
	metric_t plug_bytes;
	metric_t plug_fails;
	struct metric_agg unplug_agg;
	metric_t unplug_count;
	metric_t unplug_bytes;
	metric_t unplug_fails;
	metric_t unplug_discard_fails;
	struct metric_agg unplug_all_agg;
	metric_t unplug_all_count;
	metric_t unplug_all_fails;
	struct metric_agg state_agg;
	metric_t state_count;
	metric_t state_fails;
};

extern const struct metric_group mem_metric_group;

/* The config space (5.15.4), little-endian like the host. */
struct mem_config_space {
	uint64_t block_size;
	uint16_t node_id; /* not offered */
	uint8_t padding[6];
	uint64_t addr;
	uint64_t region_size;
	uint64_t usable_region_size;
	uint64_t plugged_size;
	uint64_t requested_size;
};

/**
 * struct mem_slots - the memory slots that KVM has of the region
 * @set:	the one at @off of the region comes or goes. 0 or -errno
 */
struct mem_slots {
	int (*set)(void *ctx, uint64_t off, bool there);
	void *ctx;
};

/**
 * struct mem_dev - the device
 * @region:	GMEM_HOT, of @mem
 * @space:	the config space; guarded by the lock
 */
struct mem_dev {
	struct virtio_dev dev;
	struct gmem *mem;
	const struct gmem_region *region;
	struct mem_slots slots;
	struct mem_metrics metrics;
	struct mem_config_space space;
	struct iovec iov[VIRTQ_MAX_SIZE];
};

/**
 * mem_dev_new() - make the device of @mem's GMEM_HOT region, which it has
 *
 * Return: 0 and *@out, or -errno with a sentence. dev.ops->destroy() frees.
 */
int mem_dev_new(struct mem_dev **out, struct gmem *mem, struct loop *loop,
		const struct mem_slots *slots, struct err *err) __must_check;

/**
 * mem_dev_request() - the driver shall have @bytes plugged
 *
 * Return: 0; -ENOTCONN while no driver runs; -EINVAL for what is no number of
 * blocks, or more than the region.
 * Context: VMM thread, as mem_dev_read(). Both take the lock.
 */
int mem_dev_request(struct mem_dev *m, uint64_t bytes) __must_check;

void mem_dev_read(struct mem_dev *m, struct mem_config_space *space);
