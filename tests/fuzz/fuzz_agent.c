// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_agent.c - any bytes as what either side of the agent's wire hears
 *
 * The first byte says which: 'h', the agent hears them from a host; 'g', a host
 * from a guest, while it runs a command; 'c', while it copies; 'a', while it is
 * attached; 'b', who holds a command in the background, from who attaches. The
 * agent's commands are none here: what starts a process is replaced, or any
 * program of this machine would run.
 */
#include "agent/command.h"
#include "agent/session.h"
#include "cli/background_attach.h"
#include "cli/background_ctl.h"
#include "client/agent_client.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define fuzz_check(cond)         \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#define LIMIT_MS 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A command that reads what it is given, writes nothing and does not end. */
static int fuzz_start(struct command *command, const struct agent_exec *exec,
		      struct agent_exit *how)
{
	*command = COMMAND_NONE;
	*how = (struct agent_exit){0};
	command->tty = exec->flags & AGENT_EXEC_TTY;
	command->in = open("/dev/null", O_WRONLY | O_CLOEXEC);
	command->out = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

int command_start(struct command *command, const struct agent_exec *exec,
		  const struct user *user, struct agent_exit *how)
{
	fuzz_check(exec->nr_words > 0 && exec->words[exec->nr_words] == NULL);
	fuzz_check(exec->env[exec->nr_env] == NULL);
	fuzz_check(user->nr_groups <= USER_GROUPS_MAX);
	return fuzz_start(command, exec, how);
}

int command_start_deed(struct command *command, int (*deed)(const void *ctx),
		       const void *ctx, bool input)
{
	const struct agent_copy *copy = ctx;
	const struct agent_exec exec = {.nr_words = 1};
	struct agent_exit how;

	(void)deed;
	fuzz_check(copy->path[0] && copy->name &&
		   (copy->flags & (AGENT_COPY_IN | AGENT_COPY_OUT)));
	fuzz_check(input == ((copy->flags & AGENT_COPY_IN) != 0));
	return fuzz_start(command, &exec, &how);
}

void command_signal(const struct command *command, int number)
{
	fuzz_check(command->pid == 0 && number >= 1 && number <= 64);
}

struct agent_exit command_wait(struct command *command)
{
	(void)command;
	abort(); /* it does not end */
}

void command_close(struct command *command)
{
	fd_close(&command->in);
	fd_close(&command->out);
}

static int fuzz_setup(const struct agent_setup *setup)
{
	fuzz_check(setup->nr_lines <= AGENT_LINES_MAX);
	for (uint32_t i = 0; i < setup->nr_lines; i++)
		fuzz_check(setup->lines[i]);
	return setup->name[0] == 'f' ? -1 : 0;
}

static int fuzz_freeze(bool on)
{
	(void)on;
	return 0;
}

static int fuzz_hooks(bool resume, struct err *err)
{
	return resume ? 0 : err_set(err, -1, "no");
}

static void fuzz_end(void)
{
}

/* Both ends of a connection, and what comes on it until its end. */
static void fuzz_connect(int ends[2], const uint8_t *data, size_t size)
{
	fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ==
		   0);
	fuzz_check(fd_write_full(ends[1], data, size) == 0);
	fuzz_check(shutdown(ends[1], SHUT_WR) == 0);
}

static void fuzz_host(const uint8_t *data, size_t size)
{
	static const struct agent_place place = {
		.passwd = "/dev/null",
		.group = "/dev/null",
		.vmstat = "/dev/null",
		.setup = fuzz_setup,
		.freeze = fuzz_freeze,
		.hooks = fuzz_hooks,
		.shut_down = fuzz_end,
	};
	int ends[2];

	fuzz_connect(ends, data, size);
	(void)agent_serve(ends[0], &place);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

/* Return: as agent_client_exec(). */
static int fuzz_ask(struct agent_client *client, char what,
		    const struct agent_io *io, struct agent_exit *how)
{
	static const struct agent_copy copy = {AGENT_COPY_OUT, "x", ""};
	static const struct agent_attach attach = {0};
	const char *words[] = {"x", NULL};
	const struct agent_exec exec = {
		.folder = "", .user = "", .nr_words = 1, .words = words};
	uint32_t has;

	if (what == 'c')
		return agent_client_copy(client, &copy, io, how, NULL);
	if (what == 'g')
		return agent_client_exec(client, &exec, io, how, NULL);
	if (agent_client_attach(client, &attach, &has, NULL) < 0)
		return -1;
	return agent_client_follow(client, io, how, NULL);
}

static void fuzz_guest(char what, const uint8_t *data, size_t size)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), ends[2];
	const struct agent_io io = {
		.in = null, .out = null, .err = null, .wake = -1};
	struct agent_client client;
	struct agent_exit how = {0};
	struct err err;

	fuzz_connect(ends, data, size);
	if (agent_client_take(&client, ends[0], LIMIT_MS, &err) == 0 &&
	    fuzz_ask(&client, what, &io, &how) == 0)
		fuzz_check(how.how >= AGENT_EXITED &&
			   how.how <= AGENT_NO_EXEC && how.value < 4096);
	agent_client_close(&client);
	fd_close(&ends[1]);
	fd_close(&null);
}

/* What the command says in between waits for credit, and is bounded. */
static void fuzz_holder(const uint8_t *data, size_t size)
{
	static char piece[AGENT_DATA_MAX];
	struct background *b = calloc(1, sizeof(*b));
	struct background_conn *conn = b ? &b->conn[0] : NULL;
	int ends[2];

	fuzz_check(b);
	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++)
		b->conn[i].fd = -1;
	b->wake = b->still = -1;
	b->has = AGENT_EXEC_INPUT;
	fuzz_check(pipe2(b->typed, O_CLOEXEC | O_NONBLOCK) == 0);
	fuzz_connect(ends, data, size);
	conn->fd = ends[0];
	conn->in.side = AGENT_FROM_HOST;
	while (conn->fd >= 0) {
		background_ctl_serve(b, conn->fd);
		if (!background_full(b))
			background_attach_said(b, size & 1, piece,
					       sizeof(piece));
		fuzz_check(conn->fd < 0 ||
			   conn->typed.len <= AGENT_WINDOW + AGENT_DATA_MAX);
	}
	fd_close(&ends[1]);
	fd_close(&b->typed[0]);
	fd_close(&b->typed[1]);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	if (data[0] == 'h')
		fuzz_host(data + 1, size - 1);
	else if (data[0] == 'b')
		fuzz_holder(data + 1, size - 1);
	else if (data[0] == 'g' || data[0] == 'c' || data[0] == 'a')
		fuzz_guest((char)data[0], data + 1, size - 1);
	return 0;
}
