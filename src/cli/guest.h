/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.h - a command in a guest whose first process is the agent
 *
 * What `volt run IMAGE` and `volt exec` share: the way to the agent, this
 * process's terminal and signals while the command runs, and its exit code,
 * which becomes this process's: the command's own, 128 and the signal that
 * ended it, 127 when there is no such command, 126 when it cannot be run, 125
 * when it is Volt that failed.
 *
 * With -t and a terminal as input, that becomes raw: each key goes to the
 * guest's terminal, which makes signals of them. Without, the signals that this
 * process gets go to the command's process group.
 */
#pragma once

#include "cli/vmapi.h"

#include "base/args.h"
#include "client/agent_client.h"

#define GUEST_EXIT_FAILED    125
#define GUEST_EXIT_NO_EXEC   126
#define GUEST_EXIT_NOT_FOUND 127
#define GUEST_EXIT_SIGNAL    128

#define GUEST_EXITS                                                            \
	"the command's own, 128 and a signal's number when one ended it; 127 " \
	"there is no such command, 126 it cannot be run, 125 Volt failed, 64 " \
	"bad usage"

/**
 * struct guest_options - of a command line
 * @image_env:	"NAME=VALUE", NULL-terminated, or NULL: what an image has
 * @env:	likewise, or "NAME" to pass this process's own; wins
 */
struct guest_options {
	bool interactive;
	bool tty;
	const char *user;
	const char *workdir;
	char *const *image_env;
	struct arg_list env;
};

/* Rows of a page's table; they go to no other program. */
#define GUEST_ARG_INTERACTIVE(...)                                            \
	{                                                                     \
		.name = "interactive",                                        \
		.letter = 'i',                                                \
		.kind = ARG_FLAG,                                             \
		.help = "-i: the command reads this standard input; without " \
			"it, its input is empty",                             \
		__VA_ARGS__,                                                  \
	}
#define GUEST_ARG_TTY(...)                                                    \
	{                                                                     \
		.name = "tty",                                                \
		.letter = 't',                                                \
		.kind = ARG_FLAG,                                             \
		.help = "-t: the command gets a terminal of its own, of the " \
			"size of this one",                                   \
		__VA_ARGS__,                                                  \
	}
#define GUEST_ARG_ENV(...)                                                   \
	{                                                                    \
		.name = "env",                                               \
		.letter = 'e',                                               \
		.kind = ARG_LIST,                                            \
		.value = "NAME[=VALUE]",                                     \
		.help = "-e: a variable of the command's environment; "      \
			"without a value, this one's; may be given several " \
			"times",                                             \
		__VA_ARGS__,                                                 \
	}
#define GUEST_ARG_USER(default_, ...)                                        \
	{                                                                    \
		.name = "user",                                              \
		.letter = 'u',                                               \
		.kind = ARG_TEXT,                                            \
		.value = "USER[:GROUP]",                                     \
		.help = "-u: who the command is to be, names or numbers of " \
			"the guest (default: " default_ ")",                 \
		__VA_ARGS__,                                                 \
	}
#define GUEST_ARG_WORKDIR(default_, ...)                                       \
	{                                                                      \
		.name = "workdir",                                             \
		.letter = 'w',                                                 \
		.kind = ARG_TEXT,                                              \
		.value = "DIR",                                                \
		.help = "-w: the command's working folder (default: " default_ \
			")",                                                   \
		__VA_ARGS__,                                                   \
	}

#define GUEST_PATH_MAX (VMAPI_PATH_MAX + 8)

/* The vsock of VM @name, whose API is at @socket. */
void guest_path(const char *socket, char out[static GUEST_PATH_MAX]);

/**
 * guest_exec() - run @words, and be as it is
 * @words:	NULL-terminated, not empty
 *
 * What goes wrong is said. Return: an exit code; *@lost: the guest is gone.
 */
int guest_exec(struct agent_client *client, const struct guest_options *options,
	       const char **words, const struct args_page *page, bool *lost);

/* The same with streams and signals that are not this process's. Return: as
 * guest_exec(). */
int guest_exec_by(struct agent_client *client,
		  const struct guest_options *options, const char **words,
		  const struct agent_io *io, const struct args_page *page,
		  bool *lost);

/**
 * guest_attach() - be as a command that somebody holds (cli/background.h)
 * @input:	its input is this process's, if it was started with -i
 * @signals:	of this process are for it
 *
 * Ctrl-P Ctrl-Q leave a terminal, and the command as it is. What goes wrong is
 * said. Return: an exit code, 0 when it was left.
 */
int guest_attach(struct agent_client *client, bool input, bool signals,
		 const struct args_page *page);

/**
 * guest_meet() - connect to the agent of VM @name
 *
 * Return: 0, or as agent_client_open() with a sentence.
 */
int guest_meet(struct agent_client *client, const char *name,
	       struct err *err) __must_check;

/* -i and -t with what is no terminal. Return: CLI_GO_ON, or an exit code. */
int guest_check(const struct guest_options *options,
		const struct args_page *page);
