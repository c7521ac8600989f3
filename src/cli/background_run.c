// SPDX-License-Identifier: Apache-2.0
/*
 * background_run.c - what runs in the background: a command of an image, or a
 * VM without one (background.h)
 */
#include "cli/background.h"

#include "cli/cli.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a command of an image ---- */

/**
 * struct background_command - it runs
 */
struct background_command {
	struct background *b;
	struct agent_client *client;
	struct agent_io io;
};

static void background_woken(void *ctx, struct agent_client *client)
{
	(void)client;
	background_turn(((struct background_command *)ctx)->b);
}

static void background_take(void *ctx, enum agent_type type, const char *data,
			    size_t len)
{
	const struct background_command *c = ctx;

	background_said(c->b,
			type == AGENT_OUTPUT ? VM_LOG_OUTPUT : VM_LOG_ERRORS,
			data, len);
}

static void background_runs(void *ctx)
{
	struct background_command *c = ctx;

	background_started(c->b);
	c->io.wake = c->b->wake;
}

static void background_pass_command(void *ctx, int number)
{
	agent_client_signal(((struct background_command *)ctx)->client, number);
}

static void background_resize_command(void *ctx, const struct agent_size *size)
{
	agent_client_resize(((struct background_command *)ctx)->client, size);
}

static bool background_command_full(void *ctx)
{
	return background_full(((struct background_command *)ctx)->b);
}

/* With -i a pipe, whose other end stays: the command's input does not end. */
static int background_open_input(struct background *b,
				 const struct guest_options *options)
{
	b->has = (options->tty ? AGENT_EXEC_TTY : 0) |
		 (options->interactive ? AGENT_EXEC_INPUT : 0);
	if (!options->interactive)
		return 0;
	if (pipe2(b->typed, O_CLOEXEC) < 0 ||
	    fcntl(b->typed[1], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int background_exec(struct background *b, struct agent_client *client,
		    const struct guest_options *options, const char **words,
		    bool *lost)
{
	struct background_command c = {
		.b = b,
		.client = client,
		.io = {.out = -1,
		       .err = -1,
		       .wake = -1,
		       .woken = background_woken,
		       .take = background_take,
		       .full = background_command_full,
		       .started = background_runs,
		       .ctx = &c},
	};
	int code, r = background_open_input(b, options);

	if (r < 0)
		return cli_complain(GUEST_EXIT_FAILED, b->page,
				    "cannot make a pipe: %s", err_name(r));
	c.io.in = b->typed[0];
	b->pass = background_pass_command;
	b->resize = background_resize_command;
	/* cppcheck-suppress autoVariables ; until it goes, below */
	b->pass_ctx = &c;
	code = guest_exec_by(client, options, words, &c.io, b->page, lost);
	b->pass = NULL;
	b->resize = NULL;
	b->pass_ctx = NULL;
	return code;
}

/* ---- a VM without an image ---- */

#define BACKGROUND_LOOK_MS 50
#define BACKGROUND_CONSOLE 2048

static void background_pass_vm(void *ctx, int number)
{
	const struct run_vm *vm = ctx;

	if (vm->pid > 0)
		(void)kill(vm->pid, number);
}

/* Does its API answer? */
static void background_look(struct background *b)
{
	struct api_client api;

	if (vmapi_open(&api, b->vm.record.name, NULL) < 0)
		return;
	api_client_close(&api);
	background_started(b);
}

/* Its console. Return: false at the end. */
static bool background_console(struct background *b, int console)
{
	char text[BACKGROUND_CONSOLE];
	ssize_t n = read(console, text, sizeof(text));

	if (n > 0)
		background_said(b, VM_LOG_OUTPUT, text, (size_t)n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void background_follow(struct background *b, struct run_vm *vm,
			      int console)
{
	struct pollfd p[] = {
		{.fd = vm->pidfd, .events = POLLIN},
		{.fd = console, .events = POLLIN},
		{.fd = -1, .events = POLLIN},
	};
	bool open = true;

	while (!p[0].revents) {
		p[2].fd = b->wake;
		p[1].fd = open && !background_full(b) ? console : -1;
		if (poll(p, ARRAY_SIZE(p),
			 b->started ? -1 : BACKGROUND_LOOK_MS) < 0)
			continue;
		if (p[1].revents)
			open = background_console(b, console);
		if (p[2].revents)
			background_turn(b);
		if (!b->started)
			background_look(b);
	}
	/* What it said last; who else has the pipe says nothing. */
	(void)fcntl(console, F_SETFL, O_NONBLOCK);
	p[1].fd = open ? console : -1;
	while (open && poll(p + 1, 1, 0) > 0)
		open = background_console(b, console);
	(void)run_vm_ended(vm, -1);
}

int background_vm(struct background *b, struct launch *launch,
		  const struct bounds *bounds)
{
	struct run_vm vm = {.pidfd = -1};
	int code, r, console[2];

	if (pipe2(console, O_CLOEXEC) < 0)
		return cli_complain(1, b->page, "cannot make a pipe: %s",
				    err_name(errno));
	b->pass = background_pass_vm;
	/* cppcheck-suppress autoVariables ; until it goes, below */
	b->pass_ctx = &vm;
	r = run_vm_start(&vm, launch, bounds, console[1], background_let_go, b,
			 b->page);
	fd_close(&console[1]);
	if (r == 0)
		background_follow(b, &vm, console[0]);
	b->pass = NULL;
	b->pass_ctx = NULL;
	fd_close(&console[0]);
	fd_close(&vm.pidfd);
	if (r < 0)
		return cli_complain(1, b->page, "cannot start the VM: %s",
				    err_name(r));
	code = WIFEXITED(vm.status) ? WEXITSTATUS(vm.status)
				    : GUEST_EXIT_SIGNAL + WTERMSIG(vm.status);
	/* One that was over before anybody looked. */
	if (code == 0)
		background_started(b);
	return code;
}
