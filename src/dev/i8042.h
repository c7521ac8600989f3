/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8042.h - keyboard controller: a reset line, and Ctrl-Alt-Del
 *
 * Theory of operation
 *
 * Enough of a controller with a keyboard behind it that Linux probes it without
 * a time-out, and no more. Bytes for the guest wait in a bounded queue; each
 * that becomes readable raises IRQ 1 once (edge). The keyboard answers every
 * command at once. So does the controller, and its answer takes the place of
 * whatever still waits: a driver that asked takes the next byte for the answer,
 * and one that never came costs it half a second of reads of the status.
 *
 * There is no aux port, and the commands for one say so at once: what is looped
 * through it (0xd3) comes back as a byte of the keyboard's, the test of it
 * (0xa9) finds a line stuck, its device (0xd4) refuses, and bit 5 of the
 * command byte stays as it was (0xa7, 0xa8). Scan codes are set 2, or set 1
 * when the guest has switched the controller's translation on. Command 0xfe
 * pulses the reset line: the VM's end. Called on vCPU threads and, for
 * Ctrl-Alt-Del, on the VMM thread; one lock guards all.
 */
#pragma once

#include "base/metrics.h"
#include "base/schema.h"
#include "bus/bus.h"
#include "bus/irq.h"

#include <pthread.h>

#define I8042_QUEUE 16u

/* Firecracker's `i8042` metrics. */
struct i8042_metrics {
	metric_t error_count;
	metric_t missed_read_count;
	metric_t missed_write_count;
	metric_t read_count;
	metric_t reset_count;
	metric_t write_count;
};

extern const struct metric_group i8042_metric_group;

/**
 * struct i8042_state - registers, as saved in a snapshot
 * @pending:	controller command that waits for its data byte, 0 for none
 * @kbd_pending:	keyboard command that waits for its argument
 * @control:	command byte (bit 0: IRQ 1 on; bit 6: translate)
 */
struct i8042_state {
	uint8_t pending;
	uint8_t kbd_pending;
	uint8_t control;
	uint8_t output;
	unsigned int nr_queued;
	uint8_t queue[I8042_QUEUE];
};

struct i8042 {
	struct irq_line irq;
	void (*reset)(void *ctx);
	void *ctx;
	struct i8042_metrics metrics;
	pthread_mutex_t lock;
	struct i8042_state regs;
};

/* Both ports are one byte each: the data port and the command port. */
extern const struct bus_ops i8042_data_ops;
extern const struct bus_ops i8042_command_ops;

void i8042_init(struct i8042 *k, const struct irq_line *irq,
		void (*reset)(void *ctx), void *ctx);
void i8042_fini(struct i8042 *k);

/* Return: 0, -ENOSPC when the guest has not read what is queued. */
int i8042_send_ctrl_alt_del(struct i8042 *k) __must_check;

extern const struct schema_object i8042_state_schema;

void i8042_save(struct i8042 *k, struct i8042_state *state);

/* Return: 0, or -EINVAL with a sentence and nothing is changed. */
int i8042_load(struct i8042 *k, const struct i8042_state *state,
	       struct err *err) __must_check;
