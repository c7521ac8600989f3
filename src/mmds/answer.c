// SPDX-License-Identifier: Apache-2.0
/*
 * answer.c - HTTP of the metadata service (answer.h)
 */
#include "mmds/answer.h"

#include "mmds/document.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define TOKEN_PATH "/latest/api/token"

/* A word or line of the request. */
struct word {
	const char *text;
	size_t len;
};

/**
 * struct request - what of a request counts
 * @target:	its path; of a URL what is behind the host
 * @ttl_name:	by which the client called it
 * @is_old:	of HTTP/1.0
 */
struct request {
	enum { ANSWER_GET, ANSWER_PUT, ANSWER_OTHER } method;
	struct word target;
	struct word token;
	struct word ttl_name;
	struct word ttl;
	struct word forwarded;
	bool has_token;
	bool has_ttl;
	bool has_forwarded;
	bool wants_json;
	bool has_body;
	bool is_old;
};

/**
 * struct reply - an answer before it has its head
 * @head:	lines of its own
 */
struct reply {
	unsigned int status;
	bool json;
	struct buf head;
	struct buf body;
};

static bool word_is(struct word word, const char *text)
{
	return word.len == strlen(text) &&
	       (word.len == 0 || memcmp(word.text, text, word.len) == 0);
}

static bool word_is_name(struct word word, const char *name)
{
	return word.len == strlen(name) &&
	       strncasecmp(word.text, name, word.len) == 0;
}

static struct word trimmed(struct word word)
{
	while (word.len > 0 && isspace((unsigned char)word.text[0])) {
		word.text++;
		word.len--;
	}
	while (word.len > 0 && isspace((unsigned char)word.text[word.len - 1]))
		word.len--;
	return word;
}

/* The part of @rest before @mark, which is consumed with it. Return: false
 * when there is none. */
static bool cut(struct word *rest, const char *mark, struct word *part)
{
	size_t n = strlen(mark);
	const char *at =
		rest->len > 0 ? memmem(rest->text, rest->len, mark, n) : NULL;

	if (!at)
		return false;
	*part = (struct word){rest->text, (size_t)(at - rest->text)};
	rest->len -= part->len + n;
	rest->text = at + n;
	return true;
}

size_t mmds_request_end(const char *text, size_t len)
{
	bool empty = false; /* nothing but a CR since the last line feed */

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n' && empty)
			return i + 1;
		if (text[i] == '\n')
			empty = true;
		else if (text[i] != '\r')
			empty = false;
	}
	return 0;
}

static void answer_say(struct reply *reply, unsigned int status,
		       const char *text)
{
	reply->status = status;
	buf_add_str(&reply->body, text);
}

/* What a request must be before its method is asked. */
static void answer_refuse(struct reply *reply, unsigned int status,
			  const char *text)
{
	reply->json = true; /* so Firecracker calls these sentences */
	answer_say(reply, status, text);
}

/* Of "http://host/path" what is behind the host. */
static struct word path_of(struct word target)
{
	static const char scheme[] = "http://";
	const char *slash;

	if (target.len < strlen(scheme) ||
	    memcmp(target.text, scheme, strlen(scheme)) != 0)
		return target;
	target.text += strlen(scheme);
	target.len -= strlen(scheme);
	slash = memchr(target.text, '/', target.len);
	if (!slash)
		return (struct word){"", 0};
	target.len -= (size_t)(slash - target.text);
	target.text = slash;
	return target;
}

static bool read_request_line(struct word line, struct request *request,
			      struct reply *reply)
{
	static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE"};
	struct word method, target;
	size_t i = 0;

	if (!cut(&line, " ", &method)) {
		answer_refuse(reply, 400, "Invalid request.");
		return false;
	}
	while (i < ARRAY_SIZE(methods) && !word_is(method, methods[i]))
		i++;
	if (i == ARRAY_SIZE(methods)) {
		answer_refuse(reply, 501, "Unsupported HTTP method.");
		return false;
	}
	if (!cut(&line, " ", &target) || target.len == 0) {
		answer_refuse(reply, 400, "Invalid request.");
		return false;
	}
	request->is_old = word_is(line, "HTTP/1.0");
	if (!request->is_old && !word_is(line, "HTTP/1.1")) {
		answer_refuse(reply, 501, "Unsupported HTTP version.");
		return false;
	}
	request->method = i == 0   ? ANSWER_GET
			  : i == 1 ? ANSWER_PUT
				   : ANSWER_OTHER;
	request->target = path_of(target);
	return true;
}

static void read_header(struct word name, struct word value,
			struct request *request)
{
	if (word_is_name(name, "X-metadata-token") ||
	    word_is_name(name, "X-aws-ec2-metadata-token")) {
		request->has_token = true;
		request->token = value;
	} else if (word_is_name(name, "X-metadata-token-ttl-seconds") ||
		   word_is_name(name, "X-aws-ec2-metadata-token-ttl-seconds")) {
		request->has_ttl = true;
		request->ttl_name = name;
		request->ttl = value;
	} else if (word_is_name(name, "X-Forwarded-For")) {
		request->has_forwarded = true;
		request->forwarded = name;
	} else if (word_is_name(name, "Accept")) {
		request->wants_json = word_is(value, "application/json");
	} else if (word_is_name(name, "Content-Length")) {
		request->has_body = !word_is(value, "0");
	}
}

static bool read_headers(struct word rest, struct request *request,
			 struct reply *reply)
{
	struct word line, name;

	while (cut(&rest, "\r\n", &line) && line.len > 0) {
		if (!cut(&line, ":", &name)) {
			answer_refuse(reply, 400, "Invalid request.");
			return false;
		}
		read_header(trimmed(name), trimmed(line), request);
	}
	if (request->has_body)
		answer_refuse(reply, 400, "Invalid request.");
	return !request->has_body;
}

/* The path without "//". */
static void add_path(struct word target, struct buf *path)
{
	for (size_t i = 0; i < target.len; i++)
		if (i == 0 || target.text[i] != '/' ||
		    target.text[i - 1] != '/')
			buf_add(path, &target.text[i], 1);
}

static void not_found(struct reply *reply, const struct buf *path)
{
	reply->status = 404;
	buf_addf(&reply->body, "Resource not found: %.*s.", (int)path->len,
		 path->data);
}

static void show_value(const struct mmds *mmds, const struct buf *path,
		       bool as_json, struct reply *reply)
{
	struct document_piece piece = {mmds->document.data, mmds->document.len};
	size_t len = path->len;

	while (len > 0 && path->data[len - 1] == '/')
		len--;
	if (piece.len == 0 || !document_find(piece, path->data, len, &piece)) {
		not_found(reply, path);
	} else if (as_json && !mmds->imds_compat) {
		reply->status = 200;
		buf_add(&reply->body, piece.text, piece.len);
	} else if (document_show(piece, &reply->body)) {
		reply->status = 200;
	} else {
		answer_say(
			reply, 501,
			"Cannot retrieve value. The value has an unsupported "
			"type.");
	}
	reply->json = as_json && reply->status == 200;
}

/* Return: whether the document may be shown. */
static bool session(struct mmds *mmds, const struct request *request,
		    uint64_t now_ns, struct reply *reply)
{
	bool good = mmds_token_is_good(&mmds->tokens, request->token.text,
				       request->token.len, now_ns);

	if (!request->has_token)
		metric_inc(&mmds->metrics.rx_no_token);
	else if (!good)
		metric_inc(&mmds->metrics.rx_invalid_token);
	if (mmds->version == MMDS_V1 || good)
		return true;
	answer_say(
		reply, 401,
		request->has_token
			? "MMDS token not valid."
			: "No MMDS token provided. Use `X-metadata-token` or "
			  "`X-aws-ec2-metadata-token` header to specify the "
			  "session token.");
	return false;
}

/* Return: false when it is no number of 32 bits. */
static bool read_ttl(struct word word, uint32_t *ttl)
{
	uint32_t value = 0;

	for (size_t i = 0; i < word.len; i++)
		if (word.text[i] < '0' || word.text[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, word.text[i] - '0', &value))
			return false;
	*ttl = value;
	return word.len > 0;
}

static void make_token(struct mmds *mmds, const struct request *request,
		       uint64_t now_ns, struct reply *reply)
{
	char token[MMDS_TOKEN_CHARS];
	uint32_t ttl;

	reply->status = 400;
	if (!request->has_ttl) {
		buf_add_str(&reply->body,
			    "Token time to live value not found. Use "
			    "`X-metadata-token-ttl-seconds` or "
			    "`X-aws-ec2-metadata-token-ttl-seconds` header to "
			    "specify the token's lifetime.");
	} else if (!read_ttl(request->ttl, &ttl)) {
		buf_addf(&reply->body,
			 "Invalid header. Reason: Invalid value. "
			 "Key:%.*s; Value:%.*s",
			 (int)request->ttl_name.len, request->ttl_name.text,
			 (int)request->ttl.len, request->ttl.text);
	} else if (ttl < 1 || ttl > MMDS_TOKEN_TTL_MAX) {
		buf_addf(&reply->body,
			 "Invalid time to live value provided for token: "
			 "%" PRIu32 ". Please provide a value between 1 and "
			 "%u.",
			 ttl, MMDS_TOKEN_TTL_MAX);
	} else {
		mmds_token_make(&mmds->tokens, ttl, now_ns, token);
		reply->status = 200;
		buf_add(&reply->body, token, sizeof(token));
		buf_addf(&reply->head, "%.*s: %" PRIu32 "\r\n",
			 (int)request->ttl_name.len, request->ttl_name.text,
			 ttl);
	}
}

static void put(struct mmds *mmds, const struct request *request,
		const struct buf *path, uint64_t now_ns, struct reply *reply)
{
	/* Through a proxy a token might reach whom it is not for. */
	if (request->has_forwarded) {
		reply->status = 400;
		buf_addf(&reply->body,
			 "Invalid header. Reason: Unsupported header name. "
			 "Key: %.*s",
			 (int)request->forwarded.len, request->forwarded.text);
	} else if (!word_is((struct word){path->data, path->len}, TOKEN_PATH)) {
		not_found(reply, path);
	} else {
		make_token(mmds, request, now_ns, reply);
	}
}

static void serve(struct mmds *mmds, const struct request *request,
		  uint64_t now_ns, struct reply *reply)
{
	struct buf path cleanup_buf = {0};

	add_path(request->target, &path);
	if (path.failed) {
		reply->body.failed = true;
		return;
	}
	if (path.len == 0 || path.data[0] != '/') {
		answer_say(reply, 400, "Invalid URI.");
	} else if (request->method == ANSWER_PUT) {
		put(mmds, request, &path, now_ns, reply);
	} else if (request->method == ANSWER_OTHER) {
		buf_add_str(&reply->head, "Allow: GET, PUT\r\n");
		answer_say(reply, 405, "Not allowed HTTP method.");
	} else if (session(mmds, request, now_ns, reply)) {
		show_value(mmds, &path, request->wants_json, reply);
	}
}

void mmds_answer(struct mmds *mmds, const char *request, size_t len,
		 uint64_t now_ns, struct buf *out)
{
	struct word rest = {request, len}, line;
	struct request r = {0};
	struct reply reply = {0};

	if (!cut(&rest, "\r\n", &line))
		answer_refuse(&reply, 400, "Invalid request.");
	else if (read_request_line(line, &r, &reply) &&
		 read_headers(rest, &r, &reply))
		serve(mmds, &r, now_ns, &reply);
	buf_addf(out,
		 "HTTP/1.%d %u \r\nServer: Firecracker API\r\n"
		 "Connection: keep-alive\r\n",
		 r.is_old ? 0 : 1, reply.status);
	buf_add(out, reply.head.data, reply.head.len);
	buf_addf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
		 reply.json ? "application/json" : "text/plain",
		 reply.body.len);
	buf_add(out, reply.body.data, reply.body.len);
	out->failed |= reply.head.failed || reply.body.failed;
	buf_free(&reply.head);
	buf_free(&reply.body);
}
