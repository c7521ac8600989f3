// SPDX-License-Identifier: Apache-2.0
/*
 * run_image.c - `volt run IMAGE`: a command in a VM of its own
 * (theory of operation: run_image.h)
 */
#include "cli/run_image.h"

#include "cli/cli.h"
#include "cli/resumed.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOOT_MS        180000
#define WARM_MS        30000
#define STEP_MS        20
#define FAST_STEP_MS   1
#define FAST_STEPS     50
#define TRY_MS         5000
#define END_MS         15000
#define TAIL_BYTES     2048
#define LOG_MIB        1
#define EXIT_TIME_OVER 166  /* of volt-vmm, by --timeout */
#define RUN_AGAIN      (-1) /* no exit code: it has to boot */

void run_image_prepare(struct run_image *run)
{
	struct launch *l = run->launch;
	char path[GUEST_PATH_MAX];

	guest_path(l->socket, path);
	(void)unlink(path); /* of a VM of this name that is gone */
	(void)snprintf(run->vsock, sizeof(run->vsock), "path=%s", path);
	launch_add(l, "vsock", run->vsock);
	if (run->bounds->log)
		return;
	(void)snprintf(run->console, sizeof(run->console), "%s.console",
		       l->socket);
	(void)unlink(run->console);
	run->bounds->log = run->console;
	run->bounds->log_mib = LOG_MIB;
	run->bounds->log_temporary = true;
}

static const char *run_image_path(const struct run_image *run)
{
	return run->vsock + strlen("path=");
}

int run_image_find_warm(struct run_image *run, const struct args *args,
			struct err *err)
{
	struct launch *l = &run->restore;
	int r = warm_find(&run->warm, run->launch, err);

	if (r < 0 || !run->warm.is_there)
		return r;
	launch_begin_again(l, run->launch);
	launch_add(l, "restore", run->warm.dir);
	launch_add(l, "vsock", run_image_path(run));
	if (run->net->on) {
		(void)snprintf(run->net_word, sizeof(run->net_word),
			       "net0=/dev/fd/%d", run->net->fd);
		launch_add(l, "net", run->net_word);
	}
	launch_add_given(l, args, LAUNCH_FOR_RESTORE);
	return l->failed ? err_set(err, -ENOMEM, "Out of memory") : 0;
}

void run_image_free(struct run_image *run)
{
	launch_free(&run->restore);
	warm_free(&run->warm);
}

/* Its last words, line by line. */
static void run_image_show_console(int console)
{
	off_t size = console < 0 ? 0 : lseek(console, 0, SEEK_END);
	char text[TAIL_BYTES + 1], *at = text, *line;
	ssize_t n;

	if (size <= 0)
		return;
	n = pread(console, text, TAIL_BYTES,
		  size > TAIL_BYTES ? size - TAIL_BYTES : 0);
	text[n > 0 ? n : 0] = '\0';
	while ((line = strsep(&at, "\r\n")))
		if (*line)
			(void)cli_complain(0, NULL, "console: %s", line);
}

static int run_image_lost(const struct run_vm *vm, int console,
			  const struct args_page *page)
{
	if (vm->pid == 0 && WIFEXITED(vm->status) &&
	    WEXITSTATUS(vm->status) == EXIT_TIME_OVER)
		return cli_complain(GUEST_EXIT_FAILED, page,
				    "the time of --timeout is over");
	run_image_show_console(console);
	if (vm->pid != 0)
		return cli_complain(GUEST_EXIT_FAILED, page,
				    "the guest has not come up in %d s",
				    BOOT_MS / 1000);
	/* Whatever signal that was, the command had no say in it. */
	if (WIFSIGNALED(vm->status))
		return cli_complain(GUEST_EXIT_SIGNAL + SIGKILL, page,
				    "the VM was ended by signal %d, and the "
				    "command with it",
				    WTERMSIG(vm->status));
	return cli_complain(GUEST_EXIT_FAILED, page,
			    "the VM ended by itself, volt-vmm's exit code is "
			    "%d",
			    WEXITSTATUS(vm->status));
}

/* Until the agent answers: before its driver runs a guest leaves a connection
 * waiting, then nobody listens for a while. Return: 0 or -errno. */
static int run_image_meet(struct run_image *run, struct run_vm *vm,
			  int *console, struct agent_client *client,
			  struct err *err)
{
	const int64_t end =
		clock_now_ms() + (run->warm.is_there ? WARM_MS : BOOT_MS);
	int r = -ECONNREFUSED, steps = 0;

	while (clock_now_ms() < end &&
	       !run_vm_ended(vm,
			     steps++ < FAST_STEPS ? FAST_STEP_MS : STEP_MS)) {
		if (*console < 0)
			*console = open(run->bounds->log,
					O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
						O_CLOEXEC);
		r = agent_client_open(client, run_image_path(run), AGENT_PORT,
				      TRY_MS, err);
		client->limit_ms = AGENT_CLIENT_LIMIT_MS;
		if (r != -ECONNREFUSED && r != -ENOENT && r != -ETIMEDOUT &&
		    r != -ECONNRESET)
			return r;
		agent_client_close(client);
		r = -ECONNREFUSED;
	}
	return r;
}

static int run_image_set_up(const struct run_image *run,
			    struct agent_client *client, struct err *err)
{
	struct agent_setup setup = {
		.name = run->launch->name,
		.flags = run->warm.is_there ? AGENT_SETUP_RESUMED : 0,
	};
	char dns[64];

	if (run->net->on) {
		net_user_dns(run->net, dns, sizeof(dns));
		setup.lines[setup.nr_lines++] = dns;
	}
	if (resumed_fill(&setup, err) < 0)
		return err->rc;
	return agent_client_setup(client, &setup, err);
}

/* The guest syncs and restarts, which ends the VM. */
static void run_image_shut_down(struct run_image *run, struct run_vm *vm)
{
	struct agent_client client;

	if (agent_client_open(&client, run_image_path(run), AGENT_PORT, END_MS,
			      NULL) == 0 &&
	    agent_client_shut_down(&client, NULL) == 0)
		(void)run_vm_ended(vm, END_MS);
	agent_client_close(&client);
}

/* Without it a guest runs as well: only a person hears of it. */
static void run_image_tell(const struct args_page *page, const char *what)
{
	if (isatty(STDERR_FILENO))
		(void)cli_complain(0, page, "%s", what);
}

/* The VM that has booted, before it is this run's; then it is met again. */
static int run_image_keep(struct run_image *run, struct run_vm *vm,
			  int *console, struct agent_client *client,
			  const struct args_page *page, struct err *err)
{
	struct err why;

	if (!run->warm.folder || run->warm.is_there)
		return 0;
	agent_client_close(client);
	if (warm_keep(&run->warm, run->launch->name, &why) < 0)
		run_image_tell(page, why.text);
	return run_image_meet(run, vm, console, client, err);
}

static int run_image_drive(struct run_image *run, struct run_vm *vm,
			   const struct args_page *page)
{
	struct agent_client client = {.fd = -1};
	cleanup_fd int console = -1; /* its log, which may lose its name */
	bool lost = false;
	struct err err;
	int code, r = run_image_meet(run, vm, &console, &client, &err);

	if (r < 0 && run->warm.is_there) {
		agent_client_close(&client);
		return RUN_AGAIN;
	}
	/* Until now a second VM could have needed it. */
	net_user_close(run->net);
	if (run->warm.is_there)
		run_image_tell(page, "from a warm start; --no-warm boots");
	if (r == 0)
		r = run_image_keep(run, vm, &console, &client, page, &err);
	if (r == -ECONNREFUSED) {
		code = run_image_lost(vm, console, page);
	} else if (r < 0 || run_image_set_up(run, &client, &err) < 0) {
		code = cli_fail(GUEST_EXIT_FAILED, page, &err);
	} else {
		code = run->background ? background_exec(run->background,
							 &client, &run->options,
							 run->words, &lost)
				       : guest_exec(&client, &run->options,
						    run->words, page, &lost);
		if (lost && run_vm_ended(vm, RUN_VM_TERM_MS))
			code = run_image_lost(vm, console, page);
		else if (!lost)
			run_image_shut_down(run, vm);
	}
	agent_client_close(&client);
	return code;
}

static int run_image_once(struct run_image *run, const struct args_page *page)
{
	struct run_vm vm = {.pidfd = -1};
	int code, r = run_vm_start(
			  &vm, run->warm.is_there ? &run->restore : run->launch,
			  run->bounds, -1,
			  run->background ? background_let_go : NULL,
			  run->background, page);

	if (r < 0)
		return cli_complain(GUEST_EXIT_FAILED, page,
				    "cannot start the VM: %s", err_name(r));
	code = run_image_drive(run, &vm, page);
	run_vm_end(&vm);
	return code;
}

int run_image_go(struct run_image *run, const struct args_page *page)
{
	int code = run_image_once(run, page);

	if (code != RUN_AGAIN)
		return code;
	(void)cli_complain(0, page,
			   "the warm start was of no use: the guest boots");
	warm_drop(&run->warm);
	return run_image_once(run, page);
}
