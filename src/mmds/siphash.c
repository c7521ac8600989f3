// SPDX-License-Identifier: Apache-2.0
/*
 * siphash.c - SipHash-2-4 with 128 bits (siphash.h)
 */
#include "mmds/siphash.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t sip_rotate(uint64_t v, unsigned int bits)
{
	return v << bits | v >> (64 - bits);
}

static void sip_rounds(struct sip *s, unsigned int nr)
{
	while (nr-- > 0) {
		s->v0 += s->v1;
		s->v1 = sip_rotate(s->v1, 13) ^ s->v0;
		s->v0 = sip_rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = sip_rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = sip_rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = sip_rotate(s->v1, 17) ^ s->v2;
		s->v2 = sip_rotate(s->v2, 32);
	}
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_rounds(s, 2);
	s->v0 ^= word;
}

static void sip_finish(struct sip *s, uint8_t *out)
{
	sip_rounds(s, 4);
	store_le64(out, s->v0 ^ s->v1 ^ s->v2 ^ s->v3);
}

void siphash(const uint8_t key[SIPHASH_BYTES], const void *data, size_t len,
	     uint8_t out[SIPHASH_BYTES])
{
	uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
	const uint8_t *at = data;
	uint8_t last[8] = {0};
	struct sip s = {
		.v0 = k0 ^ 0x736f6d6570736575,
		.v1 = k1 ^ 0x646f72616e646f6d ^ 0xee,
		.v2 = k0 ^ 0x6c7967656e657261,
		.v3 = k1 ^ 0x7465646279746573,
	};

	last[7] = (uint8_t)len;
	for (; len >= 8; len -= 8, at += 8)
		sip_word(&s, load_le64(at));
	memcpy(last, at, len);
	sip_word(&s, load_le64(last));
	s.v2 ^= 0xee;
	sip_finish(&s, out);
	s.v1 ^= 0xdd;
	sip_finish(&s, out + 8);
}
