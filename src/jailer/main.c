// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - volt-jailer: a jail, then the program in it
 *
 * Theory of operation
 *
 * A launcher starts it as root, as it would Firecracker's jailer, and trusts it
 * with paths; the folder of the jail it does not trust (place.h). The order:
 *
 *  1. close what was inherited but for the three standard descriptors
 *  2. check the whole command line (plan.h); nothing is made before
 *  3. make the jail's folder and what is in it (root.h)
 *  4. join the network namespace and the cgroups, which are the host's
 *  5. enter the jail: from here on no path leads out
 *  6. daemon, PID namespace, pid file; the jail is given to its user (start.h)
 *  7. limits, user, execve() with an empty environment
 *
 * What fails before the program runs is one line on standard error, "Jailer
 * error: " and a sentence in Firecracker's words, where that has one, and exit
 * code 1; and the folder is as it was before.
 *
 * One thread, no state but what main() has on its stack.
 */
#include "base/clean.h"
#include "base/fd.h"
#include "base/version.h"
#include "host/stream.h"
#include "jailer/start.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FIRST_OWN_FD (STDERR_FILENO + 1)

/* Nothing of @text may move a terminal's cursor or forge a line. */
static int jailer_complain(const char *before, const struct err *err)
{
	char line[2 * ERR_TEXT_MAX];
	size_t n = (size_t)snprintf(line, sizeof(line), "%s", before);

	n += clean_text(line + n, sizeof(line) - 1 - n, err->text,
			strlen(err->text));
	line[n++] = '\n';
	if (fd_write_full(STDERR_FILENO, line, n) < 0)
		return 1; /* and nowhere to say so */
	return 1;
}

static int jailer_print(const char *text, size_t len)
{
	struct err err;
	int r = fd_write_full(STDOUT_FILENO, text, len);

	if (r == 0)
		return 0;
	err_set(&err, r, "Cannot write to standard output: %s", err_name(r));
	return jailer_complain("Jailer error: ", &err);
}

static int jailer_print_help(void)
{
	cleanup_buf struct buf text = {0};

	args_help(&jailer_page, &text);
	return text.failed ? 1 : jailer_print(text.data, text.len);
}

static int print_version(void)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "Jailer v%s\n\nVolt v%s\n",
			 FIRECRACKER_COMPAT_VERSION, VOLT_VERSION);

	return jailer_print(text, (size_t)n);
}

static int join_netns(const char *path, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(err, -errno,
			       "Failed to open file %s: %s (os error %d)", path,
			       err_name(errno), errno);
	if (setns(fd, CLONE_NEWNET) < 0)
		return err_set(err, -errno,
			       "Failed to join network namespace: netns: %s "
			       "(os error %d)",
			       err_name(errno), errno);
	return 0;
}

/* From the folders to the program. Return: 0 when it runs elsewhere. */
static int make_jail(const struct plan *plan, struct root *root,
		     const struct start_clock *clock, int proc, struct err *err)
{
	cleanup_fd int null = -1;
	int r = root_make(root, plan, err);

	if (r == 0 && plan->netns)
		r = join_netns(plan->netns, err);
	if (r == 0)
		r = cgroup_enter(&plan->cgroups, err);
	if (r == 0 && plan->daemonize) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null < 0)
			return err_set(err, -errno,
				       "Failed to open /dev/null: %s (os "
				       "error %d)",
				       err_name(errno), errno);
	}
	if (r == 0)
		r = root_enter(root, err);
	if (r == 0)
		r = start_program(plan, root, clock, null, proc, err);
	if (r < 0)
		root_undo(root);
	return r;
}

static int jailer_run(const struct plan *plan, const struct start_clock *clock,
		      int proc, struct err *err)
{
	struct root root;
	int r = make_jail(plan, &root, clock, proc, err);

	root_free(&root);
	return r;
}

static void read_clock(struct start_clock *clock)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	clock->monotonic_us =
		(uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* Nothing inherited but the standard descriptors; /proc is the next. */
static int sanitize(int *proc, struct err *err)
{
	if (stream_fill_standard() < 0 ||
	    syscall(SYS_close_range, FIRST_OWN_FD, ~0u, 0) < 0)
		return err_set(err, -errno,
			       "Failed to sanitize the Jailer process: Failed "
			       "to call close range syscall: %s (os error %d)",
			       err_name(errno), errno);
	(void)umask(0);
	*proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

int main(int argc, char **argv)
{
	static struct args args;
	static struct plan plan;
	struct jailer_options opts = {0};
	struct start_clock clock;
	struct err err = {0};
	int proc = -1;
	int r;

	read_clock(&clock);
	if (sanitize(&proc, &err) < 0)
		return jailer_complain("Jailer error: ", &err);
	r = args_parse(&jailer_page, argc, argv, &opts, &args, &err);
	if (args.help)
		return jailer_print_help();
	if (opts.version || args_asks_for(argc, argv, "--version"))
		return print_version();
	if (r == 0)
		r = plan_check_required(&opts, &err);
	if (r < 0)
		return jailer_complain("Failed to parse arguments: ", &err);
	r = plan_fill(&plan, &opts, &args, &err);
	if (r == 0)
		r = jailer_run(&plan, &clock, proc, &err);
	plan_free(&plan);
	return r < 0 ? jailer_complain("Jailer error: ", &err) : 0;
}
