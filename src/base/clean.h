/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clean.h - text of others on its way to a terminal or a log
 *
 * Names, paths, bodies of requests and files may hold anything: a line feed
 * that forges a record, an escape sequence that changes the terminal or its
 * title. What is shown goes through here, once, where it is shown.
 */
#pragma once

#include "base/buf.h"

/**
 * clean_text() - @text so that it is one line and only letters
 * @to:		always ends in NUL, unless @size is 0; may not overlap @text
 *
 * Control characters (C0, DEL, C1), Unicode's line ends and its characters
 * that turn the direction of writing become \\n, \\t, \\xNN; so do bytes that
 * are no UTF-8. A backslash stays as it is. What does not fit is cut between
 * two characters.
 *
 * Return: bytes written, without the NUL.
 */
size_t clean_text(char *to, size_t size, const char *text, size_t len);

/* The same into a buffer that grows. */
void buf_add_clean(struct buf *buf, const char *text, size_t len);
