// SPDX-License-Identifier: Apache-2.0
/*
 * test_iov.c - copies to and from scattered buffers, against flat memory
 *
 * Every offset and length of some lists of buffers, empty ones among them: the
 * same as on the bytes laid side by side, and nothing beyond.
 */
#include "unit.h"

#include "base/iov.h"

#define TOTAL 24u

struct scattered {
	uint8_t mem[128];
	struct iovec iov[8];
	size_t nr;
};

/* Lengths of the buffers; they lie apart, in reverse. */
static const uint8_t layouts[][8] = {
	{24},
	{8, 8, 8},
	{0, 1, 0, 22, 1, 0},
	{23, 0, 0, 1},
	{1, 2, 3, 4, 5, 6, 3},
	{0, 0, 0, 0, 0, 0, 0, 24},
};

static void scatter(struct scattered *s, const uint8_t lens[8])
{
	uint8_t *at = s->mem + sizeof(s->mem);

	memset(s->mem, 0xee, sizeof(s->mem));
	s->nr = 8;
	for (size_t i = 0; i < 8; i++) {
		at -= lens[i] + 2;
		s->iov[i] = (struct iovec){at, lens[i]};
	}
}

/* All of it, laid side by side. */
static void gather(const struct scattered *s, uint8_t flat[TOTAL])
{
	for (size_t i = 0; i < s->nr; i++) {
		memcpy(flat, s->iov[i].iov_base, s->iov[i].iov_len);
		flat += s->iov[i].iov_len;
	}
}

static size_t fitting(size_t off, size_t len)
{
	return off >= TOTAL ? 0 : len < TOTAL - off ? len : TOTAL - off;
}

static size_t count(const uint8_t *p, size_t len, uint8_t byte)
{
	size_t nr = 0;

	for (size_t i = 0; i < len; i++)
		nr += p[i] == byte;
	return nr;
}

static void one_place(const uint8_t lens[8], size_t off, size_t len)
{
	uint8_t flat[TOTAL] = {0}, buf[2 * TOTAL], want[TOTAL];
	struct iovec part[8];
	struct scattered s;
	size_t n = fitting(off, len);

	scatter(&s, lens);
	assert_int_equal(iov_bytes(s.iov, s.nr), TOTAL);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i + 1);
	assert_int_equal(iov_write(s.iov, s.nr, off, buf, len), n);
	gather(&s, flat);
	memset(want, 0xee, sizeof(want));
	memcpy(want + (n ? off : 0), buf, n);
	assert_memory_equal(flat, want, TOTAL);
	assert_int_equal(count(s.mem, sizeof(s.mem), 0xee), sizeof(s.mem) - n);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(iov_read(s.iov, s.nr, off, buf, len), n);
	assert_memory_equal(buf, want + (n ? off : 0), n);
	assert_int_equal(count(buf, sizeof(buf), 0), sizeof(buf) - n);
	assert_int_equal(
		iov_bytes(part, iov_slice(s.iov, s.nr, off, len, part, 8)), n);
}

static void every_place(void **state)
{
	(void)state;
	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++)
		for (size_t off = 0; off <= TOTAL + 2; off++)
			for (size_t len = 0; len <= TOTAL + 2; len++)
				one_place(layouts[l], off, len);
}

static void slices_name_the_bytes(void **state)
{
	struct iovec part[8];
	struct scattered s;

	(void)state;
	scatter(&s, layouts[4]); /* 1 2 3 4 5 6 3 */
	assert_int_equal(iov_slice(s.iov, s.nr, 2, 10, part, 8), 4);
	assert_ptr_equal(part[0].iov_base, (uint8_t *)s.iov[1].iov_base + 1);
	assert_int_equal(part[0].iov_len, 1);
	assert_ptr_equal(part[3].iov_base, s.iov[4].iov_base);
	assert_int_equal(part[3].iov_len, 2);
	/* No more room: a part of it, which the caller can see. */
	assert_int_equal(iov_slice(s.iov, s.nr, 2, 10, part, 2), 2);
	assert_int_equal(iov_bytes(part, 2), 4);
	assert_int_equal(iov_slice(s.iov, s.nr, 0, 0, part, 8), 0);
}

static void offsets_and_lengths_of_64_bits(void **state)
{
	struct iovec part[8];
	struct scattered s;
	uint8_t byte = 1;

	(void)state;
	scatter(&s, layouts[1]);
	assert_int_equal(iov_read(s.iov, s.nr, UINT64_MAX, &byte, 1), 0);
	assert_int_equal(iov_write(s.iov, s.nr, UINT64_MAX - 7, &byte, 1), 0);
	assert_int_equal(iov_slice(s.iov, s.nr, UINT64_MAX, 8, part, 8), 0);
	assert_int_equal(iov_slice(s.iov, s.nr, 4, UINT64_MAX, part, 8), 3);
	assert_int_equal(iov_bytes(part, 3), TOTAL - 4);
	assert_int_equal(iov_read(NULL, 0, 0, &byte, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_place),
		cmocka_unit_test(slices_name_the_bytes),
		cmocka_unit_test(offsets_and_lengths_of_64_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
