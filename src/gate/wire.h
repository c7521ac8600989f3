/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - what the two halves of the process say to each other
 *
 * Theory of operation
 *
 * The gate and the guest process have the two ends of one AF_UNIX socket pair
 * of type SOCK_SEQPACKET: a message arrives whole, in order, or not at all. A
 * message is a head of fixed size and, for some kinds, up to WIRE_PIECE bytes
 * behind it. What is longer (a client's request, its answer) goes in pieces
 * that are all full but the last, so that their number is bounded by the
 * length, which the first piece tells.
 *
 *   from the gate
 *     REQUEST     a piece of a client's request, as it came
 *     DESCRIPTOR  to a NEED: descriptors, or an errno with its sentence
 *     DONE        to SAVED and LOCKED: 0, or an errno with its sentence; a
 *                 LOCKED(WIRE_RUNS) behind a LOCKED(WIRE_WAITS) has none
 *     DIALED      to a DIAL: a connected socket, or an errno
 *     NOTE        a line for the log; the gate has none
 *   from the guest process
 *     HANDOVER    what the gate has to know of the VM; before LOCKED only
 *     LOCKED      the guest is about to run, or waits: believe nothing from
 *                 here on
 *     ANSWER      a piece of the answer to the request in progress
 *     NEED        open what the request in progress names in this field
 *     SAVED       the files of a snapshot are written: let them take their
 *                 names
 *     ABORTED     they are not: remove them
 *     DIAL        connect to this port of the socket device's host
 *
 * A request is in progress from its last piece until the last piece of its
 * answer; there is one at a time. @serial tells which message of the other side
 * is answered: of a REQUEST its number, of NEED, SAVED and LOCKED that of the
 * call. A DIAL is answered by its port. What a kind does not use is zero.
 *
 * After LOCKED the guest process may be in the hands of the guest. Whatever it
 * sends that is not of this form, or not at its time, ends the gate, and with
 * it the other half. It never sends a path, and no descriptor at all.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define WIRE_PIECE   16384u
#define WIRE_FDS_MAX 3u

/* Beside the status of an ANSWER. */
#define WIRE_DEPRECATED (1u << 16)

enum wire_kind {
	WIRE_NONE,
	WIRE_REQUEST,
	WIRE_DESCRIPTOR,
	WIRE_DONE,
	WIRE_DIALED,
	WIRE_NOTE,
	WIRE_HANDOVER,
	WIRE_LOCKED,
	WIRE_ANSWER,
	WIRE_NEED,
	WIRE_SAVED,
	WIRE_ABORTED,
	WIRE_DIAL,
	WIRE_NR_KINDS,
};

/* What a LOCKED tells: its @value. */
enum wire_locked {
	WIRE_RUNS,  /* the guest is about to run: behind WIRE_WAITS no answer */
	WIRE_WAITS, /* it was restored, and waits for its lease (lease.h) */
};

/* What a HANDOVER tells: its @value. */
enum wire_handover {
	WIRE_VSOCK = 1, /* struct wire_vsock, then the path */
	WIRE_DRIVE,     /* the id of one that is written to */
	WIRE_DRIVE_RO,  /* ... of one that is read only */
	WIRE_SAVES,     /* struct save_base (save.h); the first of them */
};

enum wire_side {
	WIRE_GATE = 1,
	WIRE_GUEST,
};

/**
 * struct wire_message - the head of every message
 * @kind:	enum wire_kind
 * @serial:	which request or call it belongs to
 * @value:	of the kind: status, field, port, text number
 * @rc:		0 or -errno
 * @total:	of a text in pieces: its length
 * @at:		... and where this piece begins
 */
struct wire_message {
	uint32_t kind;
	uint32_t serial;
	uint32_t value;
	int32_t rc;
	uint64_t total;
	uint64_t at;
};
static_assert(sizeof(struct wire_message) == 32, "no holes");

/* Of the socket device: which file its listener is. */
struct wire_vsock {
	uint64_t dev;
	uint64_t ino;
};

/**
 * struct wire_in - a message that came
 * @len:	bytes of @tail
 * @fd:		@nr_fds of them; whoever takes one leaves -1
 * @m, @tail:	as they came: one behind the other
 */
struct wire_in {
	size_t len;
	unsigned int nr_fds;
	int fd[WIRE_FDS_MAX];
	struct wire_message m;
	char tail[WIRE_PIECE];
};
static_assert(offsetof(struct wire_in, tail) ==
		      offsetof(struct wire_in, m) + sizeof(struct wire_message),
	      "received as one");

/* The two ends, non-blocking. Return: 0 or -errno. */
int wire_pair(int ends[static 2]) __must_check;

/**
 * wire_send() - one message, at once
 * @tail:	@len bytes behind the head
 * @fds:	@nr_fds descriptors, which stay the caller's; then a tail has at
 *		most ERR_TEXT_MAX bytes
 *
 * Return: 0; -EAGAIN when there is no room; -EPIPE when nobody is there;
 * -errno.
 */
int wire_send(int sock, const struct wire_message *m, const void *tail,
	      size_t len, const int *fds, unsigned int nr_fds) __must_check;

/**
 * wire_recv() - the next message, if there is one
 * @from:	whose it has to be
 *
 * Return: 0; -EAGAIN; -EPIPE at the end; -EPROTO for what is no message of that
 * side, or has descriptors for which this process has no number left (they are
 * closed); -errno.
 */
int wire_recv(int sock, enum wire_side from, struct wire_in *in) __must_check;

/* Close what nobody took. */
void wire_in_drop(struct wire_in *in);

/**
 * struct wire_text - a text on its way out, in pieces; zeroed, there is none
 * @m:		the head that they share
 * @data:	borrowed
 */
struct wire_text {
	struct wire_message m;
	const char *data;
	bool going;
};

/* @m: copied; @data: @len bytes, borrowed until all is out. */
void wire_text_begin(struct wire_text *text, const struct wire_message *m,
		     const char *data, size_t len);

/* Send what there is room for. Return: 0: all is out; as wire_send(). */
int wire_text_send(int sock, struct wire_text *text) __must_check;

/**
 * struct wire_join - a text that comes in pieces; zeroed for a new one
 * @m:		the head of its first piece
 * @got:	bytes that came
 * @lost:	there was no memory for it: @text is empty
 */
struct wire_join {
	struct wire_message m;
	struct buf text;
	uint64_t got;
	bool begun;
	bool lost;
};

/**
 * wire_join_add() - the next piece
 * @max:	the longest text that may come
 *
 * Without memory it goes on all the same, as the other side does not stop.
 *
 * Return: 1: complete, perhaps lost; 0: more has to come; -EPROTO: it is not
 * the next piece.
 */
int wire_join_add(struct wire_join *join, const struct wire_in *in,
		  uint64_t max) __must_check;

/* Ready for the next text; a little of the memory stays. */
void wire_join_reset(struct wire_join *join);
void wire_join_free(struct wire_join *join);
