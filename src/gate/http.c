// SPDX-License-Identifier: Apache-2.0
/*
 * http.c - HTTP/1.1 requests and responses (theory of operation: http.h)
 */
#include "gate/http.h"

#include "base/http_parse.h"

#include <stdio.h>
#include <strings.h>

const char http_too_many[] = "HTTP/1.1 503\r\n"
			     "Server: Firecracker API\r\n"
			     "Connection: close\r\n"
			     "Content-Length: 40\r\n"
			     "\r\n"
			     "{ \"error\": \"Too many open connections\" }";

static enum http_state http_fail(struct http_scan *scan, const char *text)
{
	(void)snprintf(scan->error, sizeof(scan->error), "%s", text);
	return HTTP_ERROR;
}

/* What the first line names. */
struct line {
	const char *target;
	size_t target_len;
};

/**
 * struct headers - what the headers say
 * @names_identity: Accept-Encoding says something about it
 * @refuses_identity, @refuses_others: by q=0; others is "*"
 */
struct headers {
	bool expects;
	bool names_identity;
	bool refuses_identity;
	bool refuses_others;
};

/* A piece of a header's value; not NUL-terminated. */
struct piece {
	const char *at;
	size_t len;
};

/* Blanks at both ends are no part of it. */
static struct piece trim(struct piece p)
{
	while (p.len > 0 && (*p.at == ' ' || *p.at == '\t')) {
		p.at++;
		p.len--;
	}
	while (p.len > 0 && (p.at[p.len - 1] == ' ' || p.at[p.len - 1] == '\t'))
		p.len--;
	return p;
}

/* Cut what stands before @separator off @rest. */
static struct piece http_cut(struct piece *rest, char separator)
{
	const char *end =
		rest->len > 0 ? memchr(rest->at, separator, rest->len) : NULL;
	struct piece first = {rest->at, rest->len};

	if (end)
		first.len = (size_t)(end - rest->at);
	rest->at += first.len;
	rest->len -= first.len;
	if (end) {
		rest->at++;
		rest->len--;
	}
	return trim(first);
}

static bool http_equals(struct piece p, const char *word)
{
	return p.len == strlen(word) && strncasecmp(p.at, word, p.len) == 0;
}

/* RFC 9110, 12.4.2: "q=0", "q=0." and up to three zeros behind it. */
static bool is_q_zero(struct piece p)
{
	size_t i = 3;

	if (p.len < 3 || strncasecmp(p.at, "q=0", 3) != 0)
		return false;
	if (i < p.len && p.at[i] == '.')
		i++;
	while (i < p.len && p.at[i] == '0')
		i++;
	return i == p.len && p.len <= 7;
}

/* RFC 9110, 12.5.3. Several such headers are one list. */
static void take_encodings(struct headers *headers, struct piece list)
{
	while (list.len > 0) {
		struct piece rest = http_cut(&list, ',');
		struct piece coding = http_cut(&rest, ';');
		bool zero = is_q_zero(trim(rest));

		if (http_equals(coding, "identity")) {
			headers->names_identity = true;
			headers->refuses_identity |= zero;
		} else if (http_equals(coding, "*")) {
			headers->refuses_others |= zero;
		}
	}
}

static void on_header(void *ctx, const char *name, size_t name_len,
		      const char *value, size_t len)
{
	struct piece key = {name, name_len}, val = {value, len};
	struct headers *headers = ctx;

	if (http_equals(key, "expect"))
		headers->expects = http_equals(val, "100-continue");
	if (http_equals(key, "accept-encoding"))
		take_encodings(headers, val);
}

static bool is_utf8(const char *data, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_next(data + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

/* The path of "/x" or "http://host/x"; empty for "*". */
static void http_set_path(struct http_scan *scan, const char *data,
			  const struct line *line)
{
	static const char scheme[] = "http://";
	const char *path = line->target;
	size_t len = line->target_len;

	if (len >= strlen(scheme) &&
	    strncasecmp(path, scheme, strlen(scheme)) == 0) {
		path += strlen(scheme);
		len -= strlen(scheme);
		while (len > 0 && *path != '/') {
			path++;
			len--;
		}
	}
	if (len > 0 && *path != '/')
		len = 0;
	scan->path_offset = (size_t)(path - data);
	scan->request.path_len = len;
}

static bool map_method(const char *name, size_t len, enum api_method *method)
{
	static const char *const names[API_NR_METHODS] = {
		[API_GET] = "GET",
		[API_PUT] = "PUT",
		[API_PATCH] = "PATCH",
		[API_DELETE] = "DELETE",
	};

	for (unsigned int i = 0; i < API_NR_METHODS; i++) {
		if (len == strlen(names[i]) &&
		    memcmp(name, names[i], len) == 0) {
			*method = (enum api_method)i;
			return true;
		}
	}
	return false;
}

static const char *find_space(const char *at, const char *end)
{
	return memchr(at, ' ', (size_t)(end - at));
}

/*
 * The first line, faults in Firecracker's order. Its words are what one space
 * separates: two of them leave an empty target between.
 */
static enum http_state parse_line(struct http_scan *scan, const char *data,
				  size_t len, struct line *line)
{
	const char *end = (const char *)memchr(data, '\n', len) - 1;
	const char *first = find_space(data, end);
	const char *second = first ? find_space(first + 1, end) : NULL;

	if (!second)
		return http_fail(scan, "Invalid request.");
	if (!map_method(data, (size_t)(first - data), &scan->request.method))
		return http_fail(scan, "Invalid HTTP Method: Unsupported HTTP "
				       "method.");
	line->target = first + 1;
	line->target_len = (size_t)(second - line->target);
	if (line->target_len == 0)
		return http_fail(scan, "Invalid URI: Empty URI not allowed.");
	if (end - second != 9 || (memcmp(second, " HTTP/1.1", 9) != 0 &&
				  memcmp(second, " HTTP/1.0", 9) != 0))
		return http_fail(scan, "Invalid HTTP Version: Unsupported HTTP "
				       "version.");
	return HTTP_WANT_BODY;
}

static enum http_state parse_head(struct http_scan *scan, const char *data,
				  size_t len, uint64_t body_max)
{
	static const char *const faults[] = {
		[HTTP_FAULT_TARGET] = "Invalid URI: Malformed URI.",
		[HTTP_FAULT_HEADER] = "Invalid header. Reason: Header is "
				      "incorrectly formatted.",
		[HTTP_FAULT_LENGTH] = "Invalid header. Reason: Invalid value. "
				      "Key:Content-Length or "
				      "Transfer-Encoding",
	};
	struct http_request *request = &scan->request;
	struct headers headers = {0};
	struct line line = {0};
	enum http_fault fault;
	uint64_t body_len;

	if (!is_utf8(data, len))
		return http_fail(scan,
				 "Invalid header. Reason: Header contains "
				 "invalid characters.");
	if (parse_line(scan, data, len, &line) == HTTP_ERROR)
		return HTTP_ERROR;
	fault = http_parse_head(data, len, line.target, line.target_len,
				on_header, &headers, &body_len);
	if (fault)
		return http_fail(scan, faults[fault]);
	if (headers.refuses_identity ||
	    (headers.refuses_others && !headers.names_identity))
		return http_fail(scan, "Invalid header. Reason: Invalid value. "
				       "Key:Accept-Encoding");
	request->expects = headers.expects;
	request->head_len = len;
	if (body_len > body_max) {
		(void)snprintf(scan->error, sizeof(scan->error),
			       "Request payload with size %llu is larger than "
			       "the limit of %llu allowed by server.",
			       (unsigned long long)body_len,
			       (unsigned long long)body_max);
		return HTTP_ERROR;
	}
	request->body_len = (size_t)body_len;
	http_set_path(scan, data, &line);
	return HTTP_WANT_BODY;
}

/*
 * Take lines up to the empty one that ends the head. A line is refused as soon
 * as it is too long, complete or not.
 */
static enum http_state scan_lines(struct http_scan *scan, const char *data,
				  size_t len)
{
	while (scan->scanned < len) {
		size_t i = scan->scanned++;
		size_t line_len = i - scan->line_start;

		if (data[i] == '\n') {
			if (line_len == 0 || data[i - 1] != '\r')
				return http_fail(scan,
						 "Invalid request: a line "
						 "that does not end in CRLF.");
			if (line_len == 1)
				return HTTP_COMPLETE;
			scan->line_start = i + 1;
		} else if (line_len > HTTP_LINE_MAX) {
			return http_fail(scan,
					 scan->line_start == 0
						 ? "Invalid request."
						 : "Invalid header. Reason: "
						   "Invalid content length.");
		}
		if (scan->scanned > HTTP_HEAD_MAX)
			return http_fail(scan,
					 "Invalid request: the headers are "
					 "too large.");
	}
	return HTTP_WANT_HEAD;
}

enum http_state http_scan(struct http_scan *scan, const char *data, size_t len,
			  uint64_t body_max)
{
	enum http_state state;

	if (!scan->head_done) {
		state = scan_lines(scan, data, len);
		if (state == HTTP_COMPLETE)
			state = parse_head(scan, data, scan->scanned, body_max);
		if (state != HTTP_WANT_BODY)
			return state;
		scan->head_done = true;
	}
	scan->request.path = data + scan->path_offset;
	return len - scan->request.head_len >= scan->request.body_len
		       ? HTTP_COMPLETE
		       : HTTP_WANT_BODY;
}

static void http_put_head(struct buf *out, int status, bool close)
{
	buf_addf(out,
		 "HTTP/1.1 %d \r\n"
		 "Server: Firecracker API\r\n"
		 "Connection: %s\r\n",
		 status, close ? "close" : "keep-alive");
}

void http_put_continue(struct buf *out)
{
	http_put_head(out, 100, false);
	buf_add_str(out, "\r\n");
}

void http_put_response(struct buf *out, int status, bool deprecated, bool close,
		       const char *body, size_t len)
{
	http_put_head(out, status, close);
	if (deprecated)
		buf_add_str(out, "Deprecation: true\r\n");
	if (len > 0)
		buf_addf(out,
			 "Content-Type: application/json\r\n"
			 "Content-Length: %zu\r\n",
			 len);
	buf_add_str(out, "\r\n");
	buf_add(out, body, len);
}

void http_put_error(struct buf *out, const char *text)
{
	cleanup_buf struct buf body = {0};
	cleanup_buf struct buf sentence = {0};

	buf_addf(&sentence,
		 "%s\nAll previous unanswered requests will be dropped.", text);
	buf_add_str(&body, "{ \"error\": ");
	if (sentence.len > 0)
		buf_add_json(&body, sentence.data, sentence.len);
	buf_add_str(&body, " }");
	http_put_response(out, 400, false, true, body.data, body.len);
}
