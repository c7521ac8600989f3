/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irq.h - an interrupt line as a device sees it, and MSIs as an IOAPIC sends
 * them: interfaces only, so that devices never know which chip is behind
 */
#pragma once

#include "base/bits.h"

/**
 * struct irq_line - one input pin of whichever controller the machine has
 * @set:	drive the line; callable from any thread; edge-triggered users
 *		raise and lower, level-triggered users hold
 * @ctx:	the controller's
 * @gsi:	global system interrupt number
 */
struct irq_line {
	void (*set)(void *ctx, unsigned int gsi, bool level);
	void *ctx;
	unsigned int gsi;
};

static inline void irq_line_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->ctx, line->gsi, level);
}

static inline void irq_line_pulse(const struct irq_line *line)
{
	irq_line_set(line, true);
	irq_line_set(line, false);
}

/**
 * struct msi - a message-signalled interrupt, x86 layout (Intel SDM 3A 11.11)
 */
struct msi {
	uint64_t addr;
	uint32_t data;
};

/**
 * struct msi_sink - where an IOAPIC sends its messages
 * @send:	deliver now; any thread
 * @route:	the message that pin @gsi stands for from now on, or NULL when
 *		the pin is masked: for interrupts that the kernel raises by
 *		itself (irqfd) and for EOI reports of level-triggered pins
 */
struct msi_sink {
	void (*send)(void *ctx, const struct msi *msi);
	void (*route)(void *ctx, unsigned int gsi, const struct msi *msi);
	void *ctx;
};
