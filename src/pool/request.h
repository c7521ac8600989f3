/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - is a client's message a request of the pool's protocol?
 *
 * The tables (client/pool_wire.h) say which members there are; here is what
 * they may hold. Pure: for unit tests and the fuzzer.
 */
#pragma once

#include "client/pool_wire.h"

/* Of a path in a request. */
#define REQUEST_PATH_MAX 1024

/**
 * request_parse() - read a message
 * @q:		schema_free() it in any case; has the tag if that could be read
 * @code:	of the refusal
 *
 * Behind it exactly one of @q->has is set, all values are in range, names are
 * names and paths are absolute.
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int request_parse(struct pool_request *q, const char *text, size_t len,
		  enum pool_code *code, struct err *err) __must_check;

/* What it wants, of one that was parsed. */
enum pool_do request_do(const struct pool_request *q);
