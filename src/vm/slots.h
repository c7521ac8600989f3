/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.h - the machine's virtio devices: windows, interrupts, order
 *
 * Theory of operation
 *
 * Devices are made from the configuration, kind by kind in the order of one
 * list (VIRTIO_KINDS), within a kind in the order of the configuration. The
 * n-th device gets windows n (one for drivers that go by the command line, one
 * for those that go by ACPI) and interrupt n of layout.h; that order is guest
 * ABI and what a snapshot relies on. A kind is one file (kind_<kind>.c) that
 * turns its part of struct vm_config into devices; live.c carries changes of a
 * running VM to them. Devices themselves (src/dev/) know no configuration.
 *
 * The kernel is told of the windows before there are devices, so their number
 * comes from the configuration alone. irqfds are registered last of all (kvm.h
 * says why), an ioeventfd when a driver kicks for the first time (mmio.h).
 */
#pragma once

#include "base/metrics.h"
#include "boot/loader.h"
#include "host/rate_limiter.h"
#include "virtio/mmio.h"
#include "vm/board.h"

struct virtio_slots;

/**
 * struct virtio_kind - one kind of device
 * @name:	in messages
 * @count:	how many of them the configuration asks for
 * @make:	the @i-th of them; 0 and *@out, or -errno with a sentence. The
 *		machine owns it (ops->destroy() frees it)
 */
struct virtio_kind {
	const char *name;
	size_t (*count)(const struct vm_config *config);
	int (*make)(struct virtio_slots *slots, size_t i,
		    struct virtio_dev **out, struct err *err);
};

/* clang-format off */
/* The one list. Its order is guest ABI: a new kind goes to the end. */
#define VIRTIO_KINDS(KIND) \
	KIND(balloon) \
	KIND(block) \
	KIND(net) \
	KIND(vsock) \
	KIND(entropy) \
	KIND(memory) \
	KIND(pmem)

#define VIRTIO_KIND_EXTERN(name_) \
	extern const struct virtio_kind virtio_kind_##name_;

/* virtio_kind_balloon and so on: kind_<kind>.c */
VIRTIO_KINDS(VIRTIO_KIND_EXTERN)
/* clang-format on */

#define SLOT_LIMITERS_MAX 2u
#define SLOTS_REPEAT_NS   100000000u

/**
 * struct virtio_slot - a device in its window
 * @index:	of the device within its kind
 * @counters:	its metrics, or NULL
 * @limiter:	its rate limiters
 * @waited:	it had something to say at the last virtio_slots.repeat
 * @mmio:	its windows: that of the command line, that of ACPI
 */
struct virtio_slot {
	const struct virtio_kind *kind;
	size_t index;
	const void *counters;
	unsigned int nr_limiters;
	struct rate_limiter *limiter[SLOT_LIMITERS_MAX];
	struct virtio_dev *dev;
	bool waited;
	struct virtio_mmio mmio[2];
};

/**
 * struct virtio_slots - all of them
 * @triggers:	counts the interrupts that this process raises
 * @paused:	the VM is
 * @repeat:	KVM's own IOAPIC drops what comes while a pin is masked, and
 *		tells nobody when it is unmasked: what a driver has not taken
 *		for SLOTS_REPEAT_NS is said again. Not set with ours
 */
struct virtio_slots {
	struct board *board;
	metric_t *triggers;
	unsigned int nr;
	bool paused;
	struct timer repeat;
	struct virtio_slot slot[LAYOUT_VIRTIO_MAX];
};

/* Tell the boot loader of the windows. Return: 0, or -ENOSPC with a sentence.
 */
int slots_describe(const struct vm_config *config, struct boot_platform *plat,
		   struct err *err) __must_check;

/* No devices yet; for slots_fini(). */
void slots_init(struct virtio_slots *slots, struct board *board,
		metric_t *triggers);

/* Make all devices and put them on the bus. Return: 0 or -errno with a
 * sentence; slots_fini() in any case. */
int slots_add(struct virtio_slots *slots, struct err *err) __must_check;

/**
 * slots_add_counters() - for make(): show a device's counters in the metrics
 * @suffix:	device id, NULL when there is at most one such device
 * @counters:	in the device; until it is freed
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int slots_add_counters(struct virtio_slots *slots,
		       const struct metric_group *group, const char *suffix,
		       const void *counters, struct err *err) __must_check;

/* Connect interrupts to KVM, and kicks when they come. After the vCPUs. Return:
 * 0 or -errno with a sentence. */
int slots_connect(struct virtio_slots *slots, struct err *err) __must_check;

/**
 * slots_unmasked() - the guest has unmasked (or moved) pin @gsi of our IOAPIC
 *
 * While a pin is masked KVM drops what comes by its irqfd; a device that still
 * has something to say says it again. Any thread.
 */
void slots_unmasked(struct virtio_slots *slots, unsigned int gsi);

/* The VM pauses or goes on; the vCPUs are parked. VMM thread. */
void slots_pause(struct virtio_slots *slots);
void slots_resume(struct virtio_slots *slots);

/* Finish what is in flight. Return: 0 or -ETIME. */
int slots_drain(struct virtio_slots *slots, uint64_t deadline_ns) __must_check;

/* All devices' state as JSON; paused and drained. */
void slots_save(struct virtio_slots *slots, struct buf *out);

/* Take it over, on devices that were just made and are paused. Return: 0 or
 * -errno with a sentence. */
int slots_load(struct virtio_slots *slots, const struct schema_raw *text,
	       struct err *err) __must_check;

void slots_fini(struct virtio_slots *slots);

/* The @index-th device of @kind; NULL when there is none. */
struct virtio_dev *slots_find(struct virtio_slots *slots,
			      const struct virtio_kind *kind, size_t index);

/**
 * slots_add_limiter() - for make(): a limiter of the device
 *
 * Sets it from the configuration; its level is saved in snapshots.
 */
void slots_add_limiter(struct virtio_slots *slots, struct rate_limiter *limiter,
		       const struct rate_limiter_config *config);

/* Set a limiter from the configuration. What is absent stays as it is. */
void slots_set_limits(struct rate_limiter *limiter,
		      const struct rate_limiter_config *config);
