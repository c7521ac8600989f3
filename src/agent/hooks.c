// SPDX-License-Identifier: Apache-2.0
/*
 * hooks.c - programs of the image's for saving and going on (hooks.h)
 */
#include "agent/hooks.h"

#include "base/clock.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HOOKS_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/**
 * struct hooks - @names: owned, in order
 */
struct hooks {
	unsigned int nr;
	char *names[HOOKS_MAX];
};

static bool hooks_is_one(int folder, const char *name)
{
	struct stat st;

	return name[0] != '.' && fstatat(folder, name, &st, 0) == 0 &&
	       S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* Return: 0; -E2BIG; -ENOMEM. */
static int hooks_add(struct hooks *hooks, const char *name)
{
	char *copy = hooks->nr < HOOKS_MAX ? strdup(name) : NULL;
	unsigned int i = hooks->nr;

	if (!copy)
		return hooks->nr < HOOKS_MAX ? -ENOMEM : -E2BIG;
	for (; i > 0 && strcmp(hooks->names[i - 1], copy) > 0; i--)
		hooks->names[i] = hooks->names[i - 1];
	hooks->names[i] = copy;
	hooks->nr++;
	return 0;
}

static int hooks_find(struct hooks *hooks, const char *path, struct err *err)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_set(err, -errno, "%s: %s", path,
					 err_name(errno));
	while (r == 0 && (e = readdir(dir)))
		if (hooks_is_one(dirfd(dir), e->d_name))
			r = hooks_add(hooks, e->d_name);
	(void)closedir(dir);
	return r < 0 ? err_set(err, r, "%s: %s", path, err_name(r)) : 0;
}

static void hooks_become(const char *program) __attribute__((noreturn));

static void hooks_become(const char *program)
{
	static char path[] = "PATH=" HOOKS_PATH, home[] = "HOME=/";
	char *env[] = {path, home, NULL};
	char *words[] = {(char *)(uintptr_t)program, NULL};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	(void)setsid();
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || chdir("/") < 0)
		_exit(126);
	fd_close_from(STDERR_FILENO + 1);
	(void)execve(program, words, env);
	_exit(126);
}

/* Return: 1 when it has ended; 0 at @end; -errno. */
static int hooks_await(pid_t pid, int64_t end)
{
	cleanup_fd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	if (fd < 0)
		return -errno;
	do {
		const int64_t left = end - clock_now_ms();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int hooks_run_one(const char *path, const char *name, int64_t end,
			 struct err *err)
{
	cleanup_free char *program = NULL;
	int r, status = 0;
	pid_t pid;

	if (asprintf(&program, "%s/%s", path, name) < 0) {
		program = NULL;
		return err_set(err, -ENOMEM, "%s", err_name(ENOMEM));
	}
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "%.200s: %s", name,
			       err_name(errno));
	if (pid == 0)
		hooks_become(program);
	r = hooks_await(pid, end);
	if (r <= 0) {
		(void)kill(-pid, SIGKILL);
		(void)kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r <= 0)
		return err_set(err, r < 0 ? r : -ETIMEDOUT,
			       "%.200s did not end in time", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return WIFEXITED(status)
		       ? err_set(err, -ECANCELED, "%.200s ended with code %d",
				 program, WEXITSTATUS(status))
		       : err_set(err, -ECANCELED,
				 "%.200s was ended by signal %d", program,
				 WTERMSIG(status));
}

int hooks_run(const char *path, unsigned int ms, struct err *err)
{
	const int64_t end = clock_now_ms() + ms;
	struct hooks hooks = {0};
	int r = hooks_find(&hooks, path, err);

	for (unsigned int i = 0; i < hooks.nr; i++) {
		if (r == 0)
			r = hooks_run_one(path, hooks.names[i], end, err);
		free(hooks.names[i]);
	}
	return r;
}
