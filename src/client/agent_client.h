/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_client.h - the agent of a guest, as the host speaks to it
 *
 * Theory of operation
 *
 * A connection is one errand of agent/wire.h: agent_client_open() greets, then
 * comes one call. The way to the guest is the Unix socket of the VM's vsock
 * device: "CONNECT PORT\n", answered by "OK N\n" when the guest listens.
 *
 * The guest is taken for hostile. Nothing that it sends costs more than this:
 *
 *   memory	one frame, and of each stream AGENT_WINDOW bytes that its reader
 *		has not taken; what waits to be sent to a guest that does not
 *		read is bounded as well, for then no more is read for it
 *   time	a call has @limit_ms; a command has what its caller gives it
 *   disk	nothing is written but what goes to the caller's descriptors
 *   words	a sentence of its is cleaned, and said to be the guest's
 *
 * What breaks a rule of the wire ends the connection with -EPROTO. Bytes of the
 * command's output are passed on as they are: they are the command's own.
 *
 * Context: one thread a client. The caller ignores SIGPIPE.
 */
#pragma once

#include "agent/wire.h"
#include "base/err.h"

#define AGENT_CLIENT_LIMIT_MS 30000

/**
 * struct agent_client - a connection
 * @fd:		-1 when there is none
 * @version:	that the agent speaks
 * @out:	frames not sent yet, from @sent on
 */
struct agent_client {
	int fd;
	uint16_t version;
	unsigned int limit_ms;
	struct agent_reader in;
	struct buf out;
	size_t sent;
};

/**
 * agent_client_open() - connect to port @port behind the vsock at @path
 * @limit_ms:	of this and of each call
 *
 * Return: 0; -ECONNREFUSED and -ENOENT when nobody listens (yet); -ETIMEDOUT;
 * -EPROTO; -errno; with a sentence. agent_client_close() in any case.
 */
int agent_client_open(struct agent_client *client, const char *path,
		      unsigned int port, unsigned int limit_ms,
		      struct err *err) __must_check;

/* The same on a connected socket, which is taken over. Return: as above. */
int agent_client_take(struct agent_client *client, int fd,
		      unsigned int limit_ms, struct err *err) __must_check;

/* Twice is once. */
void agent_client_close(struct agent_client *client);

/* SETUP. Return: 0, or -errno with a sentence. */
int agent_client_setup(struct agent_client *client,
		       const struct agent_setup *setup,
		       struct err *err) __must_check;

/* SHUTDOWN: the machine restarts. Return: as above. */
int agent_client_shut_down(struct agent_client *client,
			   struct err *err) __must_check;

/* QUIESCE: the file systems are frozen until the thaw, the end of the
 * connection or @ms. Return: as above. */
int agent_client_freeze(struct agent_client *client, unsigned int ms,
			struct err *err) __must_check;

/* RESUME. Return: as above; the guest may have thawed by itself. */
int agent_client_thaw(struct agent_client *client,
		      struct err *err) __must_check;

/*
 * The next two are for a process that speaks the agent's wire for a command
 * that it holds (cli/background.h).
 */

/* SIGNAL, which is answered. Return: as above. */
int agent_client_kill(struct agent_client *client, int number,
		      struct err *err) __must_check;

/* The EXIT of a command that somebody else has started. Return: as above. */
int agent_client_await(struct agent_client *client, struct agent_exit *exit,
		       struct err *err) __must_check;

/**
 * struct agent_io - what a command's streams are here
 * @in:		-1: none
 * @out, @err:	written to in pieces that a pipe takes at once; -1: to nobody
 * @take:	gets each piece of AGENT_OUTPUT or AGENT_ERRORS as well; may be
 *		NULL
 * @full:	no more is to come for now; may be NULL
 * @typed:	gets each piece of input before it goes, and may change it: room
 *		is for one byte more; false: it is enough, and the call returns
 *		-ECANCELED; may be NULL
 * @started:	the command runs; may be NULL
 * @wake:	a descriptor that is readable when @woken wants to be called;
 *		-1: none
 */
struct agent_io {
	int in;
	int out;
	int err;
	int wake;
	void (*woken)(void *ctx, struct agent_client *client);
	void (*take)(void *ctx, enum agent_type type, const char *data,
		     size_t len);
	bool (*full)(void *ctx);
	bool (*typed)(void *ctx, char *data, size_t *len);
	void (*started)(void *ctx);
	void *ctx;
};

/**
 * agent_client_exec() - run a command, until it has ended
 * @exit:	how it ended
 *
 * Return: 0; -EPROTO; -ECONNRESET when the guest is gone; -errno; with a
 * sentence.
 */
int agent_client_exec(struct agent_client *client,
		      const struct agent_exec *exec, const struct agent_io *io,
		      struct agent_exit *exit, struct err *err) __must_check;

/* COPY, until it has ended: the tree is its output or its input. Return: as
 * above; -EPROTONOSUPPORT with an agent that is too old. */
int agent_client_copy(struct agent_client *client,
		      const struct agent_copy *copy, const struct agent_io *io,
		      struct agent_exit *exit, struct err *err) __must_check;

/**
 * agent_client_attach() - ATTACH to a command that somebody else holds
 * @flags:	AGENT_EXEC_*: what the command has
 *
 * Return: 0; -EPROTONOSUPPORT; -errno; with a sentence.
 */
int agent_client_attach(struct agent_client *client,
			const struct agent_attach *attach, uint32_t *flags,
			struct err *err) __must_check;

/* Behind it, until the command has ended. Return: as agent_client_exec(). */
int agent_client_follow(struct agent_client *client, const struct agent_io *io,
			struct agent_exit *exit, struct err *err) __must_check;

/* While a command runs, of @woken. One too many is dropped. */
void agent_client_signal(struct agent_client *client, int number);
void agent_client_resize(struct agent_client *client,
			 const struct agent_size *size);
