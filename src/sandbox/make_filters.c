// SPDX-License-Identifier: Apache-2.0
/*
 * make_filters.c - run by the build: prints filters.h (theory: calls.h)
 *
 * A program for each thread, in the three builds of which the preprocessor
 * takes one, and which of their instructions depend on the process that loads
 * them: a start should not have to look for those.
 */
#include "sandbox/calls.h"

#include <stdio.h>

/* Greater than all numbers of calls: most values are no requests. */
#define REQUEST_MIN 0x1000u

/* @n: as it was compiled. */
static int print_filter(const char *name, const struct sock_filter *code, int n)
{
	if (n < 0) {
		(void)fprintf(stderr, "the filter %s is too long\n", name);
		return n;
	}
	(void)printf("static const struct sock_filter filter_%s[] = {\n", name);
	for (int i = 0; i < n; i++)
		(void)printf("\t{0x%x, %u, %u, 0x%x},\n", code[i].code,
			     code[i].jt, code[i].jf, code[i].k);
	(void)printf("};\n");
	return 0;
}

/*
 * What a VM must have for the request that @at compares with; 0: it is no such
 * instruction. Numbers of calls are below all requests.
 */
static unsigned int make_filters_needs(const struct sock_filter *at)
{
	if (at->code != (BPF_JMP | BPF_JEQ | BPF_K) || at->k < REQUEST_MIN)
		return 0;
	for (size_t i = 0; i < sandbox_nr_calls; i++)
		if (sandbox_calls[i].has &&
		    sandbox_calls[i].test[0].value == at->k)
			return sandbox_calls[i].has;
	return 0;
}

static void print_places(enum sandbox_thread thread, enum sandbox_build build,
			 struct sock_filter code[static SANDBOX_FILTER_MAX])
{
	int n = sandbox_compile(thread, build, code);

	for (int i = 0; i < n; i++)
		if (make_filters_needs(&code[i]) ||
		    code[i].k == SANDBOX_OWN_PID ||
		    code[i].k == SANDBOX_OWN_TID)
			(void)printf("\t{%u, %d, %u},\n", thread, i,
				     make_filters_needs(&code[i]));
}

/* The few instructions that loading a filter may change. */
static int print_build(enum sandbox_build build,
		       struct sock_filter code[static SANDBOX_FILTER_MAX])
{
	for (unsigned int t = 0; t < SANDBOX_NR_THREADS; t++)
		if (print_filter(sandbox_thread_name(t), code,
				 sandbox_compile(t, build, code)) < 0)
			return -1;
	if (print_filter("late", code, sandbox_compile_late(build, code)) < 0)
		return -1;
	(void)printf("static const struct {\n"
		     "\tuint16_t thread;\n"
		     "\tuint16_t at;\n"
		     "\tuint16_t has;\n"
		     "} filter_places[] = {\n");
	for (unsigned int t = 0; t < SANDBOX_NR_THREADS; t++)
		print_places(t, build, code);
	(void)printf("};\n");
	return 0;
}

int main(void)
{
	struct sock_filter code[SANDBOX_FILTER_MAX];

	for (unsigned int b = 0; b < SANDBOX_NR_BUILDS; b++) {
		(void)printf("#%s SANDBOX_BUILD == %u\n", b ? "elif" : "if", b);
		if (print_build(b, code) < 0)
			return 1;
	}
	(void)printf("#endif\n");
	return fflush(stdout) != 0;
}
