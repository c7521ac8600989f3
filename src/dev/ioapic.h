/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioapic.h - I/O APIC of the split irqchip
 *
 * Theory of operation
 *
 * Register model of the 82093AA with the EOI register of later parts
 * (version 0x20): 24 pins, of which the version register tells the guest as
 * many as it has use for (ioapic_show_pins()), each with a redirection entry
 * that names vector, delivery mode, destination, trigger mode and mask. There
 * is no bus behind it: an interrupt leaves as an MSI (Intel SDM 3A 11.11)
 * through struct msi_sink, to the LAPICs in the kernel.
 *
 * Edge pins send on a rising line. Level pins send while the line is high and
 * remote IRR is clear; sending sets it, the guest's EOI (ioapic_eoi(), or a
 * write of the EOI register) clears it and the pin is looked at again. An edge
 * on a masked pin is lost, as the data sheet has it; polarity is ignored, as in
 * all KVM irqchips: devices here know only asserted and not asserted.
 *
 * The kernel raises some pins by itself (irqfd), so every change of what a pin
 * stands for is told to sink->route.
 *
 * Lock order: a device's lock, then this one, then nothing of ours.
 */
#pragma once

#include "base/schema.h"
#include "bus/bus.h"
#include "bus/irq.h"

#include <pthread.h>

#define IOAPIC_PINS      24u
#define IOAPIC_MSI_LEVEL (1u << 15) /* in struct msi.data: level-triggered */

/**
 * struct ioapic_state - registers, as saved in a snapshot
 * @level:	bit per pin: the line is high
 */
struct ioapic_state {
	uint8_t select;
	uint8_t id;
	uint32_t level;
	uint64_t entry[IOAPIC_PINS];
};

struct ioapic {
	struct msi_sink sink;
	unsigned int nr_shown;
	pthread_mutex_t lock;
	struct ioapic_state regs;
};

/* Registers at 0xfec00000: index at 0x00, window at 0x10, EOI at 0x40. */
extern const struct bus_ops ioapic_bus_ops;

void ioapic_init(struct ioapic *io, const struct msi_sink *sink);
void ioapic_fini(struct ioapic *io);

/**
 * ioapic_show_pins() - what the version register says from now on
 * @nr:	1 to IOAPIC_PINS
 *
 * The other pins work all the same: a guest from a snapshot may know of them.
 * Before the guest runs.
 */
void ioapic_show_pins(struct ioapic *io, unsigned int nr);

/* Drive pin @pin. Any thread; pins that do not exist are ignored. */
void ioapic_set_level(struct ioapic *io, unsigned int pin, bool level);

/* A CPU finished @vector (KVM_EXIT_IOAPIC_EOI). Any thread. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

extern const struct schema_object ioapic_state_schema;

void ioapic_save(struct ioapic *io, struct ioapic_state *state);

/**
 * ioapic_load() - take over @state and tell its routes to the sink
 *
 * Sends nothing: what a pin had to send it has sent, and the LAPICs' state
 * holds it.
 *
 * Return: 0, or -EINVAL with a sentence and nothing is changed.
 */
int ioapic_load(struct ioapic *io, const struct ioapic_state *state,
		struct err *err) __must_check;
