// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_json.c - our JSON reader against another one, jansson
 *
 * Both take a text or both refuse it. Where they differ by design (nesting,
 * NUL in keys) the other one's answer does not count.
 */
#include "api_fuzz.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ours(const char *text, size_t size, struct err *err)
{
	struct json json;

	json_init(&json, text, size, err);
	return json_skip(&json) == 0 && json_end(&json) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct err err = {0};
	bool good = ours(text, size, &err);
	json_error_t error;
	json_t *theirs;

	/* No text has a raw NUL; jansson loses one behind a number. */
	if (memchr(text, 0, size)) {
		fuzz_check(!good);
		free(text);
		return 0;
	}
	theirs = json_loadb(text, size,
			    JSON_DECODE_ANY | JSON_ALLOW_NUL |
				    JSON_DECODE_INT_AS_REAL,
			    &error);
	if (good && !theirs)
		fuzz_check(json_error_code(&error) ==
			   json_error_null_byte_in_key);
	if (!good && theirs)
		fuzz_check(strstr(err.text, "recursion limit") != NULL);
	json_decref(theirs);
	free(text);
	return 0;
}
