/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_parse.h - HTTP/1.1 through the library that the release packages
 *
 * Theory of operation
 *
 * The library is llhttp, or http_parser where a release lacks it: Debian 12
 * has only http_parser, whose upstream is archived. http_parse.c is the one
 * file that knows which; meson.build finds it, the option http names one.
 *
 * What a client sees must not depend on the release, and the two do not judge
 * everything alike. They differ in the bytes of a target and of a header, in
 * headers that go on in the next line, in methods and versions, and in what
 * they say once the head is over. So the first two are checked before the
 * library reads, the request line is the caller's (gate/http.c), and the
 * library is stopped at the end of the head.
 *
 * Both functions take all bytes at once, and keep nothing.
 */
#pragma once

#include "base/bits.h"

/**
 * enum http_fault - what is wrong with a head
 * @HTTP_FAULT_TARGET:	the target is no URL
 * @HTTP_FAULT_HEADER:	a line that is no header
 * @HTTP_FAULT_LENGTH:	Content-Length is no number or comes twice, or there is
 *			a Transfer-Encoding
 */
enum http_fault {
	HTTP_FAULT_NONE,
	HTTP_FAULT_TARGET,
	HTTP_FAULT_HEADER,
	HTTP_FAULT_LENGTH,
};

/* One header; @value is without white space at its ends. */
typedef void http_header_fn(void *ctx, const char *name, size_t name_len,
			    const char *value, size_t value_len);

/**
 * http_parse_head() - read the head of a request
 * @data:	request line, headers and the empty line that ends them, each
 *		line with its CRLF
 * @target:	the second word of the request line
 * @body_len:	Content-Length; 0 without one
 * @header:	called with @ctx for each header, before a fault of a later one
 *		is known
 *
 * The request line has three words, the first being a method that both
 * libraries know, the last HTTP/1.0 or HTTP/1.1.
 */
enum http_fault http_parse_head(const char *data, size_t len,
				const char *target, size_t target_len,
				http_header_fn *header, void *ctx,
				uint64_t *body_len);

/**
 * http_parse_answer() - read the head of an answer
 * @data:	status line, headers and the empty line that ends them, each
 *		line with its CRLF
 * @status:	200 to 599
 * @body_len:	Content-Length; 0 for the statuses that have no body
 *
 * Return: 0; -EBADMSG when it is no HTTP/1.0 or 1.1, an interim answer (1xx),
 * or one whose end its length does not tell.
 */
int http_parse_answer(const char *data, size_t len, int *status,
		      uint64_t *body_len);
