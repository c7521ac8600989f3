/* SPDX-License-Identifier: Apache-2.0 */
/*
 * background.h - `volt run -d`: the process that stays with a VM
 *
 * Theory of operation
 *
 *   volt run -d	makes the VM's record (vms/vms.h), forks, and waits
 *     '- the holder	a session of its own, without a terminal: it holds the
 *	  |		record's lock, has the VM for a child, and the
 *	  |		connection to its command
 *	  '- volt-vmm	ends with the holder
 *
 * Until the VM runs what is said goes to `volt run`, through a pipe that is
 * everybody's standard error; an exit code with it, and nothing is kept. Then
 * `volt run` prints the name and ends, and the pipe is the holder's to read:
 * what comes goes into the log, as the command's output does (vms/vm_log.h).
 *
 *   begin	record and lock; a name that is taken is refused
 *   fork	`volt run` waits here
 *   started	the record says so; the control socket listens
 *   end	the exit code goes into the record, or the record goes
 *
 * The control socket is NAME.sock.ctl beside the VM's API. Who connects speaks
 * frames of the agent's wire (agent/wire.h): SIGNAL is for the command, and
 * answered by DONE. The last is EXIT, when it has ended. It is in a folder of
 * this user's alone (vmapi.h), and all that comes is judged nonetheless: a
 * frame that does not fit ends its connection, and what waits for one that does
 * not read is bounded.
 *
 * Behind ATTACH a connection has the command's streams (background_attach.c):
 * what is said from then on, as the log gets it, and with -i its input, one for
 * all who attach, which stays open when they go.
 *
 * SIGTERM and SIGINT to the holder are for the command: its stop signal.
 *
 * Context: one thread.
 */
#pragma once

#include "cli/guest.h"
#include "cli/run_vm.h"

#include "vms/vm_log.h"
#include "vms/vms.h"

#define BACKGROUND_CONNS 32
/* What waits for one who attached, beyond which the command's output waits as
 * well; and how long it does so. */
#define BACKGROUND_HELD     (64u << 10)
#define BACKGROUND_STILL_MS 10000u
#define BACKGROUND_LOG      MIB(8)

/**
 * struct background_stream - output for who attached
 * @room:	that it has
 * @waits:	from @at on
 * @closed:	nobody reads it
 */
struct background_stream {
	uint32_t room;
	struct buf waits;
	size_t at;
	bool closed;
};

/**
 * struct background_conn - somebody at the control socket
 * @fd:		-1: nobody
 * @out:	frames that the socket has not taken
 * @attached:	the rest is of ATTACH
 * @types:	its input may come
 * @moved_ms:	when it took something last
 * @stream:	output, errors
 * @typed:	input on its way to the command, from @typed_at on
 */
struct background_conn {
	int fd;
	struct agent_reader in;
	struct buf out;
	bool attached;
	bool types;
	uint64_t moved_ms;
	struct background_stream stream[2];
	struct buf typed;
	size_t typed_at;
};

/**
 * struct background - owner: the holder
 * @log:	of the VM; not open until there is a holder
 * @tick:	a timer: a line that is begun has waited for its end
 * @said:	a pipe, of which standard error is the end to write
 * @ready:	a pipe to `volt run`
 * @wake:	readable when there is something to do; -1 until the VM runs
 * @still:	a timer: somebody who attached takes nothing
 * @pass:	gets a signal for the command to it; NULL: there is none
 * @resize:	likewise of its terminal
 * @has:	AGENT_EXEC_*: of the command
 * @typed:	a pipe: the command's input, all who attached write to it
 * @ctl:	path of the control socket
 */
struct background {
	const struct args_page *page;
	struct vms vms;
	struct vms_vm vm;
	struct vm_log log;
	bool begun;
	bool started;
	int said[2];
	int ready[2];
	int wake;
	int signals;
	int tick;
	int listener;
	int still;
	void (*pass)(void *ctx, int number);
	void (*resize)(void *ctx, const struct agent_size *size);
	void *pass_ctx;
	uint32_t has;
	int typed[2];
	char ctl[GUEST_PATH_MAX];
	struct background_conn conn[BACKGROUND_CONNS];
};

/**
 * struct background_ask - what the record is to say
 * @words:	of the command, NULL-terminated, or NULL
 * @ports:	likewise
 */
struct background_ask {
	const char *name;
	const char *image;
	const char *const *words;
	char *const *ports;
	int stop_signal;
	bool remove;
	bool terminal;
};

void background_init(struct background *b, const struct args_page *page);

/* Return: CLI_GO_ON, or an exit code: what is wrong was said. */
int background_begin(struct background *b, const struct background_ask *ask,
		     const struct launch *launch);

/**
 * background_fork() - go on as the holder
 *
 * Return: CLI_GO_ON in the holder; in the process that was there before an exit
 * code, when the VM runs or does not start.
 */
int background_fork(struct background *b);

/* A child that becomes the VM has nothing of it. For run_vm_start(). */
void background_let_go(void *background);

/* The VM runs. */
void background_started(struct background *b);

/* Serve what @wake has told of. */
void background_turn(struct background *b);

/* Of the VM's: into the log, and to who attached. */
void background_said(struct background *b, enum vm_log_stream stream,
		     const char *data, size_t len);

/* Somebody who attached takes less than is said: no more is to come for now. */
bool background_full(struct background *b);

/**
 * background_end() - it is over, or has not begun
 * @code:	the exit code
 *
 * Return: @code. Nothing is held any more.
 */
int background_end(struct background *b, int code);

/* As guest_exec(), for the log. Return: an exit code. */
int background_exec(struct background *b, struct agent_client *client,
		    const struct guest_options *options, const char **words,
		    bool *lost);

/**
 * background_vm() - a VM without an image, from its start to its end
 *
 * Its console goes into the log. Return: an exit code.
 */
int background_vm(struct background *b, struct launch *launch,
		  const struct bounds *bounds);
