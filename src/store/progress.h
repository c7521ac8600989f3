/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - who waits is told what for, once a second
 */
#pragma once

#include "base/bits.h"

/**
 * struct progress - embed it; zeroed but for @say, or NULL where nobody waits
 * @say:	what is done, and how far: of @total bytes, 0: unknown how many
 * @next_ns:	when to say more; the first time after a second
 */
struct progress {
	void (*say)(struct progress *progress, const char *what, uint64_t done,
		    uint64_t total);
	uint64_t next_ns;
};

/* Call it as often as you like. */
void progress_tell(struct progress *progress, const char *what, uint64_t done,
		   uint64_t total);
