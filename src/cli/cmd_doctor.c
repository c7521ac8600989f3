// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_doctor.c - `volt doctor`: what this host can run, and what it lacks
 */
#include "cli/cli.h"
#include "cli/doctor.h"

#include "base/fd.h"

#include <stdio.h>

struct doctor {
	bool json;
};

/* clang-format off */
static const struct arg doctor_args[] = {
	{"json", NULL, "the same as one JSON object", .kind = ARG_FLAG,
	 .offset = offsetof(struct doctor, json)},
};
/* clang-format on */

const struct args_page cmd_doctor_page = {
	.name = "volt doctor",
	.summary = "what this host can run, and what it lacks",
	.usage = "[--json]",
	.about = "Tells what this host can run, from what it measures: a tiny "
		 "guest shows how fast KVM runs kernel code and which "
		 "instructions it refuses. Under each line, \"->\" says what "
		 "to do about something missing. Changes nothing.\n",
	.args = doctor_args,
	.nr_args = ARRAY_SIZE(doctor_args),
	.exit = "0 Linux guests run here; 1 only bare-metal guests do; 2 KVM "
		"cannot be used; 64 bad usage.",
};

static int run_doctor(const struct args_page *page, bool json)
{
	cleanup_free struct doctor_facts *facts = malloc(sizeof(*facts));
	cleanup_free struct doctor_report *report = malloc(sizeof(*report));
	int r = 0;

	if (!facts || !report)
		return cli_complain(CLI_EXIT_FAILED, page, "out of memory");
	doctor_collect(facts);
	doctor_judge(facts, report);
	if (json)
		r = doctor_show_json(facts, report);
	else
		doctor_show_text(facts, report);
	if (r < 0)
		return cli_complain(CLI_EXIT_FAILED, page,
				    "cannot write the report");
	return doctor_exit_code(report);
}

int cmd_doctor(const struct args_page *page, int argc, char **argv)
{
	struct doctor o = {0};
	struct args words;
	int code = cli_parse(page, argc, argv, 0, &o, &words);

	return code == CLI_GO_ON ? run_doctor(page, o.json) : code;
}
