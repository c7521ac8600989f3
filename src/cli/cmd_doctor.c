// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_doctor.c - `volt doctor`: what this host can run, and what it lacks
 */
#include "cli/cli.h"
#include "cli/doctor.h"

#include "base/fd.h"

#include <getopt.h>
#include <stdio.h>

static const char help_text[] =
	"Usage: volt doctor [--json]\n"
	"\n"
	"Tells what this host can run, from what it measures: a tiny guest "
	"shows how\n"
	"fast KVM runs kernel code and which instructions it refuses. Under "
	"each line,\n"
	"\"->\" says what to do about something missing. Changes nothing.\n"
	"\n"
	"  --json   the same as one JSON object (docs/doctor.md)\n"
	"  --help   this text\n"
	"\n"
	"Exit code: 0 Linux guests run here; 1 only bare-metal guests do;\n"
	"2 KVM cannot be used; 64 bad usage.\n";

static int run_doctor(bool json)
{
	cleanup_free struct doctor_facts *facts = malloc(sizeof(*facts));
	cleanup_free struct doctor_report *report = malloc(sizeof(*report));
	int r = 0;

	if (!facts || !report)
		return cli_complain(CLI_EXIT_FAILED, "doctor", "out of memory");
	doctor_collect(facts);
	doctor_judge(facts, report);
	if (json)
		r = doctor_show_json(facts, report);
	else
		doctor_show_text(facts, report);
	if (r < 0 || fflush(stdout) == EOF || ferror(stdout))
		return cli_complain(CLI_EXIT_FAILED, "doctor",
				    "cannot write the report");
	return doctor_exit_code(report);
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = true;
			break;
		case 'h':
			(void)fputs(help_text, stdout);
			return 0;
		default:
			return cli_usage_error("doctor");
		}
	}
	if (optind < argc) {
		(void)cli_complain(0, "doctor", "'%s' is one word too many",
				   argv[optind]);
		return cli_usage_error("doctor");
	}
	return run_doctor(json);
}
