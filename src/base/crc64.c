// SPDX-License-Identifier: Apache-2.0
/*
 * crc64.c - CRC-64/ECMA-182 (ECMA-182, annex B)
 *
 * Eight bytes at a time: table[k][b] is what byte b does to the remainder with
 * k bytes behind it. A CRC is linear, so an entry is the sum of those of its
 * bits, and the tables are constants made from 64 numbers by the preprocessor.
 */
#include "base/crc64.h"

#define BIT(i, n, value) ((i) >> (n) & 1 ? (value) : 0)
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                         \
	(BIT(i, 0, b0) ^ BIT(i, 1, b1) ^ BIT(i, 2, b2) ^ BIT(i, 3, b3) ^ \
	 BIT(i, 4, b4) ^ BIT(i, 5, b5) ^ BIT(i, 6, b6) ^ BIT(i, 7, b7))

/* The entries 1, 2, 4 to 128 of each table. */
#define BYTE_0(i)                                                            \
	ENTRY(i, 0x42f0e1eba9ea3693, 0x85e1c3d753d46d26, 0x493366450e42ecdf, \
	      0x9266cc8a1c85d9be, 0x663d78ff90e185ef, 0xcc7af1ff21c30bde,    \
	      0xda050215ea6c212f, 0xf6fae5c07d3274cd)
#define BYTE_1(i)                                                            \
	ENTRY(i, 0xaf052a6b538edf09, 0x1cfab53d0ef78881, 0x39f56a7a1def1102, \
	      0x73ead4f43bde2204, 0xe7d5a9e877bc4408, 0x8d5bb23b4692be83,    \
	      0x5847859d24cf4b95, 0xb08f0b3a499e972a)
#define BYTE_2(i)                                                            \
	ENTRY(i, 0x23eef79f3ad718c7, 0x47ddef3e75ae318e, 0x8fbbde7ceb5c631c, \
	      0x5d875d127f52f0ab, 0xbb0eba24fea5e156, 0x34ed95a254a1f43f,    \
	      0x69db2b44a943e87e, 0xd3b656895287d0fc)
#define BYTE_3(i)                                                            \
	ENTRY(i, 0xe59c4cf90ce5976b, 0x89c87819b0211845, 0x516011d8c9a80619, \
	      0xa2c023b193500c32, 0x0770a6888f4a2ef7, 0x0ee14d111e945dee,    \
	      0x1dc29a223d28bbdc, 0x3b8534447a5177b8)
#define BYTE_4(i)                                                            \
	ENTRY(i, 0x770a6888f4a2ef70, 0xee14d111e945dee0, 0x9ed943c87b618b53, \
	      0x7f42667b5f292035, 0xfe84ccf6be52406a, 0xbff97806d54eb647,    \
	      0x3d0211e603775a1d, 0x7a0423cc06eeb43a)
#define BYTE_5(i)                                                            \
	ENTRY(i, 0xf40847980ddd6874, 0xaae06edbb250e67b, 0x17303c5ccd4bfa65, \
	      0x2e6078b99a97f4ca, 0x5cc0f173352fe994, 0xb981e2e66a5fd328,    \
	      0x31f324277d5590c3, 0x63e6484efaab2186)
#define BYTE_6(i)                                                            \
	ENTRY(i, 0xc7cc909df556430c, 0xcd69c0d04346b08b, 0xd823604b2f675785, \
	      0xf2b6217df7249999, 0xa79ca31047a305a1, 0x0dc9a7cb26ac3dd1,    \
	      0x1b934f964d587ba2, 0x37269f2c9ab0f744)
#define BYTE_7(i)                                                            \
	ENTRY(i, 0x6e4d3e593561ee88, 0xdc9a7cb26ac3dd10, 0xfbc4188f7c6d8cb3, \
	      0xb578d0f551312ff5, 0x280140010b886979, 0x500280021710d2f2,    \
	      0xa00500042e21a5e4, 0x02fae1e3f5a97d5b)

#define FOUR(f, i) f(i), f((i) + 1), f((i) + 2), f((i) + 3)
#define SIXTEEN(f, i) \
	FOUR(f, i), FOUR(f, (i) + 4), FOUR(f, (i) + 8), FOUR(f, (i) + 12)
#define SIXTY_FOUR(f, i)                                           \
	SIXTEEN(f, i), SIXTEEN(f, (i) + 16), SIXTEEN(f, (i) + 32), \
		SIXTEEN(f, (i) + 48)
#define ALL(f)                                                    \
	{SIXTY_FOUR(f, 0), SIXTY_FOUR(f, 64), SIXTY_FOUR(f, 128), \
	 SIXTY_FOUR(f, 192)}

static const uint64_t crc64_table[8][256] = {
	ALL(BYTE_0), ALL(BYTE_1), ALL(BYTE_2), ALL(BYTE_3),
	ALL(BYTE_4), ALL(BYTE_5), ALL(BYTE_6), ALL(BYTE_7),
};

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		__builtin_memcpy(&word, p, sizeof(word));
		crc ^= __builtin_bswap64(word);
		crc = crc64_table[7][crc >> 56] ^
		      crc64_table[6][crc >> 48 & 255] ^
		      crc64_table[5][crc >> 40 & 255] ^
		      crc64_table[4][crc >> 32 & 255] ^
		      crc64_table[3][crc >> 24 & 255] ^
		      crc64_table[2][crc >> 16 & 255] ^
		      crc64_table[1][crc >> 8 & 255] ^
		      crc64_table[0][crc & 255];
	}
	for (; len > 0; len--, p++)
		crc = crc64_table[0][(crc >> 56) ^ *p] ^ crc << 8;
	return crc;
}
