/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the time that deadlines are made of
 */
#pragma once

#include "base/bits.h"

/* CLOCK_MONOTONIC in nanoseconds; any thread. No system call where the kernel
 * lets programs read its clock (vDSO). */
uint64_t now_ns(void);
