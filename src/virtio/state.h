/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the common part of a virtio device, as saved in a snapshot
 *
 * Saving: the VM is paused and the device drained, so every chain that was
 * popped has been pushed (a device that holds chains back rewinds the queue
 * first) and positions say it all. Loading: the device is fresh, built from
 * its configuration; its own state (ops->load()) is loaded before this one,
 * which activates it when it was active. It stays paused until
 * virtio_dev_resume(), which kicks it and repeats an interrupt that the guest
 * had not acknowledged: a second edge is harmless, a lost one is not.
 */
#pragma once

#include "virtio/mmio.h"

struct virtq_state {
	uint16_t size;
	bool ready;
	bool broken;
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t next_avail;
	uint16_t next_used;
};

/**
 * struct virtio_state - a device's registers and queues
 * @window:	of two, the one that the driver uses; 0 while there is no driver
 */
struct virtio_state {
	uint64_t features;
	uint8_t status;
	uint32_t isr;
	uint32_t generation;
	uint8_t window;
	uint32_t features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	unsigned int nr_queues;
	struct virtq_state queue[VIRTIO_QUEUES_MAX];
};

extern const struct schema_object virtio_state_schema;

/* VMM thread, paused and drained. @mmio: window 0. @state is zeroed. */
void virtio_mmio_save(struct virtio_mmio *mmio, struct virtio_state *state);

/**
 * virtio_mmio_load() - take over @state, on a device that was just made
 *
 * Return: 0; -EINVAL with a sentence for a state that no device can have, and
 * for features that this host's device does not offer.
 */
int virtio_mmio_load(struct virtio_mmio *mmio, const struct virtio_state *state,
		     struct err *err) __must_check;
