// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_pool.c - any bytes as what volt-pool reads
 *
 * The first byte says as what: a client's request, the daemon's answer, a
 * member's or a pool's record, an answer of a VM, /proc/PID/cgroup. What is
 * taken is within the bounds that its reader relies on, and is written so that
 * it is read again as the same.
 */
#include "api_fuzz.h"

#include "pool/call.h"
#include "pool/group.h"
#include "pool/record.h"
#include "pool/request.h"
#include "pool/steps.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads what it wrote as the same text. */
static void round_again(const struct schema_object *schema, const void *base,
			void *other)
{
	cleanup_buf struct buf one = {0}, two = {0};
	struct schema_seen seen;

	schema_encode(schema, base, &one);
	fuzz_check(schema_decode_text(schema, one.data, one.len, other, &seen,
				      NULL) == 0);
	schema_encode(schema, other, &two);
	fuzz_check(one.len == two.len &&
		   memcmp(one.data, two.data, one.len) == 0);
	schema_free(schema, other);
}

/* The steps of a lease are valid JSON, and as many as are counted. */
static void take_lease(const struct pool_lease_ask *ask)
{
	char path[] = "/s";
	const struct pool_create pools[] = {
		{.kind = POOL_CLONE, .snapshot = path},
		{.kind = POOL_SHELL, .snapshot = path},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		struct steps_call call = {0};
		size_t n = 0;

		while (steps_nth(&call, &pools[i], ask, n)) {
			struct json json;

			json_init(&json, call.body.data, call.body.len, NULL);
			fuzz_check(json_skip(&json) == 0 &&
				   json_end(&json) == 0);
			n++;
		}
		fuzz_check(n == 1 + (pools[i].kind == POOL_SHELL));
		steps_call_free(&call);
	}
}

static void take_request(const char *text, size_t len)
{
	struct pool_request q, other = POOL_REQUEST_NEW;
	enum pool_code code;
	struct err err;

	if (request_parse(&q, text, len, &code, &err) == 0) {
		fuzz_check(request_do(&q) < POOL_NR_DO);
		fuzz_check(q.create.size <= POOL_SIZE_MAX);
		fuzz_check(q.create.vmm.nr <= POOL_VMM_ARGS_MAX);
		if (q.has[POOL_DO_LEASE])
			take_lease(&q.lease);
		round_again(&pool_request_schema, &q, &other);
	} else {
		fuzz_check(code == POOL_BAD || code == POOL_VERSION);
	}
	schema_free(&pool_request_schema, &q);
}

static void take_object(const struct schema_object *schema, const char *text,
			size_t len)
{
	void *base = calloc(1, schema->size), *other = calloc(1, schema->size);
	struct schema_seen seen;

	fuzz_check(base && other);
	if (schema_decode_text(schema, text, len, base, &seen, NULL) == 0)
		round_again(schema, base, other);
	schema_free(schema, base);
	free(base);
	free(other);
}

static void take_answer(const char *text, size_t len)
{
	const char *body = NULL;
	size_t body_len = 0;
	int status = 0;
	char line[64];

	if (call_answer(text, len, true, &status, &body, &body_len) == 1)
		fuzz_check(status >= 200 && body + body_len <= text + len);
	if (call_answer(text, len, false, &status, &body, &body_len) != 1)
		return;
	fuzz_check(body + body_len == text + len);
	steps_fault(line, sizeof(line), body, body_len);
	fuzz_check(strlen(line) < sizeof(line));
}

static void take_group(const char *text, size_t len)
{
	char *copy = strndup(text, len);
	const char *path = NULL;
	size_t n;

	fuzz_check(copy);
	n = group_find(copy, &path);
	fuzz_check(n == 0 || (path >= copy && path + n <= copy + strlen(copy)));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (size < 1 || size > POOL_WIRE_MAX)
		return 0;
	size--;
	switch (data[0]) {
	case 'q':
		take_request(text, size);
		break;
	case 'a':
		take_object(&pool_answer_schema, text, size);
		break;
	case 'm':
		take_object(&record_member_schema, text, size);
		break;
	case 'p':
		take_object(&record_pool_schema, text, size);
		break;
	case 'h':
		take_answer(text, size);
		break;
	case 'g':
		take_group(text, size);
		break;
	default:
		break;
	}
	return 0;
}
