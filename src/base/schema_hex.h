/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_hex.h - SCHEMA_BITS and SCHEMA_HEX, for schema.c and schema_encode.c
 */
#pragma once

#include "base/schema.h"

/*
 * Decode the string that json_peek() has told. Return: 0 or -EINVAL with a
 * sentence. @size: of the field, in bytes. @nr: where the number of bytes goes;
 * NULL for a blob of fixed size.
 */
int schema_decode_bits(struct json *json, uint64_t *value,
		       size_t size) __must_check;
int schema_decode_hex(struct json *json, uint8_t *bytes, size_t size,
		      unsigned int *nr) __must_check;

/* "0x1f", in quotes. */
void schema_encode_bits(uint64_t value, struct buf *out);

/* @nr: bytes to show, all of them; NULL: @size less the zeros at the end. */
void schema_encode_hex(const uint8_t *bytes, size_t size,
		       const unsigned int *nr, struct buf *out);
