/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interrupts.h - one kind of line for the devices, two kinds of chip below
 *
 * Split irqchip: our IOAPIC (dev/ioapic.h), whose messages KVM takes. Full:
 * KVM's chips. Virtio devices raise theirs by an irqfd (vm/slots.h).
 *
 * Counted is what this process raises: not what vhost-net does in the kernel.
 */
#pragma once

#include "base/metrics.h"
#include "bus/irq.h"
#include "dev/ioapic.h"
#include "vm/slots.h"

/* Firecracker's `interrupts` metrics. */
struct interrupts_metrics {
	metric_t triggers;
	metric_t config_updates;
};

/**
 * struct interrupts - the chip of a machine
 * @ioapic:	split irqchip only
 */
struct interrupts {
	struct kvm_vm *kvm_vm;
	struct virtio_slots *slots;
	struct ioapic ioapic;
	struct interrupts_metrics metrics;
};

extern const struct metric_group interrupts_metric_group;

/* The line of a device that has pin @gsi. */
struct irq_line interrupts_line(struct interrupts *in, unsigned int gsi);

/* Where our IOAPIC's messages go. */
struct msi_sink interrupts_sink(struct interrupts *in);

/* The guest's end of interrupt for a level-triggered @vector. Any thread. */
void interrupts_eoi(struct interrupts *in, uint8_t vector);
