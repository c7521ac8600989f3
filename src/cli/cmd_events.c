// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_events.c - `volt events`: what happened to this user's VMs
 */
#include "cli/cli.h"

#include "base/fd.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define EVENTS_STEP_MS 100

struct events {
	bool follow;
	uint64_t since;
};

#define AT(member) .offset = offsetof(struct events, member)

/* clang-format off */
static const struct arg events_args[] = {
	{"follow", NULL, "-f: go on with what happens", .letter = 'f',
	 .kind = ARG_FLAG, AT(follow)},
	{"since", "SECONDS", "only what happened in the last SECONDS",
	 .kind = ARG_NUMBER, .min = 1, .max = UINT32_MAX, AT(since)},
};
/* clang-format on */

const struct args_page cmd_events_page = {
	.name = "volt events",
	.summary = "what happened to VMs",
	.usage = "[OPTIONS]",
	.about = "Prints a JSON object a line: \"time\" in milliseconds since "
		 "1970, \"event\", \"name\", and \"code\" with an end: start "
		 "and die of VMs in the background, exec, stop, kill, pause, "
		 "resume, snapshot and rm of whichever. It begins with the "
		 "first VM that goes into the background. What is older than "
		 "the last 1 to 2 MiB of it is forgotten.\n",
	.args = events_args,
	.nr_args = ARRAY_SIZE(events_args),
	.exit = "0 printed; 1 failed; 64 bad usage.",
};

static int events_go(const struct events *o, struct err *err)
{
	const struct timespec step = {.tv_nsec = EVENTS_STEP_MS * 1000000L};
	const uint64_t now = vms_now_ms(), ago = o->since * 1000;
	const uint64_t from = o->since && ago < now ? now - ago : 0;
	struct vms_journal_reader reader;
	struct vms vms;
	const char *line;
	int r = vms_open(&vms, false, err);

	if (r < 0 || vms.fd < 0) {
		vms_close(&vms);
		return r;
	}
	vms_journal_begin(&reader, vms.fd);
	for (;;) {
		while ((r = vms_journal_next(&reader, from, &line)) > 0)
			(void)puts(line);
		if (fflush(stdout) != 0)
			r = -errno;
		if (r < 0 || !o->follow)
			break;
		(void)nanosleep(&step, NULL);
	}
	vms_journal_end(&reader);
	vms_close(&vms);
	return r < 0 ? err_set(err, r, "Cannot read the events: %s",
			       err_name(r))
		     : 0;
}

int cmd_events(const struct args_page *page, int argc, char **argv)
{
	struct events o = {0};
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 0, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	return events_go(&o, &err) < 0 ? cli_fail(1, page, &err) : 0;
}
