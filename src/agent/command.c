// SPDX-License-Identifier: Apache-2.0
/*
 * command.c - a process of the guest that the host asked for (command.h)
 */
#include "agent/command.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define COMMAND_PATH                                         \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:" \
	"/sbin:/bin"

/**
 * struct command_fault - what the child tells when it did not get there
 * @tried:	its program was looked for
 */
struct command_fault {
	int32_t errnum;
	int32_t tried;
};

static int command_become(const struct user *user)
{
	if (setgroups(user->nr_groups, user->groups) < 0 &&
	    (errno != EPERM || getuid() == 0))
		return -errno;
	if (setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}

/* The environment that was given, and what every program counts on. */
static int command_set_env(const struct agent_exec *exec,
			   const struct user *user)
{
	if (clearenv() != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < exec->nr_env; i++)
		if (strchr(exec->env[i], '=') &&
		    putenv((char *)(uintptr_t)exec->env[i]) != 0)
			return -ENOMEM;
	return setenv("PATH", COMMAND_PATH, 0) < 0 ||
			       setenv("HOME", user->home, 0) < 0
		       ? -ENOMEM
		       : 0;
}

/* The folder that was asked for has to be there, a home may be missing. */
static int command_enter(const struct agent_exec *exec, const struct user *user)
{
	if (exec->folder[0])
		return chdir(exec->folder) < 0 ? -errno : 0;
	if (chdir(user->home) < 0 && chdir("/") < 0)
		return -errno;
	return 0;
}

static void command_reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child's part. Its end of @fault closes with success. */
static void command_run(const struct agent_exec *exec, const struct user *user,
			int fault) __attribute__((noreturn));

static void command_run(const struct agent_exec *exec, const struct user *user,
			int fault)
{
	struct command_fault f = {0};
	int r;

	command_reset_signals();
	r = command_become(user);
	if (r == 0)
		r = command_set_env(exec, user);
	if (r == 0)
		r = command_enter(exec, user);
	if (r == 0) {
		f.tried = 1;
		(void)execvp(exec->words[0],
			     (char *const *)(uintptr_t)exec->words);
		r = -errno;
	}
	f.errnum = -r;
	_exit(fd_write_full(fault, &f, sizeof(f)) < 0 ? 126 : 127);
}

/* @fds become 0, 1 and 2; nothing else is passed on. */
static void command_place(const int fds[3], bool tty)
{
	(void)setsid();
	for (int i = 0; i < 3; i++)
		(void)dup2(fds[i], i);
	if (tty)
		(void)ioctl(0, TIOCSCTTY, 0);
}

/**
 * struct command_ends - those of the child, in the order 0, 1, 2
 */
struct command_ends {
	int fd[3];
};

static void command_close_ends(struct command_ends *ends)
{
	for (int i = 0; i < 3; i++)
		fd_close(&ends->fd[i]);
}

/* Above the three standard ones, for command_place(). */
static int command_lift(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, 10);

	if (high < 0)
		return -errno;
	fd_close(fd);
	*fd = high;
	return 0;
}

static int command_open_tty(struct command *c, struct command_ends *ends,
			    const struct agent_size *size)
{
	const struct winsize w = {.ws_row = size->rows ? size->rows : 24,
				  .ws_col = size->columns ? size->columns : 80};

	if (openpty(&c->out, &ends->fd[0], NULL, NULL, &w) < 0)
		return -errno;
	(void)fcntl(c->out, F_SETFD, FD_CLOEXEC);
	c->in = fcntl(c->out, F_DUPFD_CLOEXEC, 10);
	ends->fd[1] = fcntl(ends->fd[0], F_DUPFD_CLOEXEC, 10);
	ends->fd[2] = fcntl(ends->fd[0], F_DUPFD_CLOEXEC, 10);
	return c->in < 0 || ends->fd[1] < 0 || ends->fd[2] < 0 ? -errno : 0;
}

static int command_open_pipes(struct command *c, struct command_ends *ends,
			      bool input)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
	int r = 0;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
	    (input && pipe2(in, O_CLOEXEC) < 0))
		r = -errno;
	if (r == 0 && !input) {
		in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		r = in[0] < 0 ? -errno : 0;
	}
	*ends = (struct command_ends){{in[0], out[1], err[1]}};
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	return r;
}

static int command_open(struct command *c, const struct agent_exec *exec,
			struct command_ends *ends)
{
	int r = c->tty ? command_open_tty(c, ends, &exec->size)
		       : command_open_pipes(c, ends,
					    exec->flags & AGENT_EXEC_INPUT);

	for (int i = 0; i < 3 && r == 0; i++)
		r = command_lift(&ends->fd[i]);
	return r;
}

/* What it has open it may open again, as /dev/stdout or its terminal. Not
 * /dev/null, which is everybody's. */
static int command_give(const struct command *c,
			const struct command_ends *ends,
			const struct user *user)
{
	for (int i = 0; i < 3; i++)
		if ((c->tty || i > 0 || c->in >= 0) &&
		    fchown(ends->fd[i], user->uid, (gid_t)-1) < 0)
			return -errno;
	return 0;
}

/* Our ends, not the command's. */
static void command_unblock(const struct command *c)
{
	const int ours[] = {c->in, c->out, c->err};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (ours[i] >= 0)
			(void)fcntl(ours[i], F_SETFL,
				    fcntl(ours[i], F_GETFL) | O_NONBLOCK);
}

/* Did it become its program? */
static int command_look(int fault, struct agent_exit *how)
{
	struct command_fault f;
	ssize_t n;

	do
		n = read(fault, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != (ssize_t)sizeof(f))
		return -EIO;
	if (f.tried)
		*how = (struct agent_exit){
			.how = f.errnum == ENOENT ? AGENT_NOT_FOUND
						  : AGENT_NO_EXEC,
			.value = (uint32_t)f.errnum,
		};
	return -f.errnum;
}

/* Return: 1 in the child; 0; -errno. */
static int command_fork(struct command *c, const struct command_ends *ends)
{
	c->pid = fork();
	if (c->pid < 0)
		return -errno;
	if (c->pid == 0) {
		command_place(ends->fd, c->tty);
		return 1;
	}
	c->end = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return c->end < 0 ? -errno : 0;
}

int command_start(struct command *command, const struct agent_exec *exec,
		  const struct user *user, struct agent_exit *how)
{
	struct command_ends ends = {{-1, -1, -1}};
	int fault[2] = {-1, -1};
	int r;

	*command = COMMAND_NONE;
	*how = (struct agent_exit){0};
	command->tty = exec->flags & AGENT_EXEC_TTY;
	r = command_open(command, exec, &ends);
	if (r == 0)
		r = command_give(command, &ends, user);
	if (r == 0 && pipe2(fault, O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0)
		r = command_lift(&fault[1]);
	if (r == 0)
		r = command_fork(command, &ends);
	if (r > 0)
		command_run(exec, user, fault[1]);
	command_close_ends(&ends);
	fd_close(&fault[1]);
	if (r == 0)
		r = command_look(fault[0], how);
	fd_close(&fault[0]);
	command_unblock(command);
	return r;
}

int command_start_deed(struct command *command, int (*deed)(const void *ctx),
		       const void *ctx, bool input)
{
	struct command_ends ends = {{-1, -1, -1}};
	const struct agent_exec exec = {
		.flags = input ? AGENT_EXEC_INPUT : 0,
	};
	int r;

	*command = COMMAND_NONE;
	r = command_open(command, &exec, &ends);
	if (r == 0)
		r = command_fork(command, &ends);
	if (r > 0) {
		fd_close_from(STDERR_FILENO + 1);
		_exit(deed(ctx));
	}
	command_close_ends(&ends);
	command_unblock(command);
	return r;
}

void command_signal(const struct command *command, int number)
{
	pid_t group = command->tty && command->out >= 0
			      ? tcgetpgrp(command->out)
			      : command->pid;

	if (command->pid <= 0)
		return;
	if (group <= 0 || kill(-group, number) < 0)
		(void)kill(command->pid, number);
}

struct agent_exit command_wait(struct command *command)
{
	struct agent_exit how = {.how = AGENT_EXITED, .value = 0};
	int status = 0;
	pid_t pid;

	do
		pid = waitpid(command->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	command->pid = 0;
	if (pid > 0 && WIFSIGNALED(status)) {
		how.how = AGENT_KILLED;
		how.value = (uint32_t)WTERMSIG(status);
	} else if (pid > 0) {
		how.value = (uint32_t)WEXITSTATUS(status);
	}
	return how;
}

void command_close(struct command *command)
{
	if (command->pid > 0) {
		(void)kill(-command->pid, SIGKILL);
		(void)kill(command->pid, SIGKILL);
		(void)command_wait(command);
	}
	fd_close(&command->end);
	fd_close(&command->in);
	fd_close(&command->out);
	fd_close(&command->err);
}
