/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - one HTTP/1.1 request out of a buffer, one response into another
 *
 * Theory of operation
 *
 * A connection's input is one buffer; http_scan() is called with it whenever
 * bytes came and says whether a whole request stands at its beginning. Lines
 * are checked as they arrive (length, CRLF), so a line that never ends is
 * refused early. The head is parsed once, when it is complete: the request line
 * here, as Firecracker does it, the rest by the system's library
 * (base/http_parse.h). The body is what Content-Length says; it is never
 * decoded.
 *
 * After an error nothing in the buffer can be trusted to be the start of a
 * request: the connection answers it and is closed.
 */
#pragma once

#include "base/buf.h"
#include "gate/method.h"

#define HTTP_LINE_MAX 1024u
#define HTTP_HEAD_MAX 16384u

/**
 * struct http_request - a request in the connection's buffer
 * @path:	absolute path of the target, within the buffer; may be empty
 * @head_len:	bytes of the head, the empty line included
 * @body_len:	bytes that follow
 * @expects:	the client waits for 100 before it sends the body
 */
struct http_request {
	enum api_method method;
	const char *path;
	size_t path_len;
	size_t head_len;
	size_t body_len;
	bool expects;
};

enum http_state {
	HTTP_WANT_HEAD, /* the head is not complete */
	HTTP_WANT_BODY, /* the head is, the body is not */
	HTTP_COMPLETE,
	HTTP_ERROR, /* @error tells the client why */
};

/**
 * struct http_scan - how far a buffer is understood; zeroed for a new request
 * @line_start:	of the line being scanned
 * @scanned:	bytes looked at
 * @head_done:	@request is filled
 */
struct http_scan {
	size_t line_start;
	size_t scanned;
	bool head_done;
	size_t path_offset;
	struct http_request request;
	char error[256];
};

/**
 * http_scan() - look at @len bytes at @data, which begin with a request
 * @body_max:	largest body allowed
 *
 * The same request's bytes stay at the beginning from call to call, but may
 * have moved; @scan->request.path is set for this call's @data.
 */
enum http_state http_scan(struct http_scan *scan, const char *data, size_t len,
			  uint64_t body_max);

/* The interim answer to Expect: 100-continue. */
void http_put_continue(struct buf *out);

/**
 * http_put_response() - status line, headers and body
 * @body:	empty for none
 * @close:	say that the connection ends here
 */
void http_put_response(struct buf *out, int status, bool deprecated, bool close,
		       const char *body, size_t len);

/* The answer to malformed HTTP: 400 and {"error": ...}. */
void http_put_error(struct buf *out, const char *text);

/* What the eleventh connection gets. */
extern const char http_too_many[];
