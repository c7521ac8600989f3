/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irq_log.h - an interrupt line that remembers, for device tests
 */
#pragma once

#include "bus/irq.h"

struct irq_log {
	unsigned int rises;
	bool high;
};

static inline void irq_log_set(void *ctx, unsigned int gsi, bool level)
{
	struct irq_log *log = ctx;

	(void)gsi;
	if (level && !log->high)
		log->rises++;
	log->high = level;
}

static inline struct irq_line irq_log_line(struct irq_log *log)
{
	return (struct irq_line){irq_log_set, log, 0};
}
