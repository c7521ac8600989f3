// SPDX-License-Identifier: Apache-2.0
/*
 * test_sandbox_late.c - the filter that makes the early gate a gate
 *
 * What it and the early gate's filter make of a call together must be what both
 * whole filters do. They are run here, as the kernel would: each number, with
 * each value that some row compares an argument with.
 */
#include "unit.h"

#include "sandbox/calls.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#define NR_MAX 600

/**
 * struct filters - of one build
 */
struct filters {
	struct sock_filter early[SANDBOX_FILTER_MAX];
	struct sock_filter gate[SANDBOX_FILTER_MAX];
	struct sock_filter late[SANDBOX_FILTER_MAX];
	int nr_gate;
	int nr_late;
};

/* The few instructions that compile.c makes. Return: the action. */
static uint32_t late_run(const struct sock_filter *code,
			 const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned int pc = 0; pc < SANDBOX_FILTER_MAX; pc++) {
		const struct sock_filter *at = &code[pc];
		bool yes = false;

		switch (at->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_in_range(at->k, 0, sizeof(*data) - sizeof(a));
			memcpy(&a, (const char *)data + at->k, sizeof(a));
			continue;
		case BPF_RET | BPF_K:
			return at->k & SECCOMP_RET_ACTION_FULL;
		case BPF_JMP | BPF_JA:
			pc += at->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == at->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= at->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = (a & at->k) != 0;
			break;
		default:
			fail();
		}
		pc += yes ? at->jt : at->jf;
	}
	fail();
	return 0;
}

/* The kernel takes the stricter one; its actions are ordered as int32. */
static uint32_t late_both(const struct sock_filter *a,
			  const struct sock_filter *b,
			  const struct seccomp_data *data)
{
	uint32_t x = late_run(a, data), y = late_run(b, data);

	return (int32_t)x < (int32_t)y ? x : y;
}

static void late_compare(const struct filters *f,
			 const struct seccomp_data *data)
{
	assert_int_equal(late_both(f->early, f->late, data),
			 late_both(f->early, f->gate, data));
}

/* With what its rows compare, and with what they do not. */
static void late_compare_call(const struct filters *f, int nr)
{
	struct seccomp_data data = {.nr = nr, .arch = AUDIT_ARCH_X86_64};

	late_compare(f, &data);
	memset(data.args, 0xff, sizeof(data.args));
	late_compare(f, &data);
	for (size_t i = 0; i < sandbox_nr_calls; i++) {
		const struct sandbox_call *row = &sandbox_calls[i];

		memset(data.args, 0, sizeof(data.args));
		if (row->nr != (unsigned int)nr)
			continue;
		for (size_t k = 0; k < SANDBOX_TESTS_MAX; k++)
			if (row->test[k].op != SANDBOX_NO_TEST)
				data.args[row->test[k].arg] =
					row->test[k].value;
		late_compare(f, &data);
	}
}

static void late_compile(struct filters *f, enum sandbox_build build)
{
	assert_true(sandbox_compile(SANDBOX_GATE_EARLY, build, f->early) > 0);
	f->nr_gate = sandbox_compile(SANDBOX_GATE, build, f->gate);
	f->nr_late = sandbox_compile_late(build, f->late);
	assert_true(f->nr_gate > 0 && f->nr_late > 0);
}

static void test_both_are_as_both(void **state)
{
	struct filters *f = calloc(1, sizeof(*f));

	(void)state;
	assert_non_null(f);
	for (unsigned int b = 0; b < SANDBOX_NR_BUILDS; b++) {
		struct seccomp_data other = {.arch = AUDIT_ARCH_I386};

		late_compile(f, b);
		for (int nr = 0; nr <= NR_MAX; nr++)
			late_compare_call(f, nr);
		late_compare(f, &other);
		late_compare_call(f, 0x40000000);
	}
	free(f);
}

/* What the early gate may is taken from it: not by luck of the other test. */
static void test_what_is_lost(void **state)
{
	static const int lost[] = {SYS_bind, SYS_listen, SYS_seccomp};
	struct filters *f = calloc(1, sizeof(*f));

	(void)state;
	assert_non_null(f);
	late_compile(f, SANDBOX_GLIBC);
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		struct seccomp_data data = {
			.nr = lost[i],
			.arch = AUDIT_ARCH_X86_64,
			.args = {SECCOMP_SET_MODE_FILTER},
		};

		assert_int_equal(late_run(f->early, &data), SECCOMP_RET_ALLOW);
		assert_int_not_equal(late_run(f->late, &data),
				     SECCOMP_RET_ALLOW);
	}
	free(f);
}

/* It is loaded while a guest waits. */
static void test_it_is_short(void **state)
{
	struct filters *f = calloc(1, sizeof(*f));

	(void)state;
	assert_non_null(f);
	for (unsigned int b = 0; b < SANDBOX_NR_BUILDS; b++) {
		late_compile(f, b);
		assert_true(f->nr_late * 8 < f->nr_gate);
	}
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_are_as_both),
		cmocka_unit_test(test_what_is_lost),
		cmocka_unit_test(test_it_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
