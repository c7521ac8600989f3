/* SPDX-License-Identifier: Apache-2.0 */
/*
 * need.h - what the request in progress names, for the gate to open
 *
 * Theory of operation
 *
 * After the lock the guest process asks for a field of the client's request by
 * the role that it plays (host/path.h). It never sends a path: the gate looks
 * for the field in the request as the client sent it, by one table of roles,
 * requests and places. A role that the request does not have there is refused,
 * so nothing is opened that no client has named.
 *
 * Whether a drive is read only is not the guest process's to say either: the
 * gate was told before the guest ran (HANDOVER).
 *
 * A process that is locked first, and configured or loaded later, asks for what
 * those requests name in the same way. By then no guest has run in it, and what
 * it asks for is what our own code asks for; the table holds all the same. Once
 * the guest runs these rows are gone.
 */
#pragma once

#include "base/json.h"
#include "gate/method.h"
#include "host/path.h"

/* The @value of a NEED: role and index. */
#define NEED_ROLE_BITS 8u
#define NEED_ROLE_MASK ((1u << NEED_ROLE_BITS) - 1)

static inline uint32_t need_value(const struct path_want *want)
{
	return (uint32_t)want->role | want->index << NEED_ROLE_BITS;
}

/* As many are opened for one request; no request names more. */
#define NEEDS_MAX 1024u

/* When a request may name something. */
enum need_time {
	NEED_EARLY,   /* the process is locked, and no guest has run */
	NEED_RUNNING, /* the guest runs */
};

/**
 * struct need_request - a request, taken apart
 * @first, @second: of its path; the second may be empty
 * @body:	@body_len bytes; may be NULL
 */
struct need_request {
	enum api_method method;
	const char *first;
	size_t first_len;
	const char *second;
	size_t second_len;
	const char *body;
	size_t body_len;
};

/* May a request name something for @role? */
bool need_crosses(enum path_role role);

/* @raw: head and body. Return: 0 or -EPROTO: it is none. */
int need_read(struct need_request *request, const char *raw,
	      size_t len) __must_check;

/* Is it @method /@first/@second? @second NULL: any. */
bool need_is(const struct need_request *request, enum api_method method,
	     const char *first, const char *second);

/* Before the first value of the body. @err is used as long as @json is. */
void need_body(const struct need_request *request, struct json *json,
	       struct err *err);

/**
 * need_text() - a string of the body
 * @key:	a member of the body
 * @inner:	NULL, or a member of the object that @key is
 * @text:	gets it, with a NUL behind that @text->len does not count
 *
 * Return: 0; -ENOENT when there is none, or it is no string, or has a NUL in
 * it; -ENOMEM.
 */
int need_text(const struct need_request *request, const char *key,
	      const char *inner, struct buf *text) __must_check;

/**
 * need_path() - what the request names for @role
 * @path:	as need_text(); its data is NULL where the role has a fixed path
 *
 * Return: 0; -EACCES: it names nothing for that role now; -ENOMEM.
 */
int need_path(const struct need_request *request, enum need_time time,
	      enum path_role role, struct buf *path) __must_check;
