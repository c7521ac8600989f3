// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_rate_limiter.c - token buckets of any size at any time (H11)
 *
 * Against exact arithmetic in 128 bits: a bucket never holds more than its size
 * and what flowed in while it was waited for, in any stretch of time it hands
 * out no more than what it held, what flowed in and what is owed, and who waits
 * for as long as it says gets what was asked for.
 */
#include "dev_fuzz.h"

#include "host/token_bucket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Edges as often as anything else. */
static uint64_t any_value(struct fuzz_script *s)
{
	uint8_t kind = fuzz_byte(s);
	uint64_t v = fuzz_take(s, kind & 7);

	if (kind & 8)
		v = ~v;
	return kind & 16 ? v << (kind >> 5) * 8 : v;
}

/* What can have flowed in, rounded up; 584 years stand for all above. */
static unsigned __int128 flowed(const struct token_bucket *b, uint64_t ns)
{
	unsigned __int128 fill = (unsigned __int128)b->refill_ms * 1000000;

	if (fill > UINT64_MAX)
		fill = UINT64_MAX;
	return (unsigned __int128)ns * b->size / fill + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script s = {data, size};
	uint64_t bytes = any_value(&s), burst = any_value(&s);
	uint64_t refill = any_value(&s), start = any_value(&s), now = start;
	unsigned __int128 taken = 0, room;
	struct token_bucket b;

	token_bucket_init(&b, bytes, burst, refill, start);
	room = (unsigned __int128)bytes + burst;
	for (unsigned int i = 0; i < 64 && s.left > 0; i++) {
		uint64_t amount = any_value(&s), step = any_value(&s), wait;

		if (__builtin_add_overflow(now, step, &now))
			now = UINT64_MAX;
		wait = token_bucket_wait_ns(&b, amount, now);
		if (!token_bucket_limits(&b)) {
			fuzz_check(wait == 0);
			fuzz_check(token_bucket_take(&b, amount, now));
			continue;
		}
		fuzz_check(b.last_ns <= now);
		if (token_bucket_take(&b, amount, now)) {
			fuzz_check(wait == 0);
			taken += amount;
		} else {
			fuzz_check(wait > 0);
			token_bucket_await(&b);
			if (!__builtin_add_overflow(now, wait, &now)) {
				fuzz_check(wait == UINT64_MAX ||
					   token_bucket_take(&b, amount, now));
				taken += wait == UINT64_MAX ? 0 : amount;
			} else {
				now = UINT64_MAX;
			}
		}
		/* A debt of more than can be counted is paid too early. */
		fuzz_check(b.debt == 0 || b.tokens == 0);
		if (b.debt > UINT64_MAX / 2)
			break;
		fuzz_check(taken <= room + flowed(&b, now - start) + b.debt);
		fuzz_check(b.tokens <= room + flowed(&b, now - start));
		fuzz_check(b.burst <= burst);
	}
	return 0;
}
