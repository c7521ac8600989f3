// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_stop.c - `volt stop`: end a VM
 *
 * Theory of operation: first the guest is asked, by Ctrl-Alt-Del, on which
 * Linux restarts and so ends the VM. A guest that does not listen, or has not
 * gone after --wait seconds, is ended with SIGTERM to its volt-vmm, which
 * leaves in order; one that is paused or stuck in that gets SIGKILL. A pidfd
 * taken while the connection stands makes sure that the signal and the waiting
 * mean that very process.
 */
#include "cli/cli.h"
#include "cli/vmapi.h"

#include "base/fd.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define NAME         "stop"
#define WAIT_DEFAULT 10
#define WAIT_MAX     3600
#define TERM_SECONDS 5

static const char help_text[] =
	"Usage: volt stop [--wait SECONDS] NAME\n"
	"\n"
	"Asks the guest to shut down (Ctrl-Alt-Del) and waits for that; after "
	"SECONDS\n"
	"(default 10; 0: do not ask) the VM is ended whatever its guest "
	"does.\n"
	"\n"
	"Exit code: 0 it has ended; 1 failed; 64 bad usage.\n";

/* Return: 1 when the process has ended, 0 when it still lives, or -errno. */
static int wait_end(int pidfd, unsigned int seconds)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, (int)seconds * 1000);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int ask_guest(struct vmapi *api, int pidfd, unsigned int seconds)
{
	if (seconds == 0 ||
	    vmapi_call(api, "PUT", "/actions",
		       "{\"action_type\": \"SendCtrlAltDel\"}", NULL, NULL) < 0)
		return 0;
	return wait_end(pidfd, seconds);
}

static int end_process(int pidfd, struct err *err)
{
	static const int signals[] = {SIGTERM, SIGKILL};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(signals) && r == 0; i++) {
		if (pidfd_send_signal(pidfd, signals[i], NULL, 0) < 0 &&
		    errno != ESRCH)
			return err_set(err, -errno,
				       "Cannot signal the VM's process: %s",
				       err_name(errno));
		r = wait_end(pidfd, TERM_SECONDS);
	}
	if (r == 0)
		return err_set(err, -ETIMEDOUT,
			       "The VM's process does not end, even by "
			       "SIGKILL");
	return r < 0 ? err_set(err, r, "Cannot wait: %s", err_name(r)) : 0;
}

static int stop(const char *name, unsigned int seconds, struct err *err)
{
	cleanup_fd int pidfd = -1;
	struct vmapi api;
	int r = vmapi_open(&api, name, err);

	if (r < 0)
		return r;
	pidfd = pidfd_open(api.pid, 0);
	if (pidfd < 0) {
		vmapi_close(&api);
		return err_set(err, -errno, "Cannot watch process %d: %s",
			       api.pid, err_name(errno));
	}
	r = ask_guest(&api, pidfd, seconds);
	vmapi_close(&api);
	return r > 0 ? 0 : end_process(pidfd, err);
}

int cmd_stop(int argc, char **argv)
{
	static const struct option options[] = {
		{"wait", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	uint64_t seconds = WAIT_DEFAULT;
	struct err err;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			(void)fputs(help_text, stdout);
			return 0;
		}
		if (opt != 'w')
			return cli_usage_error(NAME);
		if (!cli_parse_number(optarg, 0, WAIT_MAX, &seconds))
			return cli_complain(CLI_EXIT_USAGE, NAME,
					    "--wait takes a number of seconds "
					    "up to %d",
					    WAIT_MAX);
	}
	if (argc - optind != 1) {
		(void)cli_complain(0, NAME, "which VM? Give one name");
		return cli_usage_error(NAME);
	}
	if (vmapi_check_name(argv[optind], &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	if (stop(argv[optind], (unsigned int)seconds, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	return 0;
}
