/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmio.h - virtio over MMIO (virtio 1.2, 4.2), version 2
 *
 * One page of registers per device, config space at 0x100. Registers are 4
 * bytes wide and answer to aligned accesses of that width only; the config
 * space takes any width that lies within it. What the driver selects
 * (features, queue) is kept here, per device, and checked at every use, not
 * when it is written. Everything that has a meaning beyond the registers is
 * the device's (device.h).
 *
 * A device may have two windows onto its registers, for guests are told of it
 * in two ways: one that knows both would find the second announcement's window
 * taken by the first and complain of it, loudly, for each device. So the driver
 * that first sets the status owns the device until it is reset, and meanwhile
 * the other window says that there is no device behind it (4.2.2: DeviceID 0),
 * which drivers pass over in silence.
 *
 * QueueNotify comes here once: then the window asks for an ioeventfd of KVM,
 * which takes all that follow. Not earlier, for a short-lived guest that uses
 * none of its devices would pay for them at its end, when KVM waits for what it
 * put off at the registration; nor for the other window. Without an ioeventfd,
 * as on other hosts and in tests, it goes on coming here.
 */
#pragma once

#include "bus/bus.h"
#include "virtio/state.h"

#define VIRTIO_MMIO_BYTES  0x1000u
#define VIRTIO_MMIO_NOTIFY 0x050u
#define VIRTIO_MMIO_CONFIG 0x100u

struct virtio_mmio;

/**
 * typedef virtio_mmio_notified_fn - the first kick came by @m
 *
 * Context: vCPU thread, no lock.
 */
typedef void virtio_mmio_notified_fn(void *ctx, const struct virtio_mmio *m);

/**
 * struct virtio_mmio - a window onto the registers of one device
 * @other:	the device's other window; NULL: there is none
 * @owner:	the driver came by this window; means nothing while the status
 *		is 0, guarded by the device's lock
 * @first_notify, @ctx: called once at most; may be NULL; any thread
 * @notified:	it was called; any thread
 * @features_sel, @driver_features_sel, @queue_sel: as the driver wrote them;
 *		guarded by the device's lock
 */
struct virtio_mmio {
	struct virtio_dev *dev;
	struct virtio_mmio *other;
	bool owner;
	virtio_mmio_notified_fn *first_notify;
	void *ctx;
	_Atomic bool notified;
	uint32_t features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
};

extern const struct bus_ops virtio_mmio_bus_ops;

/* Two windows onto @dev. */
void virtio_mmio_init_pair(struct virtio_mmio pair[2], struct virtio_dev *dev);

/* Whether a driver that came by the other window has the device. */
bool virtio_mmio_hidden(const struct virtio_mmio *m);

/**
 * virtio_mmio_save() - a device with its windows, for a snapshot
 * @m:		window 0
 * @state:	zeroed; its window is 0 while there is no driver, else the one
 *		that the driver uses
 *
 * Context: VMM thread, paused and drained.
 */
void virtio_mmio_save(struct virtio_mmio *m, struct virtio_state *state);

/**
 * virtio_mmio_load() - take over @state, on a device that was just made
 * @m:		window 0
 *
 * Return: as virtio_state_load().
 * Context: VMM thread.
 */
int virtio_mmio_load(struct virtio_mmio *m, const struct virtio_state *state,
		     struct err *err) __must_check;
