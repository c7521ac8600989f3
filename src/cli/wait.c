// SPDX-License-Identifier: Apache-2.0
/*
 * wait.c - a person who waits is told what for (cli.h)
 */
#include "cli/cli.h"

#include <stdio.h>
#include <unistd.h>

/* A log gets a line after a second, then every ten. */
#define LOG_EXTRA_NS UINT64_C(9000000000)

static void wait_say(struct progress *progress, const char *what, uint64_t done,
		     uint64_t total)
{
	struct cli_wait *wait =
		container_of(progress, struct cli_wait, progress);
	bool person = isatty(STDERR_FILENO);
	char much[64] = "";

	if (total)
		(void)snprintf(much, sizeof(much), ", %llu of %llu MiB",
			       (unsigned long long)done >> 20,
			       (unsigned long long)total >> 20);
	else if (done)
		(void)snprintf(much, sizeof(much), ", %llu MiB",
			       (unsigned long long)done >> 20);
	(void)fprintf(stderr, "%s%s: %s%s%s", person ? "\r" : "",
		      wait->page->name, what, much, person ? "  " : "\n");
	wait->line = person;
	if (!person)
		progress->next_ns += LOG_EXTRA_NS;
}

void cli_wait_begin(struct cli_wait *wait, const struct args_page *page)
{
	*wait = (struct cli_wait){.progress.say = wait_say, .page = page};
}

void cli_wait_end(struct cli_wait *wait)
{
	if (wait->line)
		(void)fputc('\n', stderr);
	wait->line = false;
}
