// SPDX-License-Identifier: Apache-2.0
/*
 * program.c - run a program of the distribution, and take what it says
 */
#include "store/program.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TELL_MS     500
#define EXIT_NO_RUN 127

static bool program_change_env(const char *const *env)
{
	int r = setenv("LC_ALL", "C", 1);

	for (; r == 0 && env && *env; env++) {
		const char *value = strchr(*env, '=');
		char name[64];

		(void)snprintf(name, sizeof(name), "%.*s",
			       (int)strcspn(*env, "="), *env);
		r = value ? setenv(name, value + 1, 1) : unsetenv(name);
	}
	return r == 0;
}

/* In the child. */
static void program_become(const struct program *program, int out, int said)
{
	int in = program->input ? program->input
				: open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* With a log the pipe only tells when the last process is gone. */
	if (program->log && fcntl(out, F_SETFD, 0) < 0)
		_exit(EXIT_NO_RUN);
	if (program->log)
		out = said = program->log;
	if (in >= 0 && dup2(in, STDIN_FILENO) >= 0 &&
	    dup2(out, STDOUT_FILENO) >= 0 && dup2(said, STDERR_FILENO) >= 0 &&
	    (!program->folder || chdir(program->folder) == 0) &&
	    program_change_env(program->env))
		(void)execvp(program->argv[0],
			     (char *const *)(uintptr_t)program->argv);
	_exit(EXIT_NO_RUN);
}

/* The bytes of the files in a folder, not below it. */
static uint64_t bytes_in(const char *folder)
{
	DIR *dir = folder ? opendir(folder) : NULL;
	const struct dirent *e;
	uint64_t sum = 0;
	struct stat st;

	while (dir && (e = readdir(dir)))
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			    0 &&
		    S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	if (dir)
		(void)closedir(dir);
	return sum;
}

/* Return: whether there may be more. */
static bool program_take(const struct program *program, int fd, struct buf *to)
{
	char chunk[2048];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n > 0 && program) {
		*program->refused = program->write(program, chunk, (size_t)n);
		return *program->refused == 0;
	}
	if (n > 0 && to && to->len < PROGRAM_SAID_MAX)
		buf_add(to, chunk, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void program_take_all(const struct program *program, int out_fd,
			     int said_fd, struct buf *out, struct buf *said)
{
	const struct program *writes = program->write ? program : NULL;
	struct pollfd fds[] = {{.fd = out_fd, .events = POLLIN},
			       {.fd = said_fd, .events = POLLIN}};

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		(void)poll(fds, ARRAY_SIZE(fds), TELL_MS);
		if (program->tick)
			program->tick(program);
		if (fds[0].revents && !program_take(writes, fds[0].fd, out))
			fds[0].fd = -1;
		if (writes && *writes->refused)
			return;
		if (fds[1].revents && !program_take(NULL, fds[1].fd, said))
			fds[1].fd = -1;
		if (program->progress)
			progress_tell(program->progress, program->what,
				      bytes_in(program->folder), 0);
	}
	if (out)
		buf_add(out, "", 1);
	if (said)
		buf_add(said, "", 1);
}

static int program_wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status) == EXIT_NO_RUN ? -ENOENT
						  : WEXITSTATUS(status);
}

int program_run(const struct program *program, struct buf *out,
		struct buf *said)
{
	int pipes[2][2];
	pid_t pid;

	if (pipe2(pipes[0], O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(pipes[1], O_CLOEXEC) < 0) {
		fd_close(&pipes[0][0]);
		fd_close(&pipes[0][1]);
		return -EMFILE;
	}
	pid = fork();
	if (pid == 0)
		program_become(program, pipes[0][1], pipes[1][1]);
	fd_close(&pipes[0][1]);
	fd_close(&pipes[1][1]);
	if (pid > 0)
		program_take_all(program, pipes[0][0], pipes[1][0], out, said);
	fd_close(&pipes[0][0]);
	fd_close(&pipes[1][0]);
	return pid < 0 ? -EAGAIN : program_wait_for(pid);
}

const char *program_last_line(const struct buf *said, char line[static 256])
{
	const char *at = said->data ? said->data : "";

	line[0] = '\0';
	while (*at) {
		size_t len = strcspn(at, "\n");

		if (len > 0)
			(void)snprintf(line, 256, "%.*s", (int)len, at);
		at += len + (at[len] == '\n');
	}
	return strncmp(line, "E: ", 3) == 0 ? line + 3 : line;
}

const char *program_first_line(const struct buf *said, char line[static 256])
{
	const char *at = said->data ? said->data : "";

	at += strspn(at, "\n");
	(void)snprintf(line, 256, "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}
