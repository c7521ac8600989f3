/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_priv.h - what the files of the decoder share
 *
 * schema_errors.c has what is said of JSON that does not fit. Each function of
 * it sets @json's error.
 */
#pragma once

#include "base/schema.h"

/* The value that comes next is not what is @expected; @what: "type", "value".
 * Return: -EINVAL with a sentence, also when that value cannot be read. */
int schema_wrong_type(struct json *json, const char *what,
		      const char *expected) __must_check;

/* @text is none of @names. Return: -EINVAL with a sentence. */
int schema_unknown_variant(const struct schema_enum *names, struct json *json,
			   const struct buf *text) __must_check;

/* @key is no field of @object. Return: -EINVAL with a sentence. */
int schema_unknown_field(const struct schema_object *object,
			 enum schema_view view, struct json *json,
			 const struct buf *key) __must_check;

/* An array where @object should be. Return: -EINVAL with a sentence. */
int schema_refuse_array(const struct schema_object *object,
			enum schema_view view, struct json *json) __must_check;

/* Return: 0 when @known, a bit a field, has all that @object requires; else
 * -EINVAL with a sentence. */
int schema_missing_field(const struct schema_object *object,
			 enum schema_view view, struct json *json,
			 uint64_t known) __must_check;

static inline bool schema_in_view(const struct schema_field *field,
				  enum schema_view view)
{
	return !(schema_flags(field, view) & SCHEMA_ABSENT);
}

/* schema_free.c: what decoding allocated for @field at @value. */
void schema_free_value(const struct schema_field *field, void *value);
