// SPDX-License-Identifier: Apache-2.0
/*
 * progress.c - who waits is told what for, once a second
 */
#include "store/progress.h"

#include <time.h>

#define SECOND_NS UINT64_C(1000000000)

void progress_tell(struct progress *progress, const char *what, uint64_t done,
		   uint64_t total)
{
	struct timespec ts;
	uint64_t now;

	if (!progress)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
	if (progress->next_ns == 0)
		progress->next_ns = now + SECOND_NS;
	if (now < progress->next_ns)
		return;
	progress->next_ns = now + SECOND_NS;
	progress->say(progress, what, done, total);
}
