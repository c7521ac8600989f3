// SPDX-License-Identifier: Apache-2.0
/*
 * test_pool_wire.c - messages of the pool, through the tables of both sides
 */
#include "unit.h"

#include "client/pool_wire.h"

#include <errno.h>
#include <string.h>

static struct pool_request decoded(const char *text, int want)
{
	struct pool_request q = POOL_REQUEST_NEW;
	struct schema_seen seen;
	struct err err;

	assert_int_equal(schema_decode_text(&pool_request_schema, text,
					    strlen(text), &q, &seen, &err),
			 want);
	return q;
}

/* What was read is written as the same text. */
static void same_again(const char *text)
{
	struct pool_request q = decoded(text, 0);
	cleanup_buf struct buf out = {0};

	schema_encode(&pool_request_schema, &q, &out);
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.data, text, out.len);
	schema_free(&pool_request_schema, &q);
}

static void requests_round(void **state)
{
	(void)state;
	same_again("{\"v\":1,\"tag\":7,\"release\":{\"name\":\"a\"}}");
	same_again("{\"v\":1,\"tag\":18446744073709551615,\"ls\":{}}");
	same_again("{\"v\":1,\"tag\":0,\"ls\":{\"pool\":\"p\",\"members\":true,"
		   "\"after\":\"p-1\"}}");
	same_again("{\"v\":1,\"tag\":1,\"metrics\":{\"format\":\"json\"}}");
	same_again("{\"v\":1,\"tag\":1,\"create\":{\"pool\":\"p\",\"kind\":"
		   "\"clone\",\"snapshot\":\"/s\",\"size\":1,\"parallel\":2,"
		   "\"rate\":3,\"cpu\":4,\"memory_mib\":5,\"queue\":6,"
		   "\"wait_ms\":7,\"vmm\":[\"--no-seccomp\"]}}");
	same_again("{\"v\":1,\"tag\":1,\"lease\":{\"pool\":\"p\",\"drives\":[{"
		   "\"id\":\"d\",\"overlay\":\"/o\"}],\"networks\":[{\"id\":"
		   "\"n\",\"tap\":\"t0\"}],\"limits\":{\"memory_mib\":1,"
		   "\"cpu\":2,\"pids\":3},\"wait_ms\":0,\"api\":true}}");
}

static void defaults(void **state)
{
	struct pool_request q =
		decoded("{\"v\":1,\"create\":{\"pool\":\"p\",\"kind\":"
			"\"shell\"}}",
			0);

	(void)state;
	assert_true(q.has[POOL_DO_CREATE]);
	assert_int_equal(q.create.kind, POOL_SHELL);
	assert_int_equal(q.create.size, POOL_SIZE_DEFAULT);
	assert_int_equal(q.create.wait_ms, POOL_WAIT_MS_DEFAULT);
	assert_null(q.create.snapshot);
	schema_free(&pool_request_schema, &q);
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"v\":1",
		"{\"v\":-1}",
		"{\"v\":1,\"lease\":{}}",
		"{\"v\":1,\"lease\":{\"pool\":\"p\",\"pool\":\"q\"}}",
		"{\"v\":1,\"lease\":{\"pool\":\"p\",\"drives\":[{}]}}",
		"{\"v\":1,\"lease\":{\"pool\":\"p\",\"wait_ms\":4294967296}}",
		"{\"v\":1,\"metrics\":{\"format\":\"xml\"}}",
		"{\"v\":1,\"ls\":{}} ,",
		"{\"v\":1,\"unknown\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pool_request q = decoded(bad[i], -EINVAL);

		schema_free(&pool_request_schema, &q);
	}
}

static void answers_round(void **state)
{
	static const char *const texts[] = {
		"{\"v\":1,\"tag\":7}",
		"{\"v\":1,\"tag\":7,\"error\":{\"code\":\"full\",\"text\":"
		"\"x\"}}",
		"{\"v\":1,\"tag\":7,\"lease\":{\"id\":\"i\",\"name\":\"n\","
		"\"pid\":1,\"api\":\"/a\",\"us\":2}}",
		"{\"v\":1,\"tag\":7,\"exit\":{\"known\":true,\"status\":0,"
		"\"signal\":9}}",
		"{\"v\":1,\"tag\":7,\"ls\":{\"pools\":[],\"members\":[{\"id\":"
		"\"i\",\"pool\":\"p\",\"state\":\"leased\",\"name\":\"n\","
		"\"pid\":1,\"api\":\"/a\"}],\"more\":true}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct pool_answer a = {0};
		cleanup_buf struct buf out = {0};
		struct schema_seen seen;
		struct err err;

		assert_int_equal(schema_decode_text(&pool_answer_schema,
						    texts[i], strlen(texts[i]),
						    &a, &seen, &err),
				 0);
		schema_encode(&pool_answer_schema, &a, &out);
		assert_int_equal(out.len, strlen(texts[i]));
		assert_memory_equal(out.data, texts[i], out.len);
		schema_free(&pool_answer_schema, &a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_round),
		cmocka_unit_test(defaults),
		cmocka_unit_test(refused),
		cmocka_unit_test(answers_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
