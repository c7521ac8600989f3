/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stopwatch.c - time a VMM from outside: spawn to mark, spawn to exit
 *
 * Theory of operation: the command's standard output is a pipe. The clock
 * starts right before the spawn (vfork semantics, so the cost of this process
 * does not count), stops once when the mark appears on the pipe, and again
 * when the process has been reaped. Interpreted languages are too slow for
 * figures near a millisecond; this program only measures, bench/run decides.
 *
 * Usage: stopwatch [-m MARK] [-t SECONDS] COMMAND [ARGUMENT...]
 * Prints one line: <mark ns or -1> <exit ns> <wait status> <max RSS KiB>
 * <page faults>.
 * A command that outlives SECONDS (default 20) is killed, status -1.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct watch {
	const char *mark;
	size_t mark_len;
	size_t matched;
	int64_t limit_ns;
	int64_t start, mark_at;
	pid_t pid;
	int fd;
	bool killed;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void start_command(struct watch *w, char **argv)
{
	posix_spawn_file_actions_t actions;
	int ret, pipe_fd[2];

	if (pipe2(pipe_fd, O_CLOEXEC))
		err(2, "pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 1);
	w->start = now_ns();
	ret = posix_spawnp(&w->pid, argv[0], &actions, NULL, argv, environ);
	if (ret) {
		errno = ret;
		err(2, "%s", argv[0]);
	}
	close(pipe_fd[1]);
	posix_spawn_file_actions_destroy(&actions);
	w->fd = pipe_fd[0];
}

static void scan_output(struct watch *w, const char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len && w->mark_at < 0; i++) {
		if (buf[i] != w->mark[w->matched])
			w->matched = 0;
		if (buf[i] == w->mark[w->matched])
			w->matched++;
		if (w->matched == w->mark_len)
			w->mark_at = now_ns() - w->start;
	}
}

/* Until the output ends, or the time is over */
static void watch_output(struct watch *w)
{
	struct pollfd pfd = {.fd = w->fd, .events = POLLIN};
	int64_t left;
	char buf[1024];
	ssize_t len;

	for (;;) {
		left = (w->limit_ns - (now_ns() - w->start)) / 1000000;
		if (left <= 0 || poll(&pfd, 1, (int)left) == 0) {
			kill(w->pid, SIGKILL);
			w->killed = true;
			return;
		}
		len = read(w->fd, buf, sizeof(buf));
		if (len <= 0)
			return;
		scan_output(w, buf, (size_t)len);
	}
}

int main(int argc, char **argv)
{
	struct watch w = {.mark = "@", .limit_ns = 20000000000, .mark_at = -1};
	struct rusage usage;
	int opt, status;

	while ((opt = getopt(argc, argv, "+m:t:")) != -1) {
		if (opt == 'm')
			w.mark = optarg;
		else if (opt == 't')
			w.limit_ns = strtol(optarg, NULL, 10) * 1000000000;
		else
			return 2;
	}
	if (!argv[optind] || !*w.mark)
		errx(2, "usage: stopwatch [-m MARK] [-t SECONDS] COMMAND...");
	w.mark_len = strlen(w.mark);
	start_command(&w, argv + optind);
	watch_output(&w);
	if (wait4(w.pid, &status, 0, &usage) != w.pid)
		err(2, "wait");
	printf("%ld %ld %d %ld %ld\n", (long)w.mark_at,
	       (long)(now_ns() - w.start), w.killed ? -1 : status,
	       usage.ru_maxrss, usage.ru_minflt + usage.ru_majflt);
	return 0;
}
