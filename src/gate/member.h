/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member.h - a few members of a JSON text, without the rest of it
 *
 * The gate looks for what it is to open; what a text means as a whole is the
 * guest process's business, which reads it all by its schemas. A cursor that is
 * copied looks at several members of one object.
 */
#pragma once

#include "base/json.h"

/* From an object to the value of @key. Return: 1; 0: it is none, or has no such
 * key; -EINVAL: no JSON; -ENOMEM. */
int member_find(struct json *json, const char *key) __must_check;

/* From an array to its @nr-th item, from 0. Return: as above. */
int member_item(struct json *json, unsigned int nr) __must_check;

/**
 * member_text() - the string that comes next
 * @text:	gets it, with a NUL behind that @text->len does not count
 *
 * Return: 0; -ENOENT: it is no string, or has a NUL in it; -ENOMEM.
 */
int member_text(struct json *json, struct buf *text) __must_check;

/* That of @key in the object that comes next. Return: as above. */
int member_text_of(const struct json *json, const char *key,
		   struct buf *text) __must_check;
