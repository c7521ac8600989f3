/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.h - HTTP of the metadata service: one request, one answer
 *
 * GET names a value of the document by its path; "/" at the end and twice in a
 * row do not count. `Accept: application/json` gets JSON, all else the way of
 * EC2's service (document_show()), as does everything with imds_compat. PUT
 * /latest/api/token makes a session token.
 *
 * Statuses and sentences are Firecracker's: clients of it match them. That is
 * why this is not base/http_parse.h: a line feed alone, a request line of two
 * words, a body have answers of their own there.
 */
#pragma once

#include "mmds/mmds.h"

/**
 * mmds_request_end() - where the first request in @text ends
 *
 * A request ends with its first empty line; nothing has a body.
 *
 * Return: its bytes; 0 while it has not ended.
 */
size_t mmds_request_end(const char *text, size_t len);

/**
 * mmds_answer() - add the answer to one request to @out
 * @request:	as mmds_request_end() found it
 *
 * @out->failed when memory is short.
 */
void mmds_answer(struct mmds *mmds, const char *request, size_t len,
		 uint64_t now_ns, struct buf *out);
