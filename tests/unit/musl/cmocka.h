/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka.h - what the unit tests use of cmocka, for musl
 *
 * Debian has cmocka for glibc only, and volt-vmm ships with musl. The tests are
 * compiled a second time with this header and linked with the very objects of
 * volt-vmm. The names and meanings are cmocka's; a test that fails jumps back
 * to the runner. State is at file scope, as each program has one runner.
 */
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*test_func)(void **state);
	int (*setup)(void **state);
	int (*teardown)(void **state);
	void *initial_state;
};

enum unit_jump { UNIT_FAILED = 1, UNIT_SKIPPED };

static jmp_buf unit_runner;

#define cmocka_unit_test(f)              {#f, f, NULL, NULL, NULL}
#define cmocka_unit_test_setup(f, setup) {#f, f, setup, NULL, NULL}
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
	{#f, f, setup, teardown, NULL}

#define print_message(...) ((void)printf(__VA_ARGS__))
#define print_error(...)   ((void)fprintf(stderr, __VA_ARGS__))
#define skip()             longjmp(unit_runner, UNIT_SKIPPED)
#define fail()             fail_msg("fail()")
#define fail_msg(...)                                                 \
	do {                                                          \
		(void)fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
		(void)fprintf(stderr, __VA_ARGS__);                   \
		(void)fprintf(stderr, "\n");                          \
		longjmp(unit_runner, UNIT_FAILED);                    \
	} while (0)

#define assert_true(x)                               \
	do {                                         \
		if (!(x))                            \
			fail_msg("%s is false", #x); \
	} while (0)
#define assert_false(x)                             \
	do {                                        \
		if (x)                              \
			fail_msg("%s is true", #x); \
	} while (0)
#define assert_null(x)             assert_true((x) == NULL)
#define assert_non_null(x)         assert_true((x) != NULL)
#define assert_ptr_equal(a, b)     assert_true((const void *)(a) == (b))
#define assert_ptr_not_equal(a, b) assert_true((const void *)(a) != (b))
#define assert_return_code(r, e)                         \
	do {                                             \
		if ((r) < 0)                             \
			fail_msg("%s: errno %d", #r, e); \
	} while (0)

/* As in cmocka, whole numbers of every type are compared as 64 bits. */
#define UNIT_NUMBER(x) ((unsigned long long)(x))
#define UNIT_COMPARE(a, op, b)                                          \
	do {                                                            \
		unsigned long long unit_a = UNIT_NUMBER(a);             \
		unsigned long long unit_b = UNIT_NUMBER(b);             \
                                                                        \
		if (!(unit_a op unit_b))                                \
			fail_msg("%s %s %s: %#llx, %#llx", #a, #op, #b, \
				 unit_a, unit_b);                       \
	} while (0)
#define assert_int_equal(a, b)     UNIT_COMPARE(a, ==, b)
#define assert_int_not_equal(a, b) UNIT_COMPARE(a, !=, b)
#define assert_in_range(x, low, high)                                \
	do {                                                         \
		unsigned long long unit_x = UNIT_NUMBER(x);          \
		unsigned long long unit_low = UNIT_NUMBER(low);      \
                                                                     \
		if (unit_x < unit_low || unit_x > UNIT_NUMBER(high)) \
			fail_msg("%s: %#llx", #x, unit_x);           \
	} while (0)

#define assert_string_equal(a, b)                                         \
	do {                                                              \
		const char *unit_s = (a), *unit_t = (b);                  \
                                                                          \
		if (strcmp(unit_s, unit_t) != 0)                          \
			fail_msg("\"%s\" is not \"%s\"", unit_s, unit_t); \
	} while (0)
#define assert_memory_equal(a, b, len)     assert_true(memcmp(a, b, len) == 0)
#define assert_memory_not_equal(a, b, len) assert_true(memcmp(a, b, len) != 0)

/* Return: whether the test did not fail. */
static inline bool unit_run_test(const struct CMUnitTest *test)
{
	void *state = test->initial_state;
	volatile bool ok = true;

	switch (setjmp(unit_runner)) {
	case 0:
		if (test->setup && test->setup(&state) != 0)
			fail_msg("the set-up failed");
		test->test_func(&state);
		break;
	case UNIT_SKIPPED:
		print_message("[  SKIPPED ] %s\n", test->name);
		break;
	default:
		print_message("[  FAILED  ] %s\n", test->name);
		ok = false;
	}
	if (test->teardown && setjmp(unit_runner) == 0)
		(void)test->teardown(&state);
	return ok;
}

static inline int unit_run(const struct CMUnitTest *tests, size_t nr)
{
	int failed = 0;

	for (size_t i = 0; i < nr; i++)
		failed += !unit_run_test(&tests[i]);
	print_message("%zu tests, %d failed\n", nr, failed);
	return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
	unit_run(tests, sizeof(tests) / sizeof((tests)[0]))
