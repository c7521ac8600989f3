// SPDX-License-Identifier: Apache-2.0
/*
 * http.c - HTTP/1.1 requests and responses (theory of operation: http.h)
 */
#include "api/http.h"

#include <http_parser.h>
#include <stdio.h>
#include <strings.h>

const char http_too_many[] = "HTTP/1.1 503\r\n"
			     "Server: Firecracker API\r\n"
			     "Connection: close\r\n"
			     "Content-Length: 40\r\n"
			     "\r\n"
			     "{ \"error\": \"Too many open connections\" }";

static enum http_state fail(struct http_scan *scan, const char *text)
{
	(void)snprintf(scan->error, sizeof(scan->error), "%s", text);
	return HTTP_ERROR;
}

/**
 * struct head - what the parser's callbacks collect
 * @field:	name of the header that is being read
 * @body_len:	Content-Length, 0 without one
 * @names_identity: Accept-Encoding says something about it
 * @refuses_identity, @refuses_others: by q=0; others is "*"
 */
struct head {
	const char *url;
	size_t url_len;
	const char *field;
	size_t field_len;
	uint64_t body_len;
	bool chunked;
	bool expects;
	bool names_identity;
	bool refuses_identity;
	bool refuses_others;
};

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct head *head = parser->data;

	if (!head->url)
		head->url = at;
	head->url_len += len;
	return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
	struct head *head = parser->data;

	/* The whole head is one piece of memory: so is every name. */
	head->field = at;
	head->field_len = len;
	return 0;
}

static bool is_name(const struct head *head, const char *name)
{
	return head->field_len == strlen(name) &&
	       strncasecmp(head->field, name, head->field_len) == 0;
}

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
static struct piece cut(struct piece *rest, char separator)
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

static bool equals(struct piece p, const char *word)
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
static void take_encodings(struct head *head, const char *at, size_t len)
{
	struct piece list = {at, len};

	while (list.len > 0) {
		struct piece rest = cut(&list, ',');
		struct piece coding = cut(&rest, ';');
		bool zero = is_q_zero(trim(rest));

		if (equals(coding, "identity")) {
			head->names_identity = true;
			head->refuses_identity |= zero;
		} else if (equals(coding, "*")) {
			head->refuses_others |= zero;
		}
	}
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
	struct head *head = parser->data;

	if (is_name(head, "expect"))
		head->expects =
			len == 12 && strncasecmp(at, "100-continue", len) == 0;
	if (is_name(head, "accept-encoding"))
		take_encodings(head, at, len);
	return 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct head *head = parser->data;

	if (parser->flags & F_CONTENTLENGTH)
		head->body_len = parser->content_length;
	head->chunked = parser->flags & F_CHUNKED;
	return 0;
}

static bool map_method(unsigned int parsed, enum api_method *method)
{
	switch (parsed) {
	case HTTP_GET:
		*method = API_GET;
		return true;
	case HTTP_PUT:
		*method = API_PUT;
		return true;
	case HTTP_PATCH:
		*method = API_PATCH;
		return true;
	case HTTP_DELETE:
		*method = API_DELETE;
		return true;
	default:
		return false;
	}
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
static void set_path(struct http_scan *scan, const char *data,
		     const struct head *head)
{
	static const char scheme[] = "http://";
	const char *path = head->url;
	size_t len = head->url_len;

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

static enum http_state parse_head(struct http_scan *scan, const char *data,
				  size_t len, uint64_t body_max)
{
	static const http_parser_settings settings = {
		.on_url = on_url,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_headers_complete = on_headers_complete,
	};
	struct http_request *request = &scan->request;
	struct head head = {0};
	http_parser parser;
	size_t used;

	if (!is_utf8(data, len))
		return fail(scan, "Invalid header. Reason: Header contains "
				  "invalid characters.");
	/* The parser would skip empty lines before the request. */
	if (data[0] == '\r' || data[0] == '\n')
		return fail(scan, "Invalid request.");
	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = &head;
	used = http_parser_execute(&parser, &settings, data, len);
	if (HTTP_PARSER_ERRNO(&parser) == HPE_INVALID_METHOD)
		return fail(scan, "Invalid HTTP Method: Unsupported HTTP "
				  "method.");
	if (HTTP_PARSER_ERRNO(&parser) == HPE_INVALID_VERSION)
		return fail(scan, "Invalid HTTP Version: Unsupported HTTP "
				  "version.");
	if (HTTP_PARSER_ERRNO(&parser) != HPE_OK || used != len) {
		(void)snprintf(
			scan->error, sizeof(scan->error),
			"Invalid request: %s.",
			http_errno_description(HTTP_PARSER_ERRNO(&parser)));
		return HTTP_ERROR;
	}
	if (!map_method(parser.method, &request->method))
		return fail(scan, "Invalid HTTP Method: Unsupported HTTP "
				  "method.");
	if (parser.http_major != 1 || parser.http_minor > 1)
		return fail(scan, "Invalid HTTP Version: Unsupported HTTP "
				  "version.");
	/* One space behind the method, not more. */
	if ((const char *)memchr(data, ' ', len) + 1 != head.url)
		return fail(scan, "Invalid URI: Empty URI not allowed.");
	if (head.chunked)
		return fail(scan, "Invalid header. Reason: Unsupported value. "
				  "Key:Transfer-Encoding; Value: chunked");
	if (head.refuses_identity ||
	    (head.refuses_others && !head.names_identity))
		return fail(scan, "Invalid header. Reason: Invalid value. "
				  "Key:Accept-Encoding");
	request->expects = head.expects;
	request->head_len = len;
	if (head.body_len > body_max) {
		(void)snprintf(scan->error, sizeof(scan->error),
			       "Request payload with size %llu is larger than "
			       "the limit of %llu allowed by server.",
			       (unsigned long long)head.body_len,
			       (unsigned long long)body_max);
		return HTTP_ERROR;
	}
	request->body_len = (size_t)head.body_len;
	set_path(scan, data, &head);
	return HTTP_WANT_BODY;
}

/*
 * What other readers of HTTP understand in different ways (RFC 9112, 5.1 and
 * 5.2): a blank before the colon; a line that begins with one, which continues
 * the header before it, or nothing where it is the first. Return: NULL, or
 * what is wrong.
 */
static const char *check_header(const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);

	if (line[0] == ' ' || line[0] == '\t')
		return "Invalid header. Reason: a line that begins with a "
		       "blank.";
	if (colon && colon > line && (colon[-1] == ' ' || colon[-1] == '\t'))
		return "Invalid header. Reason: a blank before the colon.";
	return NULL;
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
		const char *bad;

		if (data[i] == '\n') {
			if (line_len == 0 || data[i - 1] != '\r')
				return fail(scan, "Invalid request: a line "
						  "that does not end in CRLF.");
			if (line_len == 1)
				return HTTP_COMPLETE;
			bad = scan->line_start == 0
				      ? NULL
				      : check_header(data + scan->line_start,
						     line_len);
			if (bad)
				return fail(scan, bad);
			scan->line_start = i + 1;
		} else if (line_len > HTTP_LINE_MAX) {
			return fail(scan, scan->line_start == 0
						  ? "Invalid request."
						  : "Invalid header. Reason: "
						    "Invalid content length.");
		}
		if (scan->scanned > HTTP_HEAD_MAX)
			return fail(scan, "Invalid request: the headers are "
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

static void put_head(struct buf *out, int status, bool close)
{
	buf_addf(out,
		 "HTTP/1.1 %d \r\n"
		 "Server: Firecracker API\r\n"
		 "Connection: %s\r\n",
		 status, close ? "close" : "keep-alive");
}

void http_put_continue(struct buf *out)
{
	put_head(out, 100, false);
	buf_add_str(out, "\r\n");
}

void http_put_response(struct buf *out, int status, bool deprecated, bool close,
		       const char *body, size_t len)
{
	put_head(out, status, close);
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
