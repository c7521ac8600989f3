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

#include "virtio/device.h"

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
 * @window, @features_sel, @driver_features_sel, @queue_sel: the transport's
 *		(mmio.h)
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

/**
 * virtio_state_save() - the part of @state that no transport has
 * @state:	zeroed
 *
 * Context: VMM thread, paused and drained, with the device's lock.
 */
void virtio_state_save(struct virtio_dev *dev, struct virtio_state *state);

/**
 * virtio_state_load() - take it over, on a device that was just made
 *
 * Return: 0, or -EINVAL with a sentence for a state that no device can have,
 * and for features that this host's device does not offer.
 * Context: VMM thread, with the device's lock.
 */
int virtio_state_load(struct virtio_dev *dev, const struct virtio_state *state,
		      struct err *err) __must_check;
