// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http.c - any bytes as HTTP, at once and in pieces
 *
 * The first byte is the size of the pieces, the rest is what a client sends.
 * However it is cut, it means the same.
 */
#include "api_fuzz.h"

#include "gate/http.h"

#define BODY_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const struct http_scan *scan, const char *data,
			  size_t size)
{
	const struct http_request *request = &scan->request;

	fuzz_check(request->head_len <= size &&
		   request->head_len <= HTTP_HEAD_MAX);
	fuzz_check(request->body_len <= BODY_MAX);
	fuzz_check(request->path >= data && request->path + request->path_len <=
						    data + request->head_len);
	fuzz_check(request->path_len == 0 || request->path[0] == '/');
	fuzz_check(memcmp(data + request->head_len - 4, "\r\n\r\n", 4) == 0);
}

/* One request from the start of @data. Return: bytes it takes, 0 for none. */
static size_t one_request(const char *data, size_t size, size_t step)
{
	struct http_scan whole = {0}, pieces = {0};
	enum http_state want = http_scan(&whole, data, size, BODY_MAX);
	enum http_state got = HTTP_WANT_HEAD;
	size_t len = 0;

	while (len < size && (got == HTTP_WANT_HEAD || got == HTTP_WANT_BODY)) {
		char *copy;

		len = size - len < step ? size : len + step;
		copy = fuzz_copy(data, len);
		got = http_scan(&pieces, copy, len, BODY_MAX);
		if (got == HTTP_WANT_BODY || got == HTTP_COMPLETE)
			check_request(&pieces, copy, len);
		free(copy);
	}
	fuzz_check(got == want);
	if (want == HTTP_ERROR)
		fuzz_check(whole.error[0]);
	if (want != HTTP_COMPLETE)
		return 0;
	fuzz_check(whole.request.head_len == pieces.request.head_len &&
		   whole.request.body_len == pieces.request.body_len &&
		   whole.request.method == pieces.request.method &&
		   whole.request.path_len == pieces.request.path_len &&
		   whole.request.expects == pieces.request.expects);
	return whole.request.head_len + whole.request.body_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step, off = 1, used;
	char *copy;

	if (size < 2)
		return 0;
	step = data[0] % 40u + 1;
	do {
		copy = fuzz_copy(data + off, size - off);
		used = one_request(copy, size - off, step);
		free(copy);
		off += used;
	} while (used > 0 && off < size);
	return 0;
}
