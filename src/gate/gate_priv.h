/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate_priv.h - what the parts of the gate share (theory: gate.h)
 */
#pragma once

#include "gate/gate.h"
#include "gate/server.h"

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

/**
 * struct gate - the gate
 * @src:	the wire
 * @raw, @raw_len: the request in progress; in its client's buffer
 * @serial:	its number; 0: none was asked yet
 * @out:	what of it is not sent
 * @answer:	what has come of its answer
 * @reply:	nothing is read from the wire before it is out
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
	bool locked;
	struct wire_in in;
};

/* Serve @sock until its other end closes. Return: the exit code. */
int gate_run(struct gate *gate, int sock);

/**
 * gate_take() - one message of the guest process, which is gate->in
 *
 * Return: 0, or -EPROTO when it may not come now: the end.
 */
int gate_take(struct gate *gate) __must_check;

/* Send gate->reply, at once or later. */
void gate_send_reply(struct gate *gate);
