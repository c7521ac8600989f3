/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - the host's end of the serial port
 *
 * Theory of operation
 *
 * Runs on the VMM thread. Output goes to stdout or a file and must never block
 * the loop, whoever is behind: a pipe that nobody reads, a terminal that is
 * stopped, a reader that died (base/sink.h). When the sink is full the loop
 * waits for EPOLLOUT and the serial port's ring takes what comes, then drops
 * and counts. A sink that fails for good is given up; the VM goes on. A guest
 * writes as fast as we do: one callback moves at most CONSOLE_ROUND_BYTES, in
 * at most CONSOLE_ROUND_WRITES pieces, then the loop goes round.
 *
 * Input comes from stdin, if there is one. On a terminal it is raw, and Ctrl-A
 * is the escape: Ctrl-A x ends the VM, Ctrl-A Ctrl-A is a Ctrl-A, Ctrl-A h
 * helps. The terminal is put back on every way out: console_fini(), and
 * console_restore_tty() for signal handlers. What the serial port does not take
 * stays in the kernel: the source is removed until the guest has read (a
 * hung-up pipe would otherwise spin). End of file ends input, nothing else.
 */
#pragma once

#include "base/sink.h"
#include "dev/serial.h"
#include "host/loop.h"

#include <stdatomic.h>

#define CONSOLE_CHUNK        4096u
#define CONSOLE_ROUND_BYTES  SERIAL_OUT_BYTES
#define CONSOLE_ROUND_WRITES 64u

/**
 * struct console_callbacks - what the machine wants to know
 * @escape:	the person typed Ctrl-A x
 * @output:	bytes reached the sink (called for each write)
 */
struct console_callbacks {
	void (*escape)(void *ctx);
	void (*output)(void *ctx);
	void *ctx;
};

/**
 * struct console_params - what a console is made from
 * @out:	where the output goes; taken over in any case
 * @terminal:	where the person reads: stderr; outlives the console, or NULL
 * @use_stdin:	read stdin
 */
struct console_params {
	struct sink out;
	const struct sink *terminal;
	bool use_stdin;
	struct console_callbacks callbacks;
};

/**
 * struct console - owner: the VMM thread
 * @out:	watches @sink while it is full
 * @wake:	eventfd: the serial port has output, or room again
 * @held:	input that the serial port refused
 */
struct console {
	struct loop *loop;
	struct serial *serial;
	struct console_callbacks callbacks;
	struct sink sink;
	const struct sink *terminal;
	struct loop_source wake;
	struct loop_source out;
	struct loop_source in;
	bool raw;
	bool escaped;
	bool in_pollable;
	bool in_open;
	size_t held_len;
	uint8_t held[CONSOLE_CHUNK];
};

/**
 * console_init() - connect @serial with the host
 * @con:	zeroed
 *
 * Return: 0 or -errno with a sentence.
 */
int console_init(struct console *con, struct loop *loop, struct serial *serial,
		 struct console_params *params, struct err *err) __must_check;

/* Begin to read input: once the machine can be ended by it. Return: 0 or -errno
 * with a sentence. */
int console_start_input(struct console *con, struct err *err) __must_check;

/**
 * console_fini() - write out what is left and put the terminal back
 *
 * A sink that takes nothing for a second, or not all in five, loses the rest.
 * Call it when no vCPU runs any more. Accepts a zeroed or half-built console.
 */
void console_fini(struct console *con);

/* Put the terminal back. Async-signal-safe; harmless when it never changed. */
void console_restore_tty(void);
