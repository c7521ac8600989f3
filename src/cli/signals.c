// SPDX-License-Identifier: Apache-2.0
/*
 * signals.c - signals by name (signals.h)
 */
#include "cli/signals.h"

#include "base/args.h"

#include <stdio.h>
#include <strings.h>

#define SIGNAL_LAST  64
#define SIGNAL_RTMIN 34 /* as libraries have it; two are theirs */

/* Of x86, from 1 on. */
static const char *const signal_names[] = {
	"HUP",  "INT",    "QUIT", "ILL",   "TRAP", "ABRT", "BUS",  "FPE",
	"KILL", "USR1",   "SEGV", "USR2",  "PIPE", "ALRM", "TERM", "STKFLT",
	"CHLD", "CONT",   "STOP", "TSTP",  "TTIN", "TTOU", "URG",  "XCPU",
	"XFSZ", "VTALRM", "PROF", "WINCH", "IO",   "PWR",  "SYS",
};

/* Others that mean the same. */
static const struct {
	const char *name;
	int number;
} signal_aliases[] = {{"POLL", 29}, {"IOT", 6}, {"CLD", 17}};

int signal_by_name(const char *name)
{
	uint64_t number = 0;

	if (args_number(name, 1, SIGNAL_LAST, &number))
		return (int)number;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++)
		if (strcasecmp(name, signal_names[i]) == 0)
			return (int)i + 1;
	for (size_t i = 0; i < ARRAY_SIZE(signal_aliases); i++)
		if (strcasecmp(name, signal_aliases[i].name) == 0)
			return signal_aliases[i].number;
	if (strncasecmp(name, "RTMIN", 5) == 0) {
		if (!name[5])
			return SIGNAL_RTMIN;
		if (name[5] == '+' &&
		    args_number(name + 6, 0, SIGNAL_LAST - SIGNAL_RTMIN,
				&number))
			return SIGNAL_RTMIN + (int)number;
	}
	return 0;
}
