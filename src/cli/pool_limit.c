// SPDX-License-Identifier: Apache-2.0
/*
 * pool_limit.c - rate limiters as they are typed (pool_limit.h)
 */
#include "cli/pool_limit.h"

#include <errno.h>
#include <string.h>

#define LIMIT_MS 1000u

/**
 * struct limit_kind - what a bucket counts, and where it goes
 * @has:	the device has the limiter
 */
struct limit_kind {
	const char *name;
	bool *has;
	struct pool_limiter *limiter;
	bool ops;
};

/* 1024 to the power that a letter says; 0: it says none. */
static unsigned int limit_shift(char letter)
{
	switch (letter) {
	case 'K':
		return 10;
	case 'M':
		return 20;
	case 'G':
		return 30;
	default:
		return 0;
	}
}

/* Return: false when there is no number, or one that does not fit. */
static bool limit_number(const char **at, uint64_t *n)
{
	const char *begin = *at;
	unsigned int shift;

	for (*n = 0; **at >= '0' && **at <= '9'; (*at)++)
		if (__builtin_mul_overflow(*n, 10, n) ||
		    __builtin_add_overflow(*n, (uint64_t)(**at - '0'), n))
			return false;
	if (*at == begin)
		return false;
	shift = limit_shift(**at);
	if (shift == 0)
		return true;
	(*at)++;
	if (*n > UINT64_MAX >> shift)
		return false;
	*n <<= shift;
	return true;
}

/* SIZE[/MS][+BURST] */
static bool limit_bucket(const char **at, struct pool_bucket *bucket)
{
	bucket->refill_time = LIMIT_MS;
	if (!limit_number(at, &bucket->size))
		return false;
	if (**at == '/') {
		(*at)++;
		if (!limit_number(at, &bucket->refill_time))
			return false;
	}
	if (**at != '+')
		return true;
	(*at)++;
	bucket->has_burst = true;
	return limit_number(at, &bucket->one_time_burst);
}

/* The kind that @at begins with, and its colon. */
static const struct limit_kind *
limit_kind_of(const char **at, const struct limit_kind *kinds, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		size_t len = strlen(kinds[i].name);

		if (strncmp(*at, kinds[i].name, len) == 0 &&
		    (*at)[len] == ':') {
			*at += len + 1;
			return &kinds[i];
		}
	}
	return NULL;
}

static bool limit_one(const char **at, const struct limit_kind *kinds,
		      size_t nr)
{
	const struct limit_kind *kind = limit_kind_of(at, kinds, nr);
	bool *has;

	if (!kind)
		return false;
	has = kind->ops ? &kind->limiter->has_ops
			: &kind->limiter->has_bandwidth;
	if (*has)
		return false;
	*has = *kind->has = true;
	return limit_bucket(at, kind->ops ? &kind->limiter->ops
					  : &kind->limiter->bandwidth);
}

static int limit_read(const char *at, const struct limit_kind *kinds, size_t nr)
{
	do
		if (!limit_one(&at, kinds, nr))
			return -EINVAL;
	while (*at++ == ',');
	return at[-1] == '\0' ? 0 : -EINVAL;
}

int pool_limit_drive(struct pool_drive *to, const char *text)
{
	const struct limit_kind kinds[] = {
		{"bytes", &to->has_limiter, &to->rate_limiter, false},
		{"ops", &to->has_limiter, &to->rate_limiter, true},
	};

	return limit_read(text, kinds, ARRAY_SIZE(kinds));
}

int pool_limit_net(struct pool_net *to, const char *text)
{
	const struct limit_kind kinds[] = {
		{"rx-bytes", &to->has_rx, &to->rx_rate_limiter, false},
		{"rx-ops", &to->has_rx, &to->rx_rate_limiter, true},
		{"tx-bytes", &to->has_tx, &to->tx_rate_limiter, false},
		{"tx-ops", &to->has_tx, &to->tx_rate_limiter, true},
	};

	return limit_read(text, kinds, ARRAY_SIZE(kinds));
}
