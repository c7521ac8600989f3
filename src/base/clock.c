// SPDX-License-Identifier: Apache-2.0
/*
 * clock.c - milliseconds of the monotonic clock (see clock.h)
 */
#include "base/clock.h"

#include <time.h>

int64_t clock_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
