/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h - the guest process's end of the wire
 *
 * Theory of operation
 *
 * The guest process does what a request says on its VMM thread, as it does
 * everything; the loop brings it requests, and takes its answers away as far as
 * the gate reads them. Nothing here waits for the gate, but gate_link_call(): a
 * handler that needs a descriptor stands still until the gate has opened it, as
 * long as GATE_CALL_MS. Who knows what it will ask for says so ahead
 * (gate_link_ahead()): the gate opens one while the other is being read. So a
 * gate that is stopped or slow costs who asks it, and the guest no more than
 * that; one that is gone ends the VM.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "base/metrics.h"
#include "gate/wire.h"
#include "host/loop.h"

#include <sys/types.h>

/* How long a call waits; what brings names to a disk may take longer. */
#define GATE_CALL_MS  10000
#define GATE_SAVED_MS 60000

/**
 * struct gate_link_ops - what comes from the gate
 * @request:	carry out a request: its head and body, @len bytes at @raw,
 *		valid until gate_link_answer(), which may be called from within
 * @dialed:	to gate_link_dial() @port: 0 and a socket that is the
 *		receiver's, or -errno. May come during gate_link_call()
 * @note:	text number @note, for the log; @text may be empty
 * @gone:	the gate is no more, and nobody asked it to go
 */
struct gate_link_ops {
	void (*request)(void *ctx, const char *raw, size_t len);
	void (*dialed)(void *ctx, uint32_t port, int rc, int fd);
	void (*note)(void *ctx, uint32_t note, int rc, const char *text);
	void (*gone)(void *ctx);
};

/**
 * struct gate_counters - what passes between the halves, as this one sees it
 * @requests_count:	of clients, whole and carried out
 * @opens_count, @open_fails: what a request names: opened, or refused
 * @dials_count, @dial_fails: of the guest, to the host; the ones in flight are
 *			in neither fails nor a connection yet
 * @dialed_count:	dials that were answered
 * @timeouts_count:	calls that the gate did not answer in their time
 * @wait_agg:		how long the VMM thread stood still for an answer
 * @clients_refused, @clients_slow, @malformed_count: connections that found no
 *			place, or did not go on; requests that were none
 */
struct gate_counters {
	metric_t requests_count;
	metric_t opens_count;
	metric_t open_fails;
	metric_t dials_count;
	metric_t dialed_count;
	metric_t dial_fails;
	metric_t timeouts_count;
	metric_t clients_refused;
	metric_t clients_slow;
	metric_t malformed_count;
	struct metric_agg wait_agg;
};

/* Group `volt_gate`, of struct gate_counters. */
extern const struct metric_group gate_metric_group;

#define GATE_AHEAD_MAX 8u

/**
 * struct gate_ahead - a NEED that was sent, and that nobody waits for yet
 */
struct gate_ahead {
	uint32_t value;
	uint32_t serial;
};

/**
 * struct gate_link - to the gate
 * @pid:	of the gate
 * @request:	that is coming, or in progress
 * @answer:	owned, while @out sends it
 * @call_ms:	GATE_CALL_MS, but for tests
 * @calls:	how many were made: the number of the last one
 * @awaited:	the number of the one that is being made
 * @ahead:	@nr_ahead of them, in the order in which they were sent
 * @calling:	one is being made
 * @held:	@request came meanwhile, and waits for the loop
 */
struct gate_link {
	struct loop_source src;
	struct loop *loop;
	pid_t pid;
	uint64_t request_max;
	uint64_t call_ms;
	const struct gate_link_ops *ops;
	void *ctx;
	struct wire_join request;
	struct buf answer;
	struct wire_text out;
	uint32_t calls;
	uint32_t awaited;
	struct gate_ahead ahead[GATE_AHEAD_MAX];
	unsigned int nr_ahead;
	bool in_progress;
	bool calling;
	bool held;
	bool gone;
	struct gate_counters counters;
	struct wire_in in;
};

/**
 * gate_link_open() - take over the end @sock of a wire
 * @request_max: the longest request, head and body
 *
 * Return: 0 or -errno; @sock is closed then.
 */
int gate_link_open(struct gate_link *link, struct loop *loop, int sock,
		   uint64_t request_max, const struct gate_link_ops *ops,
		   void *ctx) __must_check;

/**
 * gate_link_answer() - to the request in progress
 * @body:	its text is taken over, and it becomes empty
 */
void gate_link_answer(struct gate_link *link, int status, bool deprecated,
		      struct buf *body);

/**
 * gate_link_tell() - a message that the gate does not answer
 *
 * Return: 0; -ETIMEDOUT: the gate does not read; -errno.
 */
int gate_link_tell(struct gate_link *link, enum wire_kind kind, uint32_t value,
		   const void *tail, size_t len) __must_check;

/**
 * gate_link_call() - a message, and what the gate says to it
 * @kind:	WIRE_NEED, WIRE_SAVED or WIRE_LOCKED
 * @err:	what the gate says when it fails
 *
 * Return: 0: *@reply is in the link, until the next message; with a sentence
 * -ETIMEDOUT: no answer in its time, -errno of the gate.
 */
int gate_link_call(struct gate_link *link, enum wire_kind kind, uint32_t value,
		   const void *tail, size_t len, struct wire_in **reply,
		   struct err *err) __must_check;

/**
 * gate_link_ahead() - calls of kind WIRE_NEED that will be made, in this order
 * @values:	@nr of them; those beyond GATE_AHEAD_MAX are not sent ahead
 *
 * A call of another value forgets what was sent ahead: what comes for it is
 * closed.
 */
void gate_link_ahead(struct gate_link *link, const uint32_t *values,
		     unsigned int nr);

/* Return: 0, and the answer comes; -EAGAIN: try again later; -errno. */
int gate_link_dial(struct gate_link *link, uint32_t port) __must_check;

/**
 * gate_link_close() - let the gate end, and wait for it
 *
 * It reads first what it was sent. One that does not end within a second is not
 * waited for. @link->src.fd may be -1: there is none.
 */
void gate_link_close(struct gate_link *link);
