// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_wait.c - `volt wait`: until VMs in the background have ended
 */
#include "cli/cli.h"
#include "cli/kept.h"

#include <errno.h>
#include <stdio.h>

const struct args_page cmd_wait_page = {
	.name = "volt wait",
	.summary = "wait until a VM in the background has ended",
	.usage = "NAME...",
	.about = "Waits for each NAME in turn, and prints the exit code of its "
		 "command, or of volt-vmm for a VM without an image.\n",
	.exit = "0 all have ended; 1 failed; 64 bad usage.",
	.nr_words = ARGS_WORDS_MAX,
};

/* One that runs tells its code itself: with --rm nothing else does. Return: 0,
 * or -errno with a sentence. */
static int wait_vm(const char *name, unsigned int *code, struct err *err)
{
	struct agent_client client;
	struct agent_exit how;
	struct kept kept;
	bool told = false;
	int r = kept_open(&kept, name, err);

	if (r == 0 && kept_lives(&kept)) {
		told = kept_dial(&client, name, NULL) == 0 &&
		       agent_client_await(&client, &how, NULL) == 0;
		agent_client_close(&client);
		(void)kept_ended(name, -1);
		kept_close(&kept);
		if (told) {
			*code = how.value;
			return 0;
		}
		r = kept_open(&kept, name, err);
	}
	*code = (unsigned int)kept.vm.record.code;
	kept_close(&kept);
	return r;
}

int cmd_wait(const struct args_page *page, int argc, char **argv)
{
	struct args args;
	struct err err;
	unsigned int ended;
	int code = cli_parse(page, argc, argv, 1, NULL, &args);

	if (code != CLI_GO_ON)
		return code;
	code = 0;
	for (unsigned int i = 0; i < args.nr_words; i++) {
		const char *name = args.words[i];

		if (wait_vm(name, &ended, &err) < 0)
			code = cli_fail(1, page, &err);
		else
			(void)printf("%u\n", ended);
	}
	return code;
}
