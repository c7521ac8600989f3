// SPDX-License-Identifier: Apache-2.0
/*
 * clock.c - the time that deadlines are made of
 *
 * Alone in its file, so that a test can put its own clock in its place.
 */
#include "host/clock.h"

#include <time.h>

#define NS_PER_S 1000000000u

uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}
