// SPDX-License-Identifier: Apache-2.0
/*
 * schema_hex.c - numbers and bytes as hex digits in JSON strings
 *
 * Numbers, because most readers of JSON keep only 53 bits of one and because
 * registers are read in hex by people. Bytes, because saved chips and register
 * files are long and mostly zero: the zeros at the end of a blob of fixed size
 * are left out.
 */
#include "base/schema_hex.h"

int schema_decode_bits(struct json *json, uint64_t *value, size_t size)
{
	const char *text;
	size_t len;
	int r;

	if (json_take_hex(json, 2 * size, value))
		return 0;
	r = json_read_plain(json, &text, &len);
	if (r < 0)
		return r;
	if (len < 3 || len > 2 + 2 * size || text[0] != '0' || text[1] != 'x')
		return json_fail(json,
				 "invalid value: expected \"0x\" and 1 to %zu "
				 "hex digits",
				 2 * size);
	return json_fail(json, "invalid value: not a hex digit in a number");
}

/* What is wrong with a string that json_take_bytes() did not take. */
static int refuse_bytes(struct json *json, size_t size)
{
	const char *text;
	size_t len;
	int r = json_read_plain(json, &text, &len);

	if (r < 0)
		return r;
	if (len % 2 != 0 || len / 2 > size)
		return json_fail(json,
				 "invalid length %zu, expected an even number "
				 "of up to %zu hex digits",
				 len, 2 * size);
	return json_fail(json, "invalid value: not a hex digit in a string of "
			       "bytes");
}

int schema_decode_hex(struct json *json, uint8_t *bytes, size_t size,
		      unsigned int *nr)
{
	size_t len;

	if (!json_take_bytes(json, bytes, size, &len))
		return refuse_bytes(json, size);
	if (nr)
		*nr = (unsigned int)len;
	else
		memset(bytes + len, 0, size - len);
	return 0;
}

void schema_encode_bits(uint64_t value, struct buf *out)
{
	buf_addf(out, "\"0x%llx\"", (unsigned long long)value);
}

void schema_encode_hex(const uint8_t *bytes, size_t size,
		       const unsigned int *nr, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = nr ? *nr : used_bytes(bytes, size);

	buf_add(out, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		const char pair[] = {digits[bytes[i] >> 4],
				     digits[bytes[i] & 15]};

		buf_add(out, pair, sizeof(pair));
	}
	buf_add(out, "\"", 1);
}
