// SPDX-License-Identifier: Apache-2.0
/*
 * http_parse.c - llhttp or http_parser (theory of operation: http_parse.h)
 */
#include "base/http_parse.h"

#include <errno.h>
#include <strings.h>

/* The names in which the two differ; error names and fields are the same. */
#ifdef VOLT_LLHTTP
#include <llhttp.h>
typedef llhttp_t parser;
typedef llhttp_settings_t callbacks;
#define HAS_LENGTH F_CONTENT_LENGTH

static unsigned int http_parse_run(parser *p, bool request, const callbacks *cb,
				   void *ctx, const char *data, size_t len)
{
	llhttp_init(p, request ? HTTP_REQUEST : HTTP_RESPONSE, cb);
	p->data = ctx;
	return llhttp_execute(p, data, len);
}
#else
#include <http_parser.h>
typedef http_parser parser;
typedef http_parser_settings callbacks;
#define HAS_LENGTH F_CONTENTLENGTH

static unsigned int http_parse_run(parser *p, bool request, const callbacks *cb,
				   void *ctx, const char *data, size_t len)
{
	http_parser_init(p, request ? HTTP_REQUEST : HTTP_RESPONSE);
	p->data = ctx;
	(void)http_parser_execute(p, cb, data, len);
	return HTTP_PARSER_ERRNO(p);
}
#endif

/* The greatest that http_parser takes for a number; llhttp takes six more. */
#define LENGTH_MAX (UINT64_MAX - 6)

/* What a callback returns to end the parse: an error to one, to both an end. */
#define STOP HPE_PAUSED

/* ---- heads ---- */

/**
 * struct head - what the callbacks collect
 * @name:	of the header that is being read
 * @has_length:	there is a Content-Length
 * @bad_length:	there is a Transfer-Encoding, or a length beyond LENGTH_MAX
 * @complete:	the empty line was read
 */
struct head {
	http_header_fn *header;
	void *ctx;
	const char *name;
	size_t name_len;
	uint64_t body_len;
	bool has_length;
	bool bad_length;
	bool complete;
};

static int on_field(parser *p, const char *at, size_t len)
{
	struct head *head = p->data;

	/* The whole head is one piece of memory: so is every name. */
	head->name = at;
	head->name_len = len;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int on_value(parser *p, const char *at, size_t len)
{
	static const char coding[] = "transfer-encoding";
	struct head *head = p->data;

	for (; len > 0 && is_blank(at[0]); at++)
		len--;
	while (len > 0 && is_blank(at[len - 1]))
		len--;
	/* http_parser takes each name that begins like this for this one. */
	if (head->name_len >= strlen(coding) &&
	    strncasecmp(head->name, coding, strlen(coding)) == 0)
		head->bad_length = true;
	head->header(head->ctx, head->name, head->name_len, at, len);
	return 0;
}

static int on_head(parser *p)
{
	struct head *head = p->data;

	head->has_length = p->flags & HAS_LENGTH;
	if (head->has_length)
		head->body_len = p->content_length;
	if (head->body_len > LENGTH_MAX)
		head->bad_length = true;
	head->complete = true;
	return STOP;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

static bool is_host(char c)
{
	return is_alnum(c) || (c != '\0' && strchr(".-_:", c));
}

/* A character of a token (RFC 9110, 5.6.2). */
static bool is_token(char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* A name, a colon, and no control character but tabs (RFC 9112, 5). */
static bool is_header(const char *line, size_t len)
{
	size_t i = 0;

	while (i < len && is_token(line[i]))
		i++;
	if (i == 0 || i == len || line[i] != ':')
		return false;
	for (; i < len; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') ||
		    line[i] == 0x7f)
			return false;
	return true;
}

/* All lines behind the first, up to the empty one that ends @data. */
static bool are_headers(const char *data, size_t len)
{
	const char *lf = memchr(data, '\n', len), *end = data + len;

	while (lf) {
		const char *line = lf + 1;
		size_t n;

		lf = memchr(line, '\n', (size_t)(end - line));
		n = lf ? (size_t)(lf - line) : 0; /* with its CR */
		if (n < 2)
			return n == 1 && lf + 1 == end;
		if (!is_header(line, n - 1))
			return false;
	}
	return false;
}

/*
 * "*", or visible ASCII characters that begin with a slash or with "http://"
 * and a host (RFC 9112, 3.2; RFC 3986 has no other characters).
 */
static bool is_target(const char *text, size_t len)
{
	static const char scheme[] = "http://";
	size_t i = 0;

	if (len == 1 && text[0] == '*')
		return true;
	if (len > strlen(scheme) &&
	    strncasecmp(text, scheme, strlen(scheme)) == 0) {
		i = strlen(scheme);
		while (i < len && is_host(text[i]))
			i++;
		if (i == strlen(scheme))
			return false;
	}
	if (i < len && text[i] != '/')
		return false;
	for (; i < len; i++)
		if (text[i] <= ' ' || text[i] == 0x7f)
			return false;
	return len > 0;
}

static enum http_fault fault_of(unsigned int error)
{
	switch (error) {
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH:
	case HPE_INVALID_TRANSFER_ENCODING:
		return HTTP_FAULT_LENGTH;
	case HPE_INVALID_HEADER_TOKEN:
		return HTTP_FAULT_HEADER;
	default:
		/* The rest of the request line is known to be good. */
		return HTTP_FAULT_TARGET;
	}
}

enum http_fault http_parse_head(const char *data, size_t len,
				const char *target, size_t target_len,
				http_header_fn *header, void *ctx,
				uint64_t *body_len)
{
	static const callbacks cb = {
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_headers_complete = on_head,
	};
	struct head head = {.header = header, .ctx = ctx};
	unsigned int error;
	parser p;

	if (!is_target(target, target_len))
		return HTTP_FAULT_TARGET;
	if (!are_headers(data, len))
		return HTTP_FAULT_HEADER;
	error = http_parse_run(&p, true, &cb, &head, data, len);
	if (head.bad_length)
		return HTTP_FAULT_LENGTH;
	if (!head.complete)
		return fault_of(error);
	*body_len = head.body_len;
	return HTTP_FAULT_NONE;
}

/* ---- the head of an answer ---- */

static void ignore_header(void *ctx, const char *name, size_t name_len,
			  const char *value, size_t value_len)
{
	(void)ctx;
	(void)name;
	(void)name_len;
	(void)value;
	(void)value_len;
}

#define CODE_END strlen("HTTP/1.1 204")

/* "HTTP/1.1 204 \r\n" or "HTTP/1.1 204\r\n", with words or without. Return:
 * the status, or -EBADMSG. */
static int http_parse_status_of(const char *line, size_t len)
{
	static const char version[] = "HTTP/1.";
	const char *cr = memchr(line, '\r', len);
	size_t n = cr ? (size_t)(cr - line) : 0, i = strlen(version);
	int status = 0;

	if (n < i + 5 || memcmp(line, version, i) != 0 ||
	    (line[i] != '0' && line[i] != '1') || line[i + 1] != ' ')
		return -EBADMSG;
	for (i += 2; i < CODE_END; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EBADMSG;
		status = status * 10 + (line[i] - '0');
	}
	if (i < n && line[i] != ' ')
		return -EBADMSG;
	for (; i < n; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') ||
		    line[i] == 0x7f)
			return -EBADMSG;
	return status >= 200 && status < 600 ? status : -EBADMSG;
}

int http_parse_answer(const char *data, size_t len, int *status,
		      uint64_t *body_len)
{
	static const callbacks cb = {
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_headers_complete = on_head,
	};
	struct head head = {.header = ignore_header};
	int code = http_parse_status_of(data, len);
	bool bodiless = code == 204 || code == 304;
	parser p;

	if (code < 0 || !are_headers(data, len))
		return -EBADMSG;
	(void)http_parse_run(&p, false, &cb, &head, data, len);
	if (!head.complete || head.bad_length ||
	    (!head.has_length && !bodiless) || (head.body_len > 0 && bodiless))
		return -EBADMSG;
	*status = code;
	*body_len = head.body_len;
	return 0;
}
