// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_kill.c - `volt kill`: a signal to the command of a VM
 */
#include "cli/cli.h"
#include "cli/kept.h"
#include "cli/signals.h"

#include "base/fd.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>

#define KILL_GUEST_MS 5000
#define KILL_HOST_MS  10000

struct killing {
	const char *signal;
};

/* clang-format off */
static const struct arg kill_args[] = {
	{"signal", "SIGNAL", "-s: its name or number (default: KILL)",
	 .letter = 's', .kind = ARG_TEXT,
	 .offset = offsetof(struct killing, signal)},
};
/* clang-format on */

const struct args_page cmd_kill_page = {
	.name = "volt kill",
	.summary = "send a signal to the command of a VM",
	.usage = "[-s SIGNAL] NAME...",
	.about = "Sends SIGNAL to the process group of the command of each VM "
		 "in the background; for a VM without an image, to its "
		 "volt-vmm. With KILL the VM ends in any case: one whose guest "
		 "does not answer within five seconds is ended from outside, "
		 "and so is a VM that is not in the background.\n",
	.args = kill_args,
	.nr_args = ARRAY_SIZE(kill_args),
	.exit = "0 it was sent; 1 failed; 64 bad usage.",
	.examples = "  volt kill web\n"
		    "  volt kill -s HUP web\n",
	.nr_words = ARGS_WORDS_MAX,
};

/* From outside. Return: 0, or -errno with a sentence. */
static int kill_vmm(const char *name, struct err *err)
{
	cleanup_fd int pidfd = kept_vmm(name);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0)
		return err_set(err, -ENOENT, "no VM named %s runs", name);
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return err_set(err, -errno, "cannot signal %s's process: %s",
			       name, err_name(errno));
	if (poll(&p, 1, KILL_HOST_MS) <= 0 || !kept_ended(name, KILL_HOST_MS))
		return err_set(err, -ETIMEDOUT, "%s does not end", name);
	return 0;
}

static int kill_one(const char *name, int number, struct err *err)
{
	struct agent_client client = {.fd = -1};
	struct kept kept;
	int r = kept_open(&kept, name, err);
	bool here = r == 0;

	if (r == 0 && !kept_lives(&kept))
		r = err_set(err, -ESRCH, "VM %s does not run", name);
	else if (r == 0)
		r = kept_dial(&client, name, err);
	if (r == 0)
		r = agent_client_kill(&client, number, err);
	agent_client_close(&client);
	kept_close(&kept);
	if (number != SIGKILL || r == -ESRCH || r == -EPERM)
		return r;
	if (here && r == 0 && kept_ended(name, KILL_GUEST_MS))
		return 0;
	return kill_vmm(name, err);
}

int cmd_kill(const struct args_page *page, int argc, char **argv)
{
	struct killing o = {.signal = "KILL"};
	struct args args;
	struct err err;
	int number, code = cli_parse(page, argc, argv, 1, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	number = signal_by_name(o.signal);
	if (number == 0)
		return cli_misuse(page, "there is no signal %s", o.signal);
	code = 0;
	for (unsigned int i = 0; i < args.nr_words; i++) {
		const char *name = args.words[i];

		if (vmapi_check_name(name, &err) < 0 ||
		    kill_one(name, number, &err) < 0)
			code = cli_fail(1, page, &err);
		else
			vms_journal_note("kill", name, -1);
	}
	return code;
}
