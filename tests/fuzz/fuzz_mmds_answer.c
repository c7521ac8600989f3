// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mmds_answer.c - HTTP of the metadata service
 *
 * The first byte: version and compatibility. Every answer is one that a reader
 * of HTTP understands, with as many bytes behind its head as it says.
 */
#include "api_fuzz.h"

#include "base/http_parse.h"
#include "mmds/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_answer(const struct buf *out)
{
	const char *body = memmem(out->data, out->len, "\r\n\r\n", 4);
	uint64_t len;
	int status;

	fuzz_check(body);
	body += 4;
	fuzz_check(http_parse_answer(out->data, (size_t)(body - out->data),
				     &status, &len) == 0);
	fuzz_check(status == 200 || status == 400 || status == 401 ||
		   status == 404 || status == 405 || status == 501);
	fuzz_check(len == (size_t)(out->data + out->len - body));
}

static void answer_all(struct mmds *mmds, const char *text, size_t size)
{
	while (size > 0) {
		size_t n = mmds_request_end(text, size);
		char *request = fuzz_copy(text, n);
		struct buf out = {0};

		if (n == 0) {
			free(request);
			return;
		}
		mmds_answer(mmds, request, n, 1000000000, &out);
		is_answer(&out);
		buf_free(&out);
		free(request);
		text += n;
		size -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char document[] =
		"{\"latest\":{\"meta-data\":{\"ami-id\":\"a\",\"arr\":[1,"
		"\"x\"],\"n\":1,\"obj\":{\"k\":\"v\"}}},\"a/b\":\"c\"}";
	struct mmds mmds = {.limit = MIB(1)};
	struct err err;

	if (size == 0)
		return 0;
	mmds.version = data[0] & 1 ? MMDS_V2 : MMDS_V1;
	mmds.imds_compat = data[0] & 2;
	fuzz_check(mmds_put(&mmds, document, strlen(document), &err) == 0);
	answer_all(&mmds, (const char *)data + 1, size - 1);
	mmds_fini(&mmds);
	return 0;
}
