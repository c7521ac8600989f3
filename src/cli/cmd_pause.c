// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_pause.c - `volt pause` and `volt resume`
 */
#include "cli/cli.h"
#include "cli/resumed.h"
#include "cli/vmapi.h"

#include "vms/vms_journal.h"

const struct args_page cmd_pause_page = {
	.name = "volt pause",
	.summary = "have a VM stand still",
	.usage = "NAME",
	.about = "VM NAME stands still, CPUs and devices, until `volt resume "
		 "NAME`; its memory and connections stay. Nothing happens to "
		 "one that is paused already.\n",
	.exit = "0 it is paused; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

const struct args_page cmd_resume_page = {
	.name = "volt resume",
	.summary = "have it go on",
	.usage = "NAME",
	.about = "VM NAME, which `volt pause`, `volt snapshot --pause` or "
		 "`volt restore --paused` has left paused, goes on. Nothing "
		 "happens to one that runs. One that was restored hears of it "
		 "as it would without --paused: its agent sets the clock and "
		 "runs the hooks of resume.d.\n",
	.exit = "0 it runs; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

/* It came from a snapshot, and hears where it is now that it runs. */
static void tell_restored(const char *name)
{
	char socket[VMAPI_PATH_MAX];

	if (vmapi_socket(name, socket, false, NULL) == 0)
		resumed_tell_later(name, socket);
}

static int set_state(const char *name, bool paused, struct err *err)
{
	struct api_client api;
	bool first;
	int r = vmapi_open(&api, name, err);

	if (r < 0)
		return r;
	api.waiting = vmapi_say_waiting;
	first = !paused && vmapi_waits(&api);
	r = vmapi_set_paused(&api, paused, err);
	if (r == 0)
		vms_journal_note(paused ? "pause" : "resume", name, -1);
	if (r == 0 && first)
		tell_restored(name);
	api_client_close(&api);
	return r;
}

static int pause_run(const struct args_page *page, int argc, char **argv,
		     bool paused)
{
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 1, NULL, &args);

	if (code != CLI_GO_ON)
		return code;
	if (vmapi_check_name(args.words[0], &err) < 0)
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	return set_state(args.words[0], paused, &err) < 0
		       ? cli_fail(1, page, &err)
		       : 0;
}

int cmd_pause(const struct args_page *page, int argc, char **argv)
{
	return pause_run(page, argc, argv, true);
}

int cmd_resume(const struct args_page *page, int argc, char **argv)
{
	return pause_run(page, argc, argv, false);
}
