// SPDX-License-Identifier: Apache-2.0
/*
 * make_filters.c - run by the build: prints filters.h (theory: calls.h)
 *
 * A program for each thread, in the three builds of which the preprocessor
 * takes one.
 */
#include "sandbox/calls.h"

#include <stdio.h>

static int print_filter(enum sandbox_thread thread, enum sandbox_build build)
{
	struct sock_filter code[SANDBOX_FILTER_MAX];
	int n = sandbox_compile(thread, build, code);

	if (n < 0) {
		(void)fprintf(stderr, "the filter of %s is too long\n",
			      sandbox_thread_name(thread));
		return n;
	}
	(void)printf("static const struct sock_filter filter_%s[] = {\n",
		     sandbox_thread_name(thread));
	for (int i = 0; i < n; i++)
		(void)printf("\t{0x%x, %u, %u, 0x%x},\n", code[i].code,
			     code[i].jt, code[i].jf, code[i].k);
	(void)printf("};\n");
	return 0;
}

/* Not of a build: values that no other row has. */
static void print_needs(void)
{
	(void)printf("static const struct {\n"
		     "\tuint32_t value;\n"
		     "\tunsigned int has;\n"
		     "} filter_needs[] = {\n");
	for (size_t i = 0; i < sandbox_nr_calls; i++)
		if (sandbox_calls[i].has)
			(void)printf("\t{0x%x, %u},\n",
				     sandbox_calls[i].test[0].value,
				     sandbox_calls[i].has);
	(void)printf("};\n");
}

int main(void)
{
	print_needs();
	for (unsigned int b = 0; b < SANDBOX_NR_BUILDS; b++) {
		(void)printf("#%s SANDBOX_BUILD == %u\n", b ? "elif" : "if", b);
		for (unsigned int t = 0; t < SANDBOX_NR_THREADS; t++)
			if (print_filter(t, b) < 0)
				return 1;
	}
	(void)printf("#endif\n");
	return fflush(stdout) != 0;
}
