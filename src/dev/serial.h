/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serial.h - 16550A UART
 *
 * Theory of operation
 *
 * Guest side: the registers of a 16550A (National Semiconductor PC16550D data
 * sheet), called on vCPU threads. Host side: console.c on the VMM thread.
 * Between them lie two bounded queues under one lock.
 *
 * Output: a byte written to THR goes into a ring of SERIAL_OUT_BYTES; the guest
 * is told at once that the transmitter is empty, so a vCPU never waits for a
 * reader. A ring that is full drops the byte and counts it. Only the change
 * from empty to not empty wakes the VMM thread: a burst costs one wake-up.
 *
 * Input: the console puts bytes into a queue of SERIAL_IN_BYTES and is refused
 * when it is full; it then stops reading its descriptor until the guest has
 * made room, which wakes the VMM thread too.
 *
 * The chip's FIFO are the first SERIAL_FIFO_BYTES of that queue, as far as the
 * guest could have seen them; the rest is still on the wire. So a guest that
 * clears the FIFO, as drivers do when they open the port, loses what the chip
 * would have lost, and not what was typed or piped ahead.
 *
 * Interrupt: one line, level inside, but on an edge-triggered pin: a cause that
 * arises anew while the line is high lowers and raises it, so that no edge is
 * lost. Causes and their priority: receive data, transmitter empty.
 */
#pragma once

#include "base/metrics.h"
#include "base/schema.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "host/token_bucket.h"

#include <pthread.h>

#define SERIAL_OUT_BYTES  65536u
#define SERIAL_IN_BYTES   4096u
#define SERIAL_FIFO_BYTES 16u

/* Firecracker's `uart` metrics. */
struct serial_metrics {
	metric_t error_count;
	metric_t flush_count;
	metric_t missed_read_count;
	metric_t missed_write_count;
	metric_t read_count;
	metric_t write_count;
	metric_t rate_limiter_dropped_bytes;
};

extern const struct metric_group serial_metric_group;

/**
 * struct serial_regs - registers
 * @thre_pending:	the transmitter-empty interrupt has not been taken
 */
struct serial_regs {
	uint8_t ier;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t fcr;
	uint8_t dll;
	uint8_t dlm;
	bool thre_pending;
};

/**
 * struct serial_state - as saved in a snapshot
 *
 * Output is not part of it: it has been sent, and whoever runs the VM that was
 * saved writes it, once.
 *
 * @input:	bytes that the guest has not read yet
 * @limit_tokens, @limit_burst:	of the output's rate limit
 */
struct serial_state {
	struct serial_regs regs;
	unsigned int nr_input;
	uint8_t input[SERIAL_IN_BYTES];
	uint64_t limit_tokens;
	uint64_t limit_burst;
};

/**
 * struct serial - @lock guards all below it
 * @wake:	wakes the VMM thread; called without the lock, any thread
 * @wake_due:	... by who unlocks
 * @in_fifo:	bytes of the input that are in the FIFO; not saved: a restored
 *		guest has seen none
 * @starved:	the console was refused and waits for room
 */
struct serial {
	struct irq_line irq;
	void (*wake)(void *ctx);
	void *wake_ctx;
	struct serial_metrics metrics;
	pthread_mutex_t lock;
	struct serial_regs regs;
	bool irq_high;
	bool wake_due;
	struct token_bucket limit;
	unsigned int out_head; /* free-running; ring index is the remainder */
	unsigned int out_tail;
	unsigned int in_head;
	unsigned int in_tail;
	unsigned int in_fifo;
	bool starved;
	uint8_t in[SERIAL_IN_BYTES];
	uint8_t out[SERIAL_OUT_BYTES];
};

extern const struct bus_ops serial_bus_ops;

/* @s is zeroed memory. */
void serial_init(struct serial *s, const struct irq_line *irq);
void serial_fini(struct serial *s);

/* Before the guest runs. */
void serial_set_wake(struct serial *s, void (*wake_fn)(void *ctx), void *ctx);
void serial_set_limit(struct serial *s, uint64_t size, uint64_t burst,
		      uint64_t refill_ms);

/**
 * serial_peek_output() - the oldest output, in one piece
 *
 * Return: bytes at *@data, 0 when there are none. They stay until
 * serial_take_output(), which is for the same (one) thread.
 */
size_t serial_peek_output(struct serial *s, const uint8_t **data);
void serial_take_output(struct serial *s, size_t len);

/**
 * serial_put_input() - give the guest what was typed
 *
 * Return: how many of @len bytes were taken; when fewer, a wake follows once
 * there is room.
 */
size_t serial_put_input(struct serial *s, const uint8_t *data, size_t len);

extern const struct schema_object serial_state_schema;

void serial_save(struct serial *s, struct serial_state *state);

/**
 * serial_load() - take over @state; the limit's rate is set before
 *
 * The line is as it was: the interrupt controller's state has its level.
 *
 * Return: 0, or -EINVAL with a sentence and nothing is changed.
 */
int serial_load(struct serial *s, const struct serial_state *state,
		struct err *err) __must_check;
