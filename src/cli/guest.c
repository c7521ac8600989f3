// SPDX-License-Identifier: Apache-2.0
/*
 * guest.c - a command in a guest whose first process is the agent (guest.h)
 */
#include "cli/guest.h"

#include "cli/cli.h"

#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

void guest_path(const char *socket, char out[static GUEST_PATH_MAX])
{
	(void)snprintf(out, GUEST_PATH_MAX, "%s.vsock", socket);
}

int guest_meet(struct agent_client *client, const char *name, struct err *err)
{
	char socket[VMAPI_PATH_MAX], path[GUEST_PATH_MAX];
	struct api_client api;
	int r = vmapi_check_name(name, err);

	if (r == 0)
		r = vmapi_open(&api, name, err);
	if (r < 0)
		return r;
	api_client_close(&api);
	r = vmapi_socket(name, socket, false, err);
	if (r < 0)
		return r;
	guest_path(socket, path);
	r = agent_client_open(client, path, AGENT_PORT, AGENT_CLIENT_LIMIT_MS,
			      err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return err_set(err, r,
			       "VM %s has no agent: it was not started by "
			       "`volt run IMAGE`, or its guest has not booted "
			       "yet",
			       name);
	return r;
}

int guest_check(const struct guest_options *options,
		const struct args_page *page)
{
	if (options->interactive && options->tty && !isatty(STDIN_FILENO))
		return cli_misuse(page, "standard input is no terminal, which "
					"-i and -t together need");
	return CLI_GO_ON;
}

/**
 * struct guest_here - this process while a command runs
 * @raw:	@before is to be set again
 * @held:	the first of the keys that detach was typed
 */
struct guest_here {
	int signals;
	bool raw;
	bool held;
	struct termios before;
	sigset_t mask;
};

static struct agent_size guest_size(void)
{
	struct winsize w = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0)
		(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &w);
	return (struct agent_size){w.ws_row, w.ws_col};
}

static void guest_woken(void *ctx, struct agent_client *client)
{
	const struct guest_here *here = ctx;
	struct signalfd_siginfo info;
	struct agent_size size;

	if (read(here->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	size = guest_size();
	if (info.ssi_signo == SIGWINCH)
		agent_client_resize(client, &size);
	else
		agent_client_signal(client, (int)info.ssi_signo);
}

/* Return: 0 or -errno. */
static int guest_begin(struct guest_here *here,
		       const struct guest_options *options, bool signals)
{
	static const int passed[] = {SIGWINCH, SIGINT,  SIGTERM, SIGHUP,
				     SIGQUIT,  SIGUSR1, SIGUSR2};
	struct termios raw;
	sigset_t set;

	*here = (struct guest_here){.signals = -1};
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	for (size_t i = 0; i < (signals ? ARRAY_SIZE(passed) : 1); i++)
		(void)sigaddset(&set, passed[i]);
	(void)sigprocmask(SIG_BLOCK, &set, &here->mask);
	here->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (here->signals < 0)
		return -errno;
	if (!options->tty || !options->interactive ||
	    tcgetattr(STDIN_FILENO, &here->before) < 0)
		return 0;
	raw = here->before;
	cfmakeraw(&raw);
	here->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	return 0;
}

static void guest_end(struct guest_here *here)
{
	if (here->raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &here->before);
	fd_close(&here->signals);
	(void)sigprocmask(SIG_SETMASK, &here->mask, NULL);
}

/* The environment: the image's, of a terminal its type, what was given. Of two
 * with one name the guest takes the last. */
static int guest_env(const struct guest_options *options,
		     struct agent_exec *exec, char *term, size_t size)
{
	const char *type = getenv("TERM");
	const char **env;
	size_t nr = 0;

	while (options->image_env && options->image_env[nr])
		nr++;
	env = calloc(nr + options->env.nr + 2, sizeof(*env));
	if (!env)
		return -ENOMEM;
	exec->env = env;
	for (; exec->nr_env < nr; exec->nr_env++)
		env[exec->nr_env] = options->image_env[exec->nr_env];
	if (options->tty) {
		(void)snprintf(term, size, "TERM=%s", type ? type : "xterm");
		env[exec->nr_env++] = term;
	}
	for (unsigned int i = 0; i < options->env.nr; i++) {
		const char *given = options->env.text[i];
		char **at = environ;
		size_t len = strlen(given);

		while (!strchr(given, '=') && *at &&
		       (strncmp(*at, given, len) != 0 || (*at)[len] != '='))
			at++;
		if (strchr(given, '='))
			env[exec->nr_env++] = given;
		else if (*at)
			env[exec->nr_env++] = *at;
	}
	return 0;
}

static int guest_code(const struct agent_exit *how, const char *word,
		      const struct args_page *page)
{
	switch (how->how) {
	case AGENT_EXITED:
		return (int)how->value;
	case AGENT_KILLED:
		if (how->oom)
			(void)cli_complain(0, page,
					   "the guest ran out of memory, and "
					   "its kernel ended the command: "
					   "--memory gives it more");
		return GUEST_EXIT_SIGNAL + (int)how->value;
	case AGENT_NOT_FOUND:
		return cli_complain(GUEST_EXIT_NOT_FOUND, page,
				    "there is no %s in the guest", word);
	default:
		return cli_complain(GUEST_EXIT_NO_EXEC, page,
				    "%s cannot be run in the guest: %s", word,
				    err_name((int)how->value));
	}
}

/* Return: as agent_client_exec(). */
static int guest_drive(struct agent_client *client,
		       const struct guest_options *options, const char **words,
		       const struct agent_io *io, struct agent_exit *how,
		       struct err *err)
{
	struct agent_exec exec = {
		.flags = (options->tty ? AGENT_EXEC_TTY : 0) |
			 (options->interactive ? AGENT_EXEC_INPUT : 0),
		.size = guest_size(),
		.folder = options->workdir ? options->workdir : "",
		.user = options->user ? options->user : "",
		.words = words,
	};
	char term[128];
	int r;

	for (; words[exec.nr_words]; exec.nr_words++)
		;
	r = guest_env(options, &exec, term, sizeof(term));
	if (r < 0)
		return err_set(err, r, "Out of memory");
	r = agent_client_exec(client, &exec, io, how, err);
	free(exec.env);
	return r;
}

/* What became of the command. Return: an exit code. */
static int guest_became(int r, const struct agent_exit *how, const char *word,
			const struct args_page *page, const struct err *err,
			bool *lost)
{
	*lost = r < 0 && r != -EREMOTEIO;
	return r < 0 ? cli_fail(GUEST_EXIT_FAILED, page, err)
		     : guest_code(how, word, page);
}

int guest_exec_by(struct agent_client *client,
		  const struct guest_options *options, const char **words,
		  const struct agent_io *io, const struct args_page *page,
		  bool *lost)
{
	struct agent_exit how = {0};
	struct err err = {0};
	int r = guest_drive(client, options, words, io, &how, &err);

	return guest_became(r, &how, words[0], page, &err, lost);
}

/* This process's own streams and signals; the latter once it has begun. */
static struct agent_io guest_io(const struct guest_options *options,
				struct guest_here *here)
{
	return (struct agent_io){
		.in = options->interactive ? STDIN_FILENO : -1,
		.out = STDOUT_FILENO,
		.err = STDERR_FILENO,
		.woken = guest_woken,
		.ctx = here,
	};
}

int guest_exec(struct agent_client *client, const struct guest_options *options,
	       const char **words, const struct args_page *page, bool *lost)
{
	struct guest_here here;
	struct agent_io io = guest_io(options, &here);
	struct agent_exit how = {0};
	struct err err = {0};
	int r = guest_begin(&here, options, true);

	if (r < 0)
		return cli_complain(GUEST_EXIT_FAILED, page, "%s", err_name(r));
	io.wake = here.signals;
	r = guest_drive(client, options, words, &io, &how, &err);
	guest_end(&here); /* before anything is said: a terminal may be raw */
	return guest_became(r, &how, words[0], page, &err, lost);
}

/* ---- a command that runs already ---- */

#define GUEST_CTRL_P '\x10'
#define GUEST_CTRL_Q '\x11'

/* Ctrl-P waits for what comes behind it. */
static bool guest_typed(void *ctx, char *data, size_t *len)
{
	struct guest_here *here = ctx;
	size_t nr = *len, to = 0;

	if (here->held && nr > 0) {
		memmove(data + 1, data, nr++);
		data[0] = GUEST_CTRL_P;
		here->held = false;
	}
	for (size_t i = 0; i < nr; i++) {
		if (here->held && data[i] == GUEST_CTRL_Q) {
			*len = to;
			return false;
		}
		if (here->held)
			data[to++] = GUEST_CTRL_P;
		here->held = data[i] == GUEST_CTRL_P;
		if (!here->held)
			data[to++] = data[i];
	}
	*len = to;
	return true;
}

/* Return: as agent_client_follow(). */
static int guest_follow(struct agent_client *client,
			const struct guest_options *options, bool signals,
			struct agent_exit *how, struct err *err)
{
	struct guest_here here;
	struct agent_io io = guest_io(options, &here);
	int r = guest_begin(&here, options, signals);

	if (r < 0)
		return err_set(err, r, "%s", err_name(r));
	io.typed = options->tty ? guest_typed : NULL;
	io.wake = here.signals;
	r = agent_client_follow(client, &io, how, err);
	guest_end(&here);
	return r;
}

int guest_attach(struct agent_client *client, bool input, bool signals,
		 const struct args_page *page)
{
	const struct agent_attach attach = {
		.flags = input ? AGENT_EXEC_INPUT : 0,
		.size = guest_size(),
	};
	struct guest_options options = {0};
	struct agent_exit how = {0};
	uint32_t has = 0;
	struct err err;
	int r = agent_client_attach(client, &attach, &has, &err);

	options.tty = has & AGENT_EXEC_TTY;
	options.interactive = input && (has & AGENT_EXEC_INPUT);
	if (r == 0 && options.tty && options.interactive &&
	    !isatty(STDIN_FILENO))
		return cli_complain(GUEST_EXIT_FAILED, page,
				    "the command has a terminal, and standard "
				    "input is none; --no-stdin needs none");
	if (r == 0)
		r = guest_follow(client, &options, signals, &how, &err);
	if (r == -ECANCELED)
		return 0;
	if (r == -ECONNRESET)
		return cli_complain(GUEST_EXIT_FAILED, page,
				    "the process that stays with the VM ended "
				    "the connection");
	return r < 0 ? cli_fail(GUEST_EXIT_FAILED, page, &err)
		     : guest_code(&how, "", page);
}
