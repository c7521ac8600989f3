// SPDX-License-Identifier: Apache-2.0
/*
 * test_http.c - requests in a buffer, byte by byte and broken
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/http_parse.h"
#include "gate/http.h"

#define BODY_MAX 100u

static enum http_state scan_all(struct http_scan *scan, const char *text)
{
	memset(scan, 0, sizeof(*scan));
	return http_scan(scan, text, strlen(text), BODY_MAX);
}

/* All states on the way, in an exact copy of each prefix. */
static void byte_by_byte(void **state)
{
	static const char text[] = "PUT /a/b HTTP/1.1\r\nHost: x\r\n"
				   "content-LENGTH: 4\r\n\r\nbody";
	size_t head = strlen(text) - 4;
	struct http_scan scan = {0};

	(void)state;
	for (size_t len = 1; len <= strlen(text); len++) {
		char *copy = malloc(len);
		enum http_state want = len < head       ? HTTP_WANT_HEAD
				       : len < head + 4 ? HTTP_WANT_BODY
							: HTTP_COMPLETE;

		assert_non_null(copy);
		memcpy(copy, text, len);
		assert_int_equal(http_scan(&scan, copy, len, BODY_MAX), want);
		if (want != HTTP_WANT_HEAD) {
			assert_int_equal(scan.request.method, API_PUT);
			assert_int_equal(scan.request.path_len, 4);
			assert_memory_equal(scan.request.path, "/a/b", 4);
			assert_int_equal(scan.request.head_len, head);
			assert_int_equal(scan.request.body_len, 4);
		}
		free(copy);
	}
}

static void good_heads(void **state)
{
	static const struct {
		const char *text;
		const char *path;
		enum api_method method;
	} rows[] = {
		{"GET / HTTP/1.0\r\n\r\n", "/", API_GET},
		{"GET /x?a=b HTTP/1.1\r\n\r\n", "/x?a=b", API_GET},
		{"GET /x# HTTP/1.1\r\n\r\n", "/x#", API_GET},
		{"GET /%76 HTTP/1.1\r\n\r\n", "/%76", API_GET},
		{"GET http://localhost HTTP/1.1\r\n\r\n", "", API_GET},
		{"GET http://localhost/v HTTP/1.1\r\n\r\n", "/v", API_GET},
		{"GET * HTTP/1.1\r\n\r\n", "", API_GET},
		{"DELETE /d HTTP/1.1\r\nX:\r\n\r\n", "/d", API_DELETE},
		{"PATCH /d HTTP/1.1\r\nConnection: close\r\n\r\n", "/d",
		 API_PATCH},
		{"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "/", API_GET},
		{"GET / HTTP/1.1\r\nContent-Type: text/html\r\n\r\n", "/",
		 API_GET},
		{"GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n", "/",
		 API_GET},
		{"GET / HTTP/1.1\r\nAccept-Encoding: gzip;q=1.0, *;q=0.5"
		 "\r\n\r\n",
		 "/", API_GET},
		{"GET / HTTP/1.1\r\nAccept-Encoding: identity;q=0.001, *;q=0"
		 "\r\n\r\n",
		 "/", API_GET},
		{"GET / HTTP/1.1\r\nAccept-Encoding: *;q=0\r\n"
		 "accept-encoding: IDENTITY\r\n\r\n",
		 "/", API_GET},
		{"GET / HTTP/1.1\r\nAccept-Encoding: my-identity;q=0,,;,*\r\n"
		 "Accept-Encoding:\r\n\r\n",
		 "/", API_GET},
		{"GET / HTTP/1.1\r\nX:a : b\r\n\r\n", "/", API_GET},
		{"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade"
		 "\r\n\r\n",
		 "/", API_GET},
	};
	struct http_scan scan;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (scan_all(&scan, rows[i].text) != HTTP_COMPLETE)
			fail_msg("%s: %s", rows[i].text, scan.error);
		assert_int_equal(scan.request.method, rows[i].method);
		assert_int_equal(scan.request.path_len, strlen(rows[i].path));
		assert_memory_equal(scan.request.path, rows[i].path,
				    strlen(rows[i].path));
	}
}

static void bad_heads(void **state)
{
	static const char *const texts[] = {
		"GET / HTTP/2\r\n\r\n",
		"GET / HTTP/1.2\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"GET /\r\n\r\n",
		"GET\r\n\r\n",
		"\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\n\r\n",
		"FOO / HTTP/1.1\r\n\r\n",
		"get / HTTP/1.1\r\n\r\n",
		"HEAD / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET /a b HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nBad header\r\n\r\n",
		"GET / HTTP/1.1\r\n: v\r\n\r\n",
		"GET / HTTP/1.1\r\nX: \xff\xfe\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\r\nHost: x\n\r\n",
		"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept-Encoding: identity;q=0\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept-Encoding: gzip, *;q=0\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept-Encoding: Identity ; q=0.000\r\n"
		"\r\n",
		"GET / HTTP/1.1\r\nAccept-Encoding: identity\r\n"
		"Accept-Encoding: identity;Q=0.\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept-Encoding: x-identity, *;q=0.0\r\n"
		"\r\n",
		"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost\t: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\tContent-Length: 5\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
		"GET / HTTP/1.1\r\n \r\n\r\n",
		"\x16\x03\x01\r\n\r\n",
		/* What llhttp and http_parser differ in. */
		"GET http:// HTTP/1.1\r\n\r\n",
		"GET http://?a HTTP/1.1\r\n\r\n",
		"GET ftp://a/ HTTP/1.1\r\n\r\n",
		"GET a/ HTTP/1.1\r\n\r\n",
		"GET */ HTTP/1.1\r\n\r\n",
		"GET /\t HTTP/1.1\r\n\r\n",
		"GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
		"GET / HTTP/0.9\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / http/1.1\r\n\r\n",
		"QUERY / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\r\n X: a\r\n\r\n",
		"GET / HTTP/1.1\r\nX : a\r\n\r\n",
		"GET / HTTP/1.1\r\nX Y: a\r\n\r\n",
		"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
		"GET / HTTP/1.1\r\nX: a\x01\r\n\r\n",
		"GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n",
	};
	struct http_scan scan;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (scan_all(&scan, texts[i]) != HTTP_ERROR)
			fail_msg("accepted: %s", texts[i]);
		assert_true(strlen(scan.error) > 0);
	}
}

/* The sentences are ours, whichever library reads. */
static void sentences(void **state)
{
	static const struct {
		const char *text;
		const char *error;
	} rows[] = {
		{"GET\r\n\r\n", "Invalid request."},
		{"FOO\r\n\r\n", "Invalid request."},
		{"FOO / HTTP/2\r\nx\r\n\r\n",
		 "Invalid HTTP Method: Unsupported HTTP method."},
		{"GET  / HTTP/2\r\n\r\n",
		 "Invalid URI: Empty URI not allowed."},
		{"GET x HTTP/2\r\n\r\n",
		 "Invalid HTTP Version: Unsupported HTTP version."},
		{"GET x HTTP/1.1\r\nx\r\n\r\n", "Invalid URI: Malformed URI."},
		{"GET / HTTP/1.1\r\nContent-Length: x\r\ny\r\n\r\n",
		 "Invalid header. Reason: Header is incorrectly formatted."},
		{"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
		 "Invalid header. Reason: Invalid value. Key:Content-Length or "
		 "Transfer-Encoding"},
		{"GET / HTTP/1.1\r\nContent-Length: 18446744073709551610\r\n"
		 "\r\n",
		 "Invalid header. Reason: Invalid value. Key:Content-Length or "
		 "Transfer-Encoding"},
		{"GET / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n"
		 "\r\n",
		 "Invalid header. Reason: Invalid value. Key:Content-Length or "
		 "Transfer-Encoding"},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
		 "Invalid header. Reason: Invalid value. Key:Content-Length or "
		 "Transfer-Encoding"},
	};
	struct http_scan scan;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(scan_all(&scan, rows[i].text), HTTP_ERROR);
		assert_string_equal(scan.error, rows[i].error);
	}
}

/* The head in an exact copy. Return: as http_parse_answer(). */
static int answer_head(const char *text, int *status, uint64_t *len)
{
	char *copy = malloc(strlen(text));
	int r;

	assert_non_null(copy);
	memcpy(copy, text, strlen(text));
	r = http_parse_answer(copy, strlen(text), status, len);
	free(copy);
	return r;
}

static void heads_of_answers(void **state)
{
	static const struct {
		const char *text;
		int status;
		uint64_t len;
	} rows[] = {
		{"HTTP/1.1 204 \r\nServer: Firecracker API\r\n"
		 "Connection: keep-alive\r\n\r\n",
		 204, 0},
		{"HTTP/1.1 204\r\n\r\n", 204, 0},
		{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0},
		{"HTTP/1.1 400 Bad Request\r\ncontent-length: 8\r\n\r\n", 400,
		 8},
		{"HTTP/1.1 503 \r\nContent-Length: 1000000000000000000\r\n"
		 "\r\n",
		 503, 1000000000000000000},
		{"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551609\r\n"
		 "\r\n",
		 200, 18446744073709551609u},
	};
	uint64_t len;
	int status;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(answer_head(rows[i].text, &status, &len), 0);
		assert_int_equal(status, rows[i].status);
		assert_true(len == rows[i].len);
	}
}

/* What is refused leaves what was there. */
static void heads_of_no_answers(void **state)
{
	static const char *const rows[] = {
		"\r\n\r\n",
		"SSH-2.0-x\r\n\r\n",
		"HTTP/1.1\r\n\r\n",
		"HTTP/1.1 20\r\n\r\n",
		"HTTP/1.1 2O4 \r\n\r\n",
		"HTTP/1.1 2040\r\n\r\n",
		"HTTP/1.1  204\r\n\r\n",
		"HTTP/1.2 204 \r\n\r\n",
		"HTTP/2.0 204 \r\n\r\n",
		"HTTP/1.1 204 \x1b[2J\r\n\r\n",
		"HTTP/1.1 099 \r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 600 \r\nContent-Length: 0\r\n\r\n",
		/* no end, or two */
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
		"Transfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4"
		"\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551610\r\n"
		"\r\n",
		"HTTP/1.1 204 \r\nContent-Length: 18446744073709551615\r\n"
		"\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n"
		"\r\n",
		"HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n",
		/* no headers */
		"HTTP/1.1 204 \r\nServer\r\n\r\n",
		"HTTP/1.1 204 \r\n: x\r\n\r\n",
		"HTTP/1.1 204 \r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 204 \nA: b\r\n\r\n",
	};
	uint64_t len = 7;
	int status = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (answer_head(rows[i], &status, &len) != -EBADMSG)
			fail_msg("accepted: %s", rows[i]);
		assert_true(status == 7 && len == 7);
	}
}

/* security.md H6: a length that is not one. */
static void content_lengths(void **state)
{
	static const struct {
		const char *header;
		enum http_state state;
	} rows[] = {
		{"Content-Length: 100", HTTP_WANT_BODY},
		{"Content-Length:  007 ", HTTP_WANT_BODY},
		{"Content-Length: 101", HTTP_ERROR},
		{"Content-Length: -1", HTTP_ERROR},
		{"Content-Length: +1", HTTP_ERROR},
		{"Content-Length: 1,1", HTTP_ERROR},
		{"Content-Length: 1 1", HTTP_ERROR},
		{"Content-Length: 0x10", HTTP_ERROR},
		{"Content-Length: x", HTTP_ERROR},
		{"Content-Length: 1\r\nContent-Length: 1", HTTP_ERROR},
		{"Content-Length: 1\r\nContent-Length: 2", HTTP_ERROR},
		{"Content-Length: 4294967296", HTTP_ERROR},
		{"Content-Length: 9223372036854775808", HTTP_ERROR},
		{"Content-Length: 18446744073709551615", HTTP_ERROR},
		{"Content-Length: 18446744073709551616", HTTP_ERROR},
		{"Content-Length: 99999999999999999999999999", HTTP_ERROR},
		{"Content-Length: 5\r\nTransfer-Encoding: chunked", HTTP_ERROR},
		{"Transfer-Encoding: chunked\r\nContent-Length: 5", HTTP_ERROR},
		{"Content-Length: 5\r\nTransfer-EncodingX: 5", HTTP_ERROR},
		{"Transfer-EncodingX: 5\r\nContent-Length: 5", HTTP_ERROR},
	};
	struct http_scan scan;
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(text, sizeof(text),
			       "PUT /x HTTP/1.1\r\n%s\r\n\r\n", rows[i].header);
		if (scan_all(&scan, text) != rows[i].state)
			fail_msg("%s", rows[i].header);
	}
}

/* A line of HTTP_LINE_MAX bytes passes; one more does not. */
static void long_lines(void **state)
{
	struct http_scan scan;
	char *text = malloc(4096);

	(void)state;
	assert_non_null(text);
	for (int extra = 0; extra < 2; extra++) {
		size_t n = HTTP_LINE_MAX + (size_t)extra;

		memset(text, 'a', 4096);
		memcpy(text, "GET /", 5);
		memcpy(text + n - 9, " HTTP/1.1\r\n\r\n", 14);
		assert_int_equal(scan_all(&scan, text),
				 extra ? HTTP_ERROR : HTTP_COMPLETE);
		memset(text, 'a', 4096);
		memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
		memcpy(text + 16 + n, "\r\n\r\n", 5);
		assert_int_equal(scan_all(&scan, text),
				 extra ? HTTP_ERROR : HTTP_COMPLETE);
	}
	/* One that never ends is refused before it does. */
	memset(text, 'a', 4096);
	memset(&scan, 0, sizeof(scan));
	assert_int_equal(http_scan(&scan, text, 1024, BODY_MAX),
			 HTTP_WANT_HEAD);
	assert_int_equal(http_scan(&scan, text, 1100, BODY_MAX), HTTP_ERROR);
	free(text);
}

static void many_headers(void **state)
{
	size_t size = HTTP_HEAD_MAX + 100;
	char *text = malloc(size);
	struct http_scan scan = {0};
	size_t len;

	(void)state;
	assert_non_null(text);
	len = (size_t)snprintf(text, size, "GET / HTTP/1.1\r\n");
	while (len + 8 <= size)
		len += (size_t)snprintf(text + len, size - len, "a: b\r\n");
	assert_int_equal(http_scan(&scan, text, len, BODY_MAX), HTTP_ERROR);
	free(text);
}

static void expectations(void **state)
{
	struct http_scan scan;

	(void)state;
	assert_int_equal(scan_all(&scan, "PUT /x HTTP/1.1\r\n"
					 "Expect: 100-Continue\r\n"
					 "Content-Length: 5\r\n\r\n"),
			 HTTP_WANT_BODY);
	assert_true(scan.request.expects);
	assert_int_equal(scan_all(&scan, "GET /x HTTP/1.1\r\n"
					 "Expect: 103\r\n\r\n"),
			 HTTP_COMPLETE);
	assert_false(scan.request.expects);
}

static void responses(void **state)
{
	static const char want[] = "HTTP/1.1 204 \r\n"
				   "Server: Firecracker API\r\n"
				   "Connection: keep-alive\r\n"
				   "\r\n"
				   "HTTP/1.1 400 \r\n"
				   "Server: Firecracker API\r\n"
				   "Connection: keep-alive\r\n"
				   "Deprecation: true\r\n"
				   "Content-Type: application/json\r\n"
				   "Content-Length: 2\r\n"
				   "\r\n"
				   "{}"
				   "HTTP/1.1 100 \r\n"
				   "Server: Firecracker API\r\n"
				   "Connection: keep-alive\r\n"
				   "\r\n";
	struct buf out = {0};

	(void)state;
	http_put_response(&out, 204, false, false, NULL, 0);
	http_put_response(&out, 400, true, false, "{}", 2);
	http_put_continue(&out);
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.data, want, out.len);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(good_heads),
		cmocka_unit_test(bad_heads),
		cmocka_unit_test(sentences),
		cmocka_unit_test(heads_of_answers),
		cmocka_unit_test(heads_of_no_answers),
		cmocka_unit_test(content_lengths),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(many_headers),
		cmocka_unit_test(expectations),
		cmocka_unit_test(responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
