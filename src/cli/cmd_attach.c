// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_attach.c - `volt attach`: the streams of a command in the background
 */
#include "cli/cli.h"
#include "cli/kept.h"

#include "vms/vms_journal.h"

#include <errno.h>

struct attaching {
	bool no_stdin;
	bool no_signals;
};

#define AT(member) .offset = offsetof(struct attaching, member)

/* clang-format off */
static const struct arg attach_args[] = {
	{"no-stdin", NULL, "what is typed here does not go to the command",
	 .kind = ARG_FLAG, AT(no_stdin)},
	{"no-signals", NULL, "signals are for this command: Ctrl-C leaves the "
	 "VM as it is", .kind = ARG_FLAG, AT(no_signals)},
};
/* clang-format on */

const struct args_page cmd_attach_page = {
	.name = "volt attach",
	.summary = "be at a command in the background",
	.usage = "[OPTIONS] NAME",
	.about = "Prints what the command of VM NAME, of `volt run -d`, says "
		 "from now on, and ends as it does. With -d -i it reads this "
		 "standard input, whose end is not its end: others may attach "
		 "later. With -d -it this terminal is raw, and Ctrl-P Ctrl-Q "
		 "leave the command as it is. Signals go to its process group; "
		 "of a VM without an image, to its volt-vmm. `volt logs` has "
		 "what was said before.\n",
	.args = attach_args,
	.nr_args = ARRAY_SIZE(attach_args),
	.exit = "the command's own; 0 it was left; 125 Volt failed; 64 bad "
		"usage.",
	.examples = "  volt run -d -it --name box debian:12 sh\n"
		    "  volt attach box\n"
		    "  volt attach --no-stdin web | grep error\n",
	.nr_words = 1,
};

static int attach_dial(struct agent_client *client, const char *name,
		       struct err *err)
{
	struct api_client api;
	struct kept kept;
	int r = kept_open(&kept, name, err);

	if (r == 0 && !kept_lives(&kept))
		r = err_set(err, -ESRCH, "VM %s does not run", name);
	else if (r == 0)
		r = kept_dial(client, name, err);
	kept_close(&kept);
	if (r != -ENOENT || vmapi_open(&api, name, NULL) < 0)
		return r;
	api_client_close(&api);
	return err_set(err, r,
		       "VM %s is not in the background: it is where its `volt "
		       "run` is",
		       name);
}

int cmd_attach(const struct args_page *page, int argc, char **argv)
{
	struct agent_client client = {.fd = -1};
	struct attaching o = {0};
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 1, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	if (vmapi_check_name(args.words[0], &err) < 0)
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	if (attach_dial(&client, args.words[0], &err) < 0) {
		code = cli_fail(GUEST_EXIT_FAILED, page, &err);
	} else {
		vms_journal_note("attach", args.words[0], -1);
		code = guest_attach(&client, !o.no_stdin, !o.no_signals, page);
	}
	agent_client_close(&client);
	return code;
}
