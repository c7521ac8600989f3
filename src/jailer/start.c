// SPDX-License-Identifier: Apache-2.0
/*
 * start.c - from the jailer's process to the program in the jail (start.h)
 */
#include "jailer/start.h"

#include "base/fd.h"
#include "host/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --id X, three clocks, each with its value, and the program's name. */
#define OWN_WORDS 9

/**
 * struct start - what the processes on the way share
 * @status:	the pipe for the one sentence of who fails; -1 where no other
 *		process waits
 * @cpu_us:	CPU time of processes that have ended
 */
struct start {
	const struct plan *plan;
	struct root *root;
	const struct start_clock *clock;
	int null;
	int proc;
	int status[2];
	uint64_t cpu_us;
};

static int start_fail(struct err *err, int rc, const char *what)
{
	return err_set(err, rc, "%s: %s (os error %d)", what, err_name(rc),
		       -rc);
}

static uint64_t cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* ---- the last steps, in the process that becomes the program ---- */

static int cannot_limit(const char *name, struct err *err)
{
	return err_set(err, -errno,
		       "Failed to set limit for resource: %s: %s (os error "
		       "%d)",
		       name, err_name(errno), errno);
}

static int set_limits(const struct plan_limits *limits, struct err *err)
{
	const struct rlimit fsize = {limits->fsize, limits->fsize};
	const struct rlimit no_file = {limits->no_file, limits->no_file};

	if (limits->has_fsize && setrlimit(RLIMIT_FSIZE, &fsize) < 0)
		return cannot_limit("fsize", err);
	if (setrlimit(RLIMIT_NOFILE, &no_file) < 0)
		return cannot_limit("no-file", err);
	return 0;
}

/* For good: no supplementary group, no capability, no way back. */
static int drop_user(const struct plan *plan, struct err *err)
{
	if (setgroups(0, NULL) < 0 ||
	    setresgid(plan->gid, plan->gid, plan->gid) < 0 ||
	    setresuid(plan->uid, plan->uid, plan->uid) < 0)
		return start_fail(err, -errno,
				  "Failed to change to the user of the jail");
	if (plan->uid != 0 && setuid(0) == 0)
		return err_set(err, -EPERM,
			       "Failed to change to the user of the jail: root "
			       "can be had back");
	return 0;
}

/* The descriptor of /proc goes on only to who says that it takes it. */
static int hand_over(const struct start *s, struct err *err)
{
	if (s->proc < 0 || !handover_wanted(s->plan->exec_fd))
		return 0;
	if (s->proc != HANDOVER_PROC_FD)
		return err_set(err, -EBADF, "/proc is not descriptor %d",
			       HANDOVER_PROC_FD);
	if (fcntl(s->proc, F_SETFD, 0) < 0)
		return start_fail(err, -errno, "Failed to get flags from fd");
	return 0;
}

static int silence(int null, struct err *err)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			return start_fail(err, -errno,
					  "Failed to duplicate fd");
	return 0;
}

static size_t start_count(char **words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

/* Only returns when it fails. */
static int start_become(const struct start *s, struct err *err)
{
	static char *no_environment[] = {NULL};
	const size_t nr_rest = start_count(s->plan->rest);
	cleanup_free char *program = NULL;
	char start_us[24], cpu[24];
	char *own[OWN_WORDS] = {NULL,
				(char[]){"--id"},
				NULL,
				(char[]){"--start-time-us"},
				start_us,
				(char[]){"--start-time-cpu-us"},
				(char[]){"0"},
				(char[]){"--parent-cpu-time-us"},
				cpu};
	cleanup_free char *id = strdup(s->plan->id);
	cleanup_free char **argv =
		calloc(OWN_WORDS + nr_rest + 1, sizeof(argv[0]));

	if (!id || !argv || asprintf(&program, "/%s", s->plan->exec_name) < 0)
		return err_set(err, -ENOMEM, "Out of memory");
	(void)snprintf(start_us, sizeof(start_us), "%llu",
		       (unsigned long long)s->clock->monotonic_us);
	(void)snprintf(cpu, sizeof(cpu), "%llu", (unsigned long long)s->cpu_us);
	own[0] = program;
	own[2] = id;
	memcpy(argv, own, sizeof(own));
	memcpy(argv + OWN_WORDS, s->plan->rest, nr_rest * sizeof(argv[0]));
	(void)execve(program, argv, no_environment);
	return start_fail(err, -errno, "Failed to exec into Firecracker");
}

static int start_finish(const struct start *s, struct err *err)
{
	int r = hand_over(s, err);

	if (r == 0)
		r = set_limits(&s->plan->limits, err);
	if (r == 0)
		r = drop_user(s->plan, err);
	if (r == 0 && s->plan->daemonize)
		r = silence(s->null, err);
	return r < 0 ? r : start_become(s, err);
}

/* ---- processes ---- */

/* In a process that nobody waits for. */
static _Noreturn void end_with(const struct start *s, const struct err *err)
{
	_exit(fd_write_full(s->status[1], err->text, strlen(err->text)) < 0
		      ? 2
		      : 1);
}

/* In the process that was started: until the program runs, or cannot. */
static int wait_for_program(struct start *s, struct err *err)
{
	char text[ERR_TEXT_MAX];
	size_t len = 0;
	ssize_t n = 1;

	fd_close(&s->status[1]);
	while (n > 0 && len < sizeof(text) - 1) {
		n = read(s->status[0], text + len, sizeof(text) - 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	fd_close(&s->status[0]);
	text[len] = '\0';
	return len == 0 ? 0 : err_set(err, -ECHILD, "%s", text);
}

/* The child of a PID namespace waits for its parent, who knows its number. */
static _Noreturn void be_first(struct start *s, int go)
{
	struct err err = {0};
	char byte;

	if (read(go, &byte, 1) == 1) {
		(void)start_finish(s, &err);
		end_with(s, &err);
	}
	_exit(1);
}

/* Return: 0 in the parent once the child may go on. */
static int start_first(struct start *s, struct err *err)
{
	int go[2];
	pid_t pid;
	int r;

	if (pipe2(go, O_CLOEXEC) < 0 || unshare(CLONE_NEWPID) < 0)
		return start_fail(err, -errno,
				  "Failed cloning into a new child process");
	s->cpu_us += cpu_us();
	pid = fork();
	if (pid < 0)
		return start_fail(err, -errno,
				  "Failed cloning into a new child process");
	if (pid == 0) {
		fd_close(&go[1]);
		be_first(s, go[0]);
	}
	fd_close(&go[0]);
	r = root_give(s->root, pid, err);
	if (r == 0)
		r = fd_write_full(go[1], "", 1);
	fd_close(&go[1]);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	return r;
}

static int start_rest(struct start *s, struct err *err)
{
	int r;

	if (s->plan->new_pid_ns)
		return start_first(s, err);
	r = root_give(s->root, getpid(), err);
	return r < 0 ? r : start_finish(s, err);
}

/* Does not return. No session leader: it cannot get a terminal again. */
static _Noreturn void be_daemon(struct start *s)
{
	struct err err = {0};
	pid_t pid;

	if (setsid() < 0) {
		(void)start_fail(&err, -errno, "Failed to daemonize: setsid");
		end_with(s, &err);
	}
	s->cpu_us += cpu_us();
	pid = fork();
	if (pid < 0) {
		(void)start_fail(&err, -errno, "Failed to daemonize");
		end_with(s, &err);
	}
	if (pid > 0)
		_exit(0);
	if (start_rest(s, &err) < 0)
		end_with(s, &err);
	_exit(0);
}

static int start_daemon(struct start *s, struct err *err)
{
	pid_t pid;

	s->cpu_us += cpu_us();
	pid = fork();
	if (pid < 0)
		return start_fail(err, -errno, "Failed to daemonize");
	if (pid == 0)
		be_daemon(s);
	return 0;
}

int start_program(const struct plan *plan, struct root *root,
		  const struct start_clock *clock, int null, int proc,
		  struct err *err)
{
	struct start s = {
		.plan = plan,
		.root = root,
		.clock = clock,
		.null = null,
		.proc = proc,
		.status = {-1, -1},
	};
	int r;

	if (!plan->daemonize && !plan->new_pid_ns)
		return start_rest(&s, err);
	if (pipe2(s.status, O_CLOEXEC) < 0)
		return start_fail(err, -errno, "Failed to daemonize");
	r = plan->daemonize ? start_daemon(&s, err) : start_rest(&s, err);
	return r < 0 ? r : wait_for_program(&s, err);
}
