/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_fuzz.h - what the fuzz targets of the API share
 */
#pragma once

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/resource.h"

#define fuzz_check(cond)         \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Interfaces that a body names are made in a network of our own, if at all. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (unshare(CLONE_NEWNET) < 0)
		(void)unshare(CLONE_NEWUSER | CLONE_NEWNET);
	return 0;
}

/* An exact copy, so that a byte too far is found. Never NULL. */
static inline char *fuzz_copy(const void *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	fuzz_check(copy);
	memcpy(copy, data, size);
	return copy;
}

/*
 * Decode @text as a body of @schema. What decodes is encoded, and the result
 * decodes to the same text again: decoder and encoder agree.
 */
static inline void fuzz_body(const struct schema_object *schema,
			     const char *text, size_t len)
{
	void *base = calloc(1, schema->size);
	void *again = calloc(1, schema->size);
	struct schema_seen seen;
	struct buf one = {0}, two = {0};
	struct err err = {0};

	fuzz_check(base && again);
	if (schema_decode_text(schema, text, len, base, &seen, &err) == 0) {
		schema_encode(schema, base, &one);
		/* Null is what unset fields are, and not all may be null. */
		if (schema_decode_text(schema, one.data, one.len, again, &seen,
				       &err) == 0) {
			schema_encode(schema, again, &two);
			fuzz_check(one.len == two.len &&
				   memcmp(one.data, two.data, one.len) == 0);
		}
	} else {
		fuzz_check(err.rc == -EINVAL && err.text[0]);
	}
	schema_free(schema, base);
	schema_free(schema, again);
	buf_free(&one);
	buf_free(&two);
	free(base);
	free(again);
}
