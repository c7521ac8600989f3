/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - a process of the guest that the host asked for
 *
 * It is a session of its own, with a terminal of its own or three pipes, and
 * nothing else of the agent's: no descriptor, no blocked signal.
 */
#pragma once

#include "agent/user.h"
#include "agent/wire.h"

/**
 * struct command - our ends are non-blocking, and -1 when closed
 * @in, @out:	of a terminal: twice its other end
 * @end:	a pidfd: readable when the process has ended
 */
struct command {
	pid_t pid;
	int end;
	int in;
	int out;
	int err;
	bool tty;
};

#define COMMAND_NONE \
	((struct command){.end = -1, .in = -1, .out = -1, .err = -1})

/**
 * command_start() - start it, and see it become its program
 * @user:	who it is to be
 * @how:	when that failed: AGENT_NOT_FOUND or AGENT_NO_EXEC with an
 *		errno; its @how is 0 when nothing could be tried
 *
 * Return: 0; -errno. command_close() in any case.
 */
int command_start(struct command *command, const struct agent_exec *exec,
		  const struct user *user, struct agent_exit *how) __must_check;

/**
 * command_start_deed() - the same with a function in place of a program
 * @deed:	what the process does with its streams; its value is the exit
 *		code
 * @input:	else its input is empty
 *
 * Return: 0; -errno. command_close() in any case.
 */
int command_start_deed(struct command *command, int (*deed)(const void *ctx),
		       const void *ctx, bool input) __must_check;

/* To its group; of a terminal, to the group in the foreground. */
void command_signal(const struct command *command, int number);

/* How it ended: waits for it. */
struct agent_exit command_wait(struct command *command);

/* What still runs is killed, and waited for. */
void command_close(struct command *command);
