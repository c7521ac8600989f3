// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_exec.c - `volt exec`: one more command in a VM that runs an image
 */
#include "cli/cli.h"
#include "cli/guest.h"

#include "vms/vms_journal.h"

/* clang-format off */
#define AT(member) .offset = offsetof(struct guest_options, member)

static const struct arg exec_args[] = {
	GUEST_ARG_INTERACTIVE(AT(interactive)),
	GUEST_ARG_TTY(AT(tty)),
	GUEST_ARG_ENV(AT(env)),
	GUEST_ARG_USER("root", AT(user)),
	GUEST_ARG_WORKDIR("the user's home", AT(workdir)),
};
/* clang-format on */

const struct args_page cmd_exec_page = {
	.name = "volt exec",
	.summary = "run a command in a VM that runs an image",
	.usage = "[OPTIONS] NAME COMMAND [ARGS...]",
	.about =
		"Runs COMMAND in the guest beside what runs there, and ends as "
		"it does: its output, errors and exit code are this "
		"command's. NAME is that of a VM of `volt run IMAGE`. Signals "
		"go to the command's process group; when this command is "
		"killed, so is that one.\n",
	.args = exec_args,
	.nr_args = ARRAY_SIZE(exec_args),
	.exit = GUEST_EXITS ".",
	.examples = "  volt exec web ps\n"
		    "  volt exec -it web sh\n"
		    "  tar c files | volt exec -i web tar x -C /srv\n",
	.command = true,
};

int cmd_exec(const struct args_page *page, int argc, char **argv)
{
	struct guest_options options = {0};
	struct agent_client client = {.fd = -1};
	struct args args;
	struct err err;
	bool lost;
	int code = cli_parse(page, argc, argv, 0, &options, &args);

	if (code == CLI_GO_ON && (!args.command[0] || !args.command[1]))
		code = cli_misuse(page, "it takes %s", page->usage);
	if (code == CLI_GO_ON)
		code = guest_check(&options, page);
	if (code != CLI_GO_ON)
		return code;
	if (guest_meet(&client, args.command[0], &err) < 0) {
		code = cli_fail(GUEST_EXIT_FAILED, page, &err);
	} else {
		vms_journal_note("exec", args.command[0], -1);
		code = guest_exec(&client, &options,
				  (const char **)(uintptr_t)(args.command + 1),
				  page, &lost);
	}
	agent_client_close(&client);
	return code;
}
