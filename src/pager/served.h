/* SPDX-License-Identifier: Apache-2.0 */
/*
 * served.h - what a pager tells of its work while it goes on
 *
 * volt-pager's first message has two descriptors: its smaps_rollup, and a file
 * in memory that begins with a struct served, in this machine's byte order,
 * which the pager writes as it goes. The VMM reads that when somebody asks, and
 * believes it as far as numbers to be shown go. A handler of somebody else's
 * sends no such file.
 */
#pragma once

#include "base/bits.h"

#define SERVED_MAGIC UINT64_C(0x3176726573746c76) /* "vltserv1" */

/**
 * struct served - since the VM connected
 * @faults:	pages that somebody waited for
 * @faulted:	pages that came from the image for these, with those around them
 * @hot:	pages that were there before anybody waited
 * @hot_ms:	when they were
 * @zero:	of all pages that were put in place, those that are zero
 * @removed:	pages that the VM gave back
 */
struct served {
	uint64_t magic;
	uint64_t faults;
	uint64_t faulted;
	uint64_t hot;
	uint64_t hot_ms;
	uint64_t zero;
	uint64_t removed;
};
