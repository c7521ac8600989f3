/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate_priv.h - what the parts of the gate share (theory: gate.h)
 */
#pragma once

#include "gate/gate.h"
#include "gate/lease.h"
#include "gate/load.h"
#include "gate/save.h"
#include "gate/server.h"
#include "host/allow.h"
#include "snapshot/files.h"

#include <errno.h>

/**
 * struct gate_reply - a message that waits for room on the wire
 */
struct gate_reply {
	struct wire_message m;
	unsigned int nr_fds;
	int fd[WIRE_FDS_MAX];
	size_t len;
	char text[ERR_TEXT_MAX];
	bool waits;
};

/* A drive of the VM, as it was at the lock. */
struct gate_drive {
	char *id;
	bool read_only;
};

/**
 * struct gate_save - snapshots (save.h)
 * @of, @known:	what they are of; it was told
 * @run:	of this process; 0: it has saved nothing
 * @begun:	@files are being written
 * @made:	the directory that was made for them, or NULL
 */
struct gate_save {
	struct save_base of;
	bool known;
	uint64_t run;
	bool begun;
	struct snapshot_files files;
	char *made;
};

/**
 * struct gate - the gate
 * @src:	the wire
 * @raw, @raw_len: the request in progress; in its client's buffer
 * @serial:	its number; 0: none was asked yet
 * @out:	what of it is not sent
 * @answer:	what has come of its answer
 * @reply:	nothing is read from the wire before it is out
 * @request, @nr_needs: of the request in progress; how often it was looked at
 * @load:	of the request in progress
 * @waits:	the VM was restored and its guest has not run: what it has was
 *		told, and a lease may name more (lease.h)
 * @locked:	the guest process is not believed any more
 * @lock_due:	... and gate_lock() is still to be called
 * @vsock:	prefix of the socket device's peers, NULL when there was no
 *		memory for it; the file of its listener; was it handed over?
 * @told:	0, or -ENOMEM: what was handed over does not fit into memory,
 *		and LOCKED is refused
 * @nr_dials:	since @dials_since_ns
 */
struct gate {
	struct loop loop;
	struct loop_source src;
	const struct gate_params *params;
	struct server *server;
	const char *raw;
	size_t raw_len;
	uint32_t serial;
	struct wire_text out;
	struct wire_join answer;
	struct gate_reply reply;
	struct need_request request;
	unsigned int nr_needs;
	struct load load;
	bool waits;
	bool locked;
	bool lock_due;
	struct {
		char *path;
		struct file_id file;
		bool known;
	} vsock;
	int told;
	struct gate_drive *drives;
	size_t nr_drives;
	unsigned int nr_dials;
	uint64_t dials_since_ns;
	struct gate_save save;
	struct wire_in in;
};

/* Who opens what a request names. */
static inline const struct path_opener *gate_files(const struct gate *gate)
{
	const struct allow *allow = gate->params->allow;

	return allow ? &allow->opener : &path_direct;
}

/* What --allow has refused for the request in hand, if it was that; or NULL. */
static inline const char *gate_refused(const struct gate *gate, int rc)
{
	const struct allow *allow = gate->params->allow;

	return allow && rc == -EXDEV && allow->why.rc == rc ? allow->why.text
							    : NULL;
}

/* A request is with the guest process, all of it. */
static inline bool gate_in_progress(const struct gate *gate)
{
	return gate->raw && !gate->out.going;
}

/* Serve @sock until its other end closes. Return: the exit code. */
int gate_run(struct gate *gate, int sock);

/* The same without the loop, for tests. Return: 0 or -errno; gate_end() in any
 * case. */
int gate_begin(struct gate *gate, int sock) __must_check;
void gate_end(struct gate *gate);

/**
 * gate_take() - one message of the guest process, which is gate->in
 *
 * Return: 0, or -EPROTO when it may not come now: the end.
 */
int gate_take(struct gate *gate) __must_check;

/* The calls go that only what was configured, loaded or leased needs. Return: 0
 * or -errno: the end. */
int gate_lock(struct gate *gate) __must_check;

/* Send gate->reply, at once or later. */
void gate_send_reply(struct gate *gate);

/* One kind each (open.c). Return: as gate_take(). */
int gate_take_handover(struct gate *gate) __must_check;
int gate_take_locked(struct gate *gate) __must_check;
int gate_take_need(struct gate *gate) __must_check;
int gate_take_dial(struct gate *gate) __must_check;

/* All that was told before the lock. */
void gate_forget(struct gate *gate);

/* ... and save.c. A NEED(place) has been checked as every NEED is. Return: as
 * gate_take(). */
int gate_take_base(struct gate *gate) __must_check;
int gate_take_save(struct gate *gate) __must_check;
int gate_take_saved(struct gate *gate) __must_check;
int gate_take_aborted(struct gate *gate) __must_check;

/* What was begun and not finished is given up. */
void gate_save_end(struct gate *gate);

/* Close what waits to be sent. */
void gate_reply_drop(struct gate_reply *reply);
