/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.h - JSON documents as canonical text
 *
 * Theory of operation
 *
 * There is no tree. A document is kept as the one text that all texts of the
 * same value become: compact, members in the order of their keys' bytes, each
 * key once, numbers and strings written in one way, that of Firecracker's
 * library. Its length is what the limit counts. Looking something up is a walk
 * along the text, a value is a piece of it, and since members are sorted a
 * merge walks along both texts once.
 *
 * Recursion is as deep as json.h lets texts be (JSON_DEPTH_MAX).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* A value: a piece of a canonical text, which it borrows. */
struct document_piece {
	const char *text;
	size_t len;
};

/**
 * document_read() - add the canonical text of @text to @out
 *
 * Of a key that comes twice the last value counts.
 *
 * Return: 0; -EINVAL with serde's sentence; -ENOMEM with a sentence.
 */
int document_read(const char *text, size_t len, struct buf *out,
		  struct err *err) __must_check;

/**
 * document_merge() - add what RFC 7396 makes of @target and @patch to @out
 *
 * Both are canonical, and so is what comes out. @out->failed when memory is
 * short.
 */
void document_merge(struct document_piece target, struct document_piece patch,
		    struct buf *out);

/**
 * document_find() - the value that an RFC 6901 pointer names
 * @pointer:	"" or "/token/token..."; arrays count from 0
 *
 * Return: whether there is one.
 */
bool document_find(struct document_piece document, const char *pointer,
		   size_t len, struct document_piece *found);

/**
 * document_show() - a value as EC2's metadata service shows it
 *
 * Of an object its keys, a line each, those of objects with "/" behind them;
 * of a string its characters.
 *
 * Return: false for any other value; nothing is added then.
 */
bool document_show(struct document_piece value, struct buf *out);
