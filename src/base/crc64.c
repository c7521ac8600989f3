// SPDX-License-Identifier: Apache-2.0
/*
 * crc64.c - CRC-64/ECMA-182 (ECMA-182, annex B)
 *
 * Nibble at a time: the table is 128 bytes, so it adds no page to a process
 * that checks a few kilobytes once.
 */
#include "base/crc64.h"

static const uint64_t nibble[16] = {
	0x0000000000000000, 0x42f0e1eba9ea3693, 0x85e1c3d753d46d26,
	0xc711223cfa3e5bb5, 0x493366450e42ecdf, 0x0bc387aea7a8da4c,
	0xccd2a5925d9681f9, 0x8e224479f47cb76a, 0x9266cc8a1c85d9be,
	0xd0962d61b56fef2d, 0x17870f5d4f51b498, 0x5577eeb6e6bb820b,
	0xdb55aacf12c73561, 0x99a54b24bb2d03f2, 0x5eb4691841135847,
	0x1c4488f3e8f96ed4,
};

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len > 0; len--, p++) {
		crc = nibble[(crc >> 60) ^ (*p >> 4)] ^ (crc << 4);
		crc = nibble[(crc >> 60) ^ (*p & 15)] ^ (crc << 4);
	}
	return crc;
}
