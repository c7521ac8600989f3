// SPDX-License-Identifier: Apache-2.0
/*
 * test_signals.c - signals by name, as images and people write them
 */
#include "unit.h"

#include "cli/signals.h"

#include <signal.h>

static void names_and_numbers(void **state)
{
	static const struct {
		const char *name;
		int number;
	} good[] = {
		{"TERM", SIGTERM},
		{"SIGTERM", SIGTERM},
		{"sigterm", SIGTERM},
		{"Quit", SIGQUIT},
		{"HUP", 1},
		{"SIGSYS", SIGSYS},
		{"USR2", SIGUSR2},
		{"WINCH", SIGWINCH},
		{"PWR", SIGPWR},
		{"STKFLT", SIGSTKFLT},
		{"1", 1},
		{"9", SIGKILL},
		{"64", 64},
		{"RTMIN", 34},
		{"SIGRTMIN+3", 37},
		{"rtmin+30", 64},
		{"SIGRTMIN+0", 34},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(signal_by_name(good[i].name), good[i].number);
}

/* As the C library has them, one by one. */
static void all_that_this_host_names(void **state)
{
	char name[32];

	(void)state;
	for (int i = 1; i < 32; i++) {
		(void)snprintf(name, sizeof(name), "SIG%s", sigabbrev_np(i));
		assert_int_equal(signal_by_name(name), i);
		assert_int_equal(signal_by_name(name + 3), i);
	}
}

static void what_is_none(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"65",
		"-1",
		"+9",
		"9 ",
		"0x9",
		"SIG",
		"SIG9",
		"TERMS",
		"TER",
		"SIGSIGTERM",
		"RTMIN+",
		"RTMIN-1",
		"RTMIN+31",
		"RTMIN+x",
		"RTMINX",
		"RTMAX",
		"99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(signal_by_name(bad[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers),
		cmocka_unit_test(all_that_this_host_names),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
